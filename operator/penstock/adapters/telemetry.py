"""/healthz, /readyz and /metrics: what Kubernetes and Prometheus ask of us."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from penstock.domain.counters import Counted
from penstock.engine.budget.recall import BAD, KIND, SINCE, SLI, TOTAL
from penstock.engine.budget.recall import COUNTERS as SLI_EVENTS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

Counting = Callable[[], Iterable[tuple[str, Counted]]]
Naming = Callable[[], Iterable[tuple[tuple[str, str], str]]]
SLO_SLI = "penstock_slo_sli_info"

# Help texts of all metrics; one that is not here cannot be counted.
COUNTERS = {
    "penstock_decisions_total": "Changes of a gate's reason, by verdict and reason.",
    "penstock_evidence_total": "Evaluations of SLOs, by what they found.",
    "penstock_writes_total": "Holds and releases of workloads, by kind and outcome.",
    "penstock_evaluations_skipped_total": "Rounds skipped because a source owed the last answer.",
    "penstock_errors_total": "Failures that nothing else names, by where.",
    "penstock_swept_total": "Objects that were gone without the feed having told, by kind.",
    "penstock_orphans_released_total": "Holds released whose Rollout was gone.",
    "penstock_feed_restarts_total": "How often the watch was started again.",
    "penstock_source_requests_total": "Requests to metrics sources, by outcome.",
    "penstock_source_samples_total": "Samples that metrics sources read for us.",
    SLI_EVENTS: "Events of an indicator in sealed hours since a border, bad ones and all.",
}
GAUGES = {
    "penstock_slo_budget_remaining_ratio": "Share of the error budget left, by SLO.",
    "penstock_release_budget_spent_ratio": "Share of the error budget spent since a release began.",
    SLO_SLI: "1 for the counters of penstock_sli_events_total that an SLO's ledger has.",
    "penstock_slo_burn_rate": "Burn rate, by SLO and look back.",
    "penstock_gate_state": "1 for the state that a Rollout's gate is in.",
    "penstock_evaluation_age_seconds": "Age of the oldest evidence.",
    "penstock_leader": "1 while this replica leads.",
}


class Telemetry:
    """Implements ``engine.ports.Tally``, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        """Add to a counter."""
        counter = self._counters.get(name)
        if counter is None:
            counter = Counter(name, COUNTERS[name], sorted(labels), registry=self._registry)
            self._counters[name] = counter
        (counter.labels(**labels) if labels else counter).inc(amount)

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = Gauge(name, GAUGES[name], sorted(labels), registry=self._registry)
            self._gauges[name] = gauge
        (gauge.labels(**labels) if labels else gauge).set(value)

    def forget(self, **labels: str) -> None:
        """Drop every gauge with these labels."""
        for gauge in self._gauges.values():
            if set(labels) <= set(gauge._labelnames):
                gauge.remove_by_labels(labels)

    def tell_counted(self, counting: Counting, naming: Naming = tuple) -> None:
        """Tell of ledgers at the time that somebody looks.

        Args:
            counting: the counters of each, by name.
            naming: namespace and name of SLOs, and the name of their ledger's counters.
        """
        self._registry.register(_Ledgers(counting, naming))

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _Ledgers(Collector):
    """Counters of ledgers; one that is not up to date is not there, as ``counters`` wants it."""

    def __init__(self, counting: Counting, naming: Naming) -> None:
        self._counting, self._naming = counting, naming

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        events = CounterMetricFamily(SLI_EVENTS, COUNTERS[SLI_EVENTS], labels=[SLI, SINCE, KIND])
        for name, counted in self._counting():
            for kind, number in ((BAD, counted.count.bad), (TOTAL, counted.count.total)):
                events.add_metric([name, str(counted.since), kind], float(number))
        yield events
        slos = GaugeMetricFamily(SLO_SLI, GAUGES[SLO_SLI], labels=["namespace", "slo", SLI])
        for (namespace, slo), name in self._naming():
            slos.add_metric([namespace, slo, name], 1)
        yield slos


class TelemetryServer:
    """The HTTP server; each question is a function that says what is wrong, or nothing."""

    def __init__(
        self,
        telemetry: Telemetry,
        listen: str,
        alive: Callable[[], str],
        ready: Callable[[], str],
        refresh: Callable[[], None],
    ) -> None:
        self._telemetry, self._listen, self._refresh = telemetry, listen, refresh
        self._alive, self._ready = alive, ready
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            OSError: the address is taken or not ours.
        """
        app = web.Application()
        app.router.add_get("/healthz", self._answer(self._alive))
        app.router.add_get("/readyz", self._answer(self._ready))
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        host, _, port = self._listen.rpartition(":")
        await web.TCPSite(self._runner, host, int(port)).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        self._refresh()
        return web.Response(
            body=self._telemetry.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    def _answer(self, question: Callable[[], str]) -> Handler:
        async def handle(_: web.Request) -> web.StreamResponse:
            wrong = question()
            return web.Response(text=f"{wrong or 'ok'}\n", status=503 if wrong else 200)

        return handle

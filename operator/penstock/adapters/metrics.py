"""The metric registry: what Penstock exports to Prometheus, and what each metric says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from penstock.domain.exported_counters import CounterTotals
from penstock.engine.budget.ledger_restore import BAD, KIND, SINCE, SLI, TOTAL
from penstock.engine.metric_names import CounterName, GaugeName

Counting = Callable[[], Iterable[tuple[str, CounterTotals]]]
Naming = Callable[[], Iterable[tuple[tuple[str, str], str]]]

COUNTERS: Mapping[CounterName, str] = {
    CounterName.DECISIONS: "Changes of a gate's reason, by verdict and reason.",
    CounterName.EVIDENCE: "Evaluations of SLOs, by what they found.",
    CounterName.WRITES: "Holds and releases of workloads, by kind and outcome.",
    CounterName.EVALUATIONS_SKIPPED: "Rounds skipped because a source owed the last answer.",
    CounterName.ERRORS: "Failures that no other metric counts, by where they happened.",
    CounterName.SWEPT: "Objects that a list found deleted and the watch had missed, by kind.",
    CounterName.ORPHANS_RELEASED: "Holds released whose Rollout was gone.",
    CounterName.FEED_RESTARTS: "How often the watch was started again.",
    CounterName.SOURCE_REQUESTS: "Requests to metrics sources, by outcome.",
    CounterName.SOURCE_SAMPLES: "Samples that metrics sources read for Penstock's queries.",
    CounterName.SLI_EVENTS: "Events of an SLI in sealed hours after `since`, by kind (bad, total).",
}
GAUGES: Mapping[GaugeName, str] = {
    GaugeName.SLO_BUDGET_REMAINING: "Share of the error budget left, by SLO.",
    GaugeName.RELEASE_BUDGET_SPENT: "Share of the error budget spent since a release began.",
    GaugeName.SLO_SLI: "1 for the counters of penstock_sli_events_total that an SLO's ledger has.",
    GaugeName.SLO_BURN_RATE: "Burn rate, by SLO and burn window.",
    GaugeName.GATE_STATE: "1 for the state that a Rollout's gate is in.",
    GaugeName.EVALUATION_AGE: "Age of the oldest evidence.",
    GaugeName.LEADER: "1 while this replica leads.",
}


class MetricsRegistry:
    """Implements ``engine.ports.MetricsRecorder``, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters: dict[CounterName, Counter] = {}
        self._gauges: dict[GaugeName, Gauge] = {}

    def count(self, name: CounterName, amount: int = 1, /, **labels: str) -> None:
        """Add to a counter."""
        counter = self._counters.get(name)
        if counter is None:
            counter = Counter(str(name), COUNTERS[name], sorted(labels), registry=self._registry)
            self._counters[name] = counter
        (counter.labels(**labels) if labels else counter).inc(amount)

    def gauge(self, name: GaugeName, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = Gauge(str(name), GAUGES[name], sorted(labels), registry=self._registry)
            self._gauges[name] = gauge
        (gauge.labels(**labels) if labels else gauge).set(value)

    def forget(self, **labels: str) -> None:
        """Drop every gauge with these labels."""
        for gauge in self._gauges.values():
            if set(labels) <= set(gauge._labelnames):
                gauge.remove_by_labels(labels)

    def register_ledger_collector(self, counting: Counting, naming: Naming = tuple) -> None:
        """Export the counters of ledgers, read at each scrape.

        Args:
            counting: the counters of each ledger, by name.
            naming: namespace and name of SLOs, and the name of their ledger's counters.
        """
        self._registry.register(_Ledgers(counting, naming))

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _Ledgers(Collector):
    """Counters of ledgers; one that is not up to date is left out."""

    def __init__(self, counting: Counting, naming: Naming) -> None:
        self._counting, self._naming = counting, naming

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        name_of_events, name_of_slos = CounterName.SLI_EVENTS, GaugeName.SLO_SLI
        events = CounterMetricFamily(
            str(name_of_events), COUNTERS[name_of_events], labels=[SLI, SINCE, KIND]
        )
        for name, counted in self._counting():
            for kind, number in ((BAD, counted.count.bad), (TOTAL, counted.count.total)):
                events.add_metric([name, str(counted.since), kind], float(number))
        yield events
        slos = GaugeMetricFamily(
            str(name_of_slos), GAUGES[name_of_slos], labels=["namespace", "slo", SLI]
        )
        for (namespace, slo), name in self._naming():
            slos.add_metric([namespace, slo, name], 1)
        yield slos

"""Our engine over the month: the operator's own parts on a clock of the benchmark's.

Ledgers are filled as closing their buckets one by one would have (`Ours`), or as a new operator
reads a past that it has not seen (`Backfilled`). What one evaluation takes is then metered: a
cycle, and its share of closing a bucket and reading two others again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from benchmarks.figures import Figure
from benchmarks.month.data import Month
from benchmarks.month.promises import Promise, objective, truths
from benchmarks.month.reading import Cost, Evaluation, Reading, metered
from benchmarks.month.served import Served
from penstock.adapters.clock import SystemClock
from penstock.adapters.credentials import CredentialCache
from penstock.adapters.prometheus_query_client import PrometheusQueryClient
from penstock.adapters.source_pool import SourcePool
from penstock.api.promql_validation import selector
from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.indicator import CountedEvents, RatioIndicator
from penstock.domain.ledger import HOUR, Ledger
from penstock.domain.ledger_codec import encode
from penstock.domain.metrics_source import MetricsSource, Tls
from penstock.domain.quantities import Duration, Objective
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import Occurrences, Slo, SourceKind
from penstock.domain.window import RollingWindow
from penstock.engine.budget.evidence_source import BudgetEvidence
from penstock.engine.budget.ledger_manager import LedgerManager
from penstock.engine.budget.ledger_updater import LedgerUpdater
from penstock.engine.ports import EvidenceRequest
from penstock.errors import NotFound

LOOKS = frozenset(Duration.parse(text) for text in ("5m", "30m", "1h", "2h", "6h", "1d", "3d"))
LAG, BUCKET, CYCLE = 60, 300, 15
# So many cycles are metered, and as many seconds apart: one is too short to be metered by itself.
CYCLES = 5


class Counts:
    """The tally that the adapter counts into."""

    def __init__(self) -> None:
        self.requests = self.samples = 0

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        """Requests and samples; nothing else is of interest."""
        self.requests += amount if name == "penstock_source_requests_total" else 0
        self.samples += amount if name == "penstock_source_samples_total" else 0

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        """Nothing here is told."""

    def forget(self, **labels: str) -> None:
        """Nothing here is told."""


class NowhereKept:
    """Snapshots are measured, not kept."""

    async def load(self) -> Mapping[str, bytes]:
        """Nothing."""
        return {}

    async def save(self, kept: Mapping[str, bytes]) -> None:
        """Nowhere."""


async def _no_secret(namespace: str, name: str) -> dict[str, bytes]:
    raise NotFound(f"{namespace}/{name}")


class Engine:
    """All of the operator that measures, without its clock."""

    def __init__(self, url: str, slos: Sequence[Slo]) -> None:
        self.slos, self.counts, clock = slos, Counts(), SystemClock()
        self._sources = SourcePool(
            CredentialCache(_no_secret, clock, "", Path("/nowhere")), clock, self.counts
        )
        asker = PrometheusQueryClient(self._sources, clock)
        self.library = LedgerManager(asker, NowhereKept(), clock, self.counts, CYCLE)
        self.budgets = BudgetEvidence(asker, self.library, clock)
        self.source = _source(url)
        self.book = self.library.source_ledgers(self.source)
        self.upkeep = LedgerUpdater(asker, self.book, LAG)
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._sources.close()
        self._runner.close()

    def measure(
        self, at: int, *, hot: bool = False, looks: frozenset[Duration] = LOOKS
    ) -> Mapping[str, Evidence]:
        """One cycle at an instant in seconds; evidence by the SLO's name."""
        asked = [EvidenceRequest(slo, looks, hot) for slo in self.slos]
        moment = datetime.fromtimestamp(at, UTC)
        found = self._runner.run(self.budgets.measure(self.source, asked, moment))
        return {ref.name: slo for ref, slo in found.items()}

    def read(self, at: int, looks: frozenset[Duration] = LOOKS) -> None:
        """Ask what a cycle asks, and read the answers as numbers; nothing is judged by them."""
        moment = datetime.fromtimestamp(at, UTC)
        asked = [EvidenceRequest(slo, looks, hot=False) for slo in self.slos]
        planned = self.budgets.planned(self.source, asked, moment)
        self._runner.run(self.budgets.read(self.source, planned, moment))

    def keep_up(self, at: int) -> bool:
        """One round of upkeep; whether there is more to do."""
        return self._runner.run(self.upkeep.once(datetime.fromtimestamp(at, UTC), 0.0))

    def open_accounts(self, at: int, begin: int) -> None:
        """As if the operator had been there since ``begin``."""
        moment = datetime.fromtimestamp(at, UTC)
        for slo in self.slos:
            tracked = self.book.ledger_for(slo, moment, {})
            if not len(tracked.ledger.fine):
                tracked.ledger.begin(begin // HOUR * HOUR)

    @property
    def ledgers(self) -> list[Ledger]:
        """One for each indicator."""
        return [account.ledger for account in self.book]


@dataclass(frozen=True)
class Ours:
    """Every bucket closed once, from the window's start on.

    Attributes:
        backfilled: only the last hours are; the past is read as a new operator reads it.
    """

    name: str = "ours"
    backfilled: bool = False
    window: str = ""
    looks: frozenset[Duration] = LOOKS

    def evaluate(
        self, server: Served, month: Month, promises: Sequence[Promise], at: int
    ) -> Evaluation:
        """What the ledgers say when the month ends."""
        asked = slos(month, promises, self.window or month.window)
        engine = Engine(server.url, asked)
        try:
            end = at // 1_000
            length = 0 if self.backfilled else month.window_days * 24 * HOUR
            fill(engine, end - 2 * BUCKET, length)
            close = _metered(server, engine, lambda: engine.keep_up(end - BUCKET + LAG))
            cycle = _cycle(server, engine, end, lambda moment: _judge(engine, moment, self.looks))
            asking = _cycle(server, engine, end, lambda moment: engine.read(moment, self.looks))
            engine.keep_up(end)
            found = engine.measure(end, hot=True)
        finally:
            engine.close()
        return Evaluation(
            self.name,
            {one.name: _reading(found[one.name]) for one in promises},
            _together(cycle, close, len(promises)),
            asking=_together(asking, close, len(promises)),
            upkeep=close,
            kept_bytes=max(map(_bytes, engine.ledgers)),
        )


def fill(engine: Engine, at: int, length: int) -> None:
    """Close all buckets of so many seconds, or read the past, until nothing is left to do."""
    if length:
        engine.open_accounts(at, at - length)
    engine.measure(at)
    boundary = (at - LAG) // BUCKET * BUCKET
    while engine.keep_up(at) or min(one.closed_until for one in engine.ledgers) < boundary:
        continue


def of_engine(month: Month, server: Served, promises: Sequence[Promise], at: int) -> list[Figure]:
    """What ledgers take in memory and in a snapshot, and what a cycle and a close read."""
    engine = Engine(server.url, slos(month, promises, month.window))
    try:
        end = at // 1_000 - 2 * BUCKET
        fill(engine, end, 0)
        memory = max(_bytes(one) for one in engine.ledgers)
        kept = {tracked.key.digest: encode(tracked.ledger) for tracked in engine.book}
        cost = _per_series(server, engine, month, at // 1_000)
    finally:
        engine.close()
    largest = max(len(data) for data in kept.values())
    return [
        *cost,
        Figure("bytes of a ledger in memory", memory, 32_000, "a dict of each bucket", 302_000),
        Figure("bytes of a ledger in a snapshot", largest, 6_000, "in memory", memory),
    ]


def _per_series(server: Served, engine: Engine, month: Month, end: int) -> list[Figure]:
    live = sum(one.live for one in month.of_class())
    closes = _metered(server, engine, lambda: engine.keep_up(end - BUCKET + LAG))
    # On the average a bucket is closed after the lag, and half of the next has passed meanwhile.
    cycle = _metered(server, engine, lambda: engine.measure(end - BUCKET + LAG + BUCKET // 2))
    return [
        Figure("samples a live series and cycle", cycle.samples / live, 45, "its 5m alone", 20),
        Figure(
            "samples a live series and close, with two read again",
            closes.samples / live,
            3 * 900,
            "its 5m alone",
            20,
        ),
        Figure(
            "requests of a close and two readings again",
            closes.requests,
            3 * cycle.requests,
            "a cycle's",
            cycle.requests,
        ),
    ]


def _judge(engine: Engine, at: int, burn_windows: frozenset[Duration]) -> None:
    """A cycle that ends in evidence for all, since its data is as new as data can be."""
    found = engine.measure(at, looks=burn_windows)
    assert any(evidence.kind is EvidenceKind.FRESH for evidence in found.values())


def _cycle(server: Served, engine: Engine, end: int, once: Callable[[int], None]) -> Cost:
    """What is open is then nearly a whole bucket: a little more than on the average."""

    def cycles() -> None:
        for number in range(CYCLES):
            once(end - CYCLES * (number + 1))

    cost = _metered(server, engine, cycles)
    return replace(
        cost,
        requests=cost.requests // CYCLES,
        samples=cost.samples // CYCLES,
        server_cpu=cost.server_cpu / CYCLES,
        client_cpu=cost.client_cpu / CYCLES,
        seconds=cost.seconds / CYCLES,
    )


def _metered(server: Served, engine: Engine, what: Callable[[], object]) -> Cost:
    requests, samples = engine.counts.requests, engine.counts.samples
    with metered(server) as meter:
        what()
    meter.tally.requests = engine.counts.requests - requests
    meter.tally.samples = engine.counts.samples - samples
    return meter.cost(len(engine.slos))


def _together(cycle: Cost, close: Cost, objectives: int) -> Cost:
    """A cycle, and its share of what happens every five minutes."""
    cycles = BUCKET / CYCLE
    return replace(
        cycle,
        objectives=objectives,
        samples=round(cycle.samples + close.samples / cycles),
        server_cpu=cycle.server_cpu + close.server_cpu / cycles,
        client_cpu=cycle.client_cpu + close.client_cpu / cycles,
    )


def slos(month: Month, promises: Sequence[Promise], window: str) -> list[Slo]:
    """The promises as SLOs, each with an objective of which 80 of 100 points are truly spent."""
    true = truths(month, promises)
    return [
        slo(one.name, one.bad, one.total, objective(true[one.name]), window) for one in promises
    ]


def slo(name: str, bad: str, total: str, promised: str, window: str) -> Slo:
    """An SLO by two selectors, its objective and window as people write them."""
    return Slo(
        ref=ObjectRef("month", name, name),
        generation=1,
        labels={},
        description="",
        objective=Objective.parse(promised),
        window=RollingWindow(Duration.parse(window)),
        budgeting=Occurrences(),
        indicator=RatioIndicator(
            CountedEvents.BAD,
            selector("bad", bad, may_sum=True),
            selector("total", total, may_sum=True),
        ),
        source=None,
        minimum_events=0,
    )


def _source(url: str) -> MetricsSource:
    return MetricsSource(
        ref=ObjectRef("month", "default", "uid"),
        generation=1,
        kind=SourceKind.METRICS_SOURCE,
        url=url,
        auth=None,
        tls=Tls(),
        headers=(),
        timeout=Duration.parse("60s"),
        freshness=Duration.parse("2m"),
    )


def _reading(evidence: Evidence) -> Reading:
    if evidence.reading is None:
        return Reading(None)
    whole = evidence.reading.window_counts
    burns = {
        str(burn_window): count.bad / count.total
        for burn_window, count in evidence.reading.burn_windows.items()
        if count.total
    }
    return Reading.counted(whole.bad, whole.total, burns)


def _bytes(ledger: Ledger) -> int:
    return sum(ring.size_in_bytes for ring in (ledger.fine, ledger.coarse))

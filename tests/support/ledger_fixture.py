"""A shop with a day of past in a real Prometheus, and budgets measured of it at a test's own times.

The truth is what was scraped: every growth of every counter, at the time of the scrape that saw it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from penstock.domain.evidence import Evidence
from penstock.domain.metrics_source import Dialect, MetricsSource
from penstock.domain.quantities import Duration
from penstock.domain.slo import Slo
from penstock.engine.budget.evidence_source import BudgetEvidence
from penstock.engine.budget.ledger_manager import LedgerManager
from penstock.engine.budget.ledger_updater import LedgerUpdater
from penstock.engine.ports import Clock, EvidenceRequest
from support.history import NOW
from support.measuring import Meter, source
from support.scrapes import Labels, Scrapes, Target, series

EVERY = 15
HOUR = 3_600
# Evaluations lie on the hour, so that no window cuts a bucket.
THEN = NOW.replace(minute=0) - timedelta(hours=2)
END = (THEN + timedelta(hours=2) - NOW).total_seconds()
LAG = 60
LOOKS = tuple(Duration.parse(text) for text in ("5m", "30m", "1h", "6h"))


@dataclass
class Shop:
    """Pods that serve, and are replaced every few hours; errors are counted from the first on."""

    seed: int = 5
    hours: int = 30  # before THEN
    scrapes: Scrapes = field(default_factory=Scrapes)
    grown: list[tuple[float, str, float]] = field(default_factory=list)

    def serve(
        self,
        pods: int = 3,
        *,
        out: tuple[float, float] | None = None,
        bad: Callable[[float], float] = lambda at: 0.02,
    ) -> Shop:
        """A day and more; ``out`` is a time in which no scrape succeeds, though work goes on."""
        draw = random.Random(self.seed)
        for pod in range(pods):
            self._pod(pod, draw, out, bad)
        return self

    def true(self, start: datetime, end: datetime) -> tuple[Decimal, Decimal]:
        """Bad and all events after ``start`` up to ``end``."""
        low, high = ((moment - NOW).total_seconds() for moment in (start, end))
        inside = [(code, more) for at, code, more in self.grown if low < at <= high]
        bad = sum(more for code, more in inside if code == "500")
        return Decimal(round(bad)), Decimal(round(sum(more for _, more in inside)))

    @contextmanager
    def served(self, folder: Path) -> Iterator[tuple[str, Scrapes]]:
        """A Prometheus at the time ``THEN``: its address, and what it will yet scrape."""
        past = self.scrapes
        to_come = past.withhold(lambda at, _: at > (THEN - NOW).total_seconds())
        with past.served(folder) as url:
            yield url, to_come

    def _pod(
        self,
        pod: int,
        draw: random.Random,
        out: tuple[float, float] | None,
        bad: Callable[[float], float],
    ) -> None:
        begin = (THEN - timedelta(hours=self.hours) - NOW).total_seconds()
        at, life = begin + 1 + pod, 0
        counters: dict[str, float] = {"200": float(draw.randint(10_000, 90_000))}
        started, ends = begin - 90_000.0, begin + draw.randint(2, 8) * HOUR
        target = self._target(pod, life)
        seen = dict(counters)
        while at <= END:
            served = draw.randint(0, 30)
            failed = sum(draw.random() < bad(at) for _ in range(served))
            counters["200"] += served - failed
            if failed:
                counters["500"] = counters.get("500", 0) + failed
            if out and out[0] <= at < out[1]:
                target.fails(at)
            else:
                target.answers(at, {_series(code): v for code, v in counters.items()}, started)
                for code, value in counters.items():
                    self.grown.append((at, code, value - seen.get(code, 0)))
                seen = dict(counters)
            if at > ends and not (out and out[0] - HOUR <= at < out[1] + HOUR):
                target.is_gone(at + EVERY)
                life, counters, seen = life + 1, {"200": 0.0}, {}
                started, ends = at + 20, at + draw.randint(2, 8) * HOUR
                target = self._target(pod, life)
                at += EVERY
            at += EVERY

    def _target(self, pod: int, life: int) -> Target:
        return Target(self.scrapes, {"job": "shop", "instance": f"{pod}-{life}"})


def _series(code: str) -> Labels:
    return series("http_requests_total", code=code)


class LedgerFixture:
    """Budgets over one source, in a process of its own: measured and kept up when a test says.

    Time goes on by ``until``: what is scraped later is not there before.
    """

    def __init__(
        self,
        meter: Meter,
        url: str,
        to_come: Scrapes,
        *,
        own_job: str = "",
        clock: Clock | None = None,
        dialect: Dialect = Dialect.PROMETHEUS,
    ) -> None:
        self.meter, self._url, self._to_come = meter, url, to_come
        self.source = source(url, dialect=dialect)
        self._own_job, self._clock = own_job, clock or meter.clock
        self.saved: dict[str, bytes] = {}
        self.begin()

    def until(self, at: datetime) -> datetime:
        """What was scraped up to then is there."""
        arrived, seconds = self._to_come, (at - NOW).total_seconds()
        self._to_come = arrived.withhold(lambda when, _: when > seconds)
        arrived.send(self._url)
        return at

    def begin(self) -> None:
        """As a new process does, with what the last one saved."""
        self.library = LedgerManager(
            self.meter.asker, self, self._clock, self.meter.tally, 15, self._own_job
        )
        self.budgets = BudgetEvidence(self.meter.asker, self.library, self._clock)
        self.meter.run(self.library.load())

    async def load(self) -> Mapping[str, bytes]:
        return self.saved

    async def save(self, kept: Mapping[str, bytes]) -> None:
        self.saved = dict(kept)

    def measure(
        self,
        slos: Iterable[Slo],
        at: datetime,
        *,
        hot: bool = True,
        where: MetricsSource | None = None,
        onsets: frozenset[datetime] = frozenset(),
    ) -> dict[str, Evidence]:
        """Evidence by the SLO's name."""
        asked = [EvidenceRequest(slo, frozenset(LOOKS), hot, onsets) for slo in slos]
        found = self.meter.run(self.budgets.measure(where or self.source, asked, at))
        return {ref.name: slo for ref, slo in found.items()}

    def keep_up(self, at: datetime, *, most: int = 200) -> int:
        """Do all that is due, and no more than so many rounds; how many there were."""
        source_ledgers = self.library.source_ledgers(self.source)
        updater = LedgerUpdater(self.meter.asker, source_ledgers, LAG, self._own_job)
        for number in range(most):
            if not self.meter.run(updater.once(at, self.meter.clock.monotonic())):
                return number + 1
        return most

    def save_now(self) -> None:
        self.meter.run(self.library.save())

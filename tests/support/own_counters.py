"""What an operator tells of its ledgers in /metrics, scraped as often as a test says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from prometheus_client.parser import text_string_to_metric_families

from penstock.adapters.metrics import MetricsRegistry
from penstock.domain.bucket_ring import BucketState
from penstock.domain.evidence import EventCounts
from penstock.domain.exported_counters import CounterTotals, count_final_hours
from penstock.domain.ledger import HOUR, Ledger
from support.history import NOW
from support.scrapes import Scrapes, Target, series

JOB = "penstock"
Told = Callable[[], Iterable[tuple[str, CounterTotals]]]


class PlayedClock:
    """Shows the time that a test plays; intervals are real."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at.astimezone(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class Scraped:
    """One instance of an operator, as a Prometheus scrapes it."""

    def __init__(self, scrapes: Scrapes, instance: str, told: Told, job: str = JOB) -> None:
        self._target = Target(scrapes, {"job": job, "instance": instance})
        self._telemetry = MetricsRegistry()
        self._telemetry.register_ledger_collector(told)

    def scrape(self, at: datetime) -> None:
        """Take what the page says now."""
        page = self._telemetry.exposition().decode()
        self._target.answers(
            (at - NOW).total_seconds(),
            {
                series(sample.name, **sample.labels): sample.value
                for family in text_string_to_metric_families(page)
                for sample in family.samples
            },
        )

    def fail(self, at: datetime) -> None:
        """It does not answer, or the network does not."""
        self._target.fails((at - NOW).total_seconds())


class Month:
    """Thirty-one days of counters, scraped every five minutes, restarted every third day."""

    EVERY, DAY = timedelta(minutes=5), timedelta(days=1)

    def __init__(self, end: datetime) -> None:
        self.end, self.clock, self.scrapes = end, PlayedClock(end), Scrapes()
        self._pages: list[Scraped] = []
        self._counting: list[tuple[Ledger, dict[str, CounterTotals | None]]] = []

    def ledger(self, more: int) -> Ledger:
        """All hours that there were, each with other events; ``more`` in each of them."""
        made, last = Ledger(300, 40 * 24 * HOUR), int(self.end.timestamp()) // HOUR
        for number in range(last - 40 * 24, last):
            bad, total = number % 7, 7 + more + number % 977
            made.coarse.put(number, EventCounts(Decimal(bad), Decimal(total)), BucketState.SEALED)
        return made

    def tell(self, name: str, ledger: Ledger, job: str = JOB) -> None:
        """There is an operator that counts this ledger's hours under this name."""
        told: dict[str, CounterTotals | None] = {name: None}
        self._counting.append((ledger, told))
        instance = f"10.0.0.{len(self._pages)}:8080"
        self._pages.append(Scraped(self.scrapes, instance, lambda: _not_none(told), job))

    def send(self, url: str) -> None:
        """Scrape them all, and write it to a Prometheus."""
        for nth in range(31 * self.DAY // self.EVERY):
            self.clock.at = self.end - 31 * self.DAY + nth * self.EVERY
            for ledger, told in self._counting:
                for name, one in told.items():
                    former = None if nth % (3 * self.DAY // self.EVERY) == 0 else one
                    told[name] = count_final_hours(
                        former, ledger, 0, int(self.clock.at.timestamp())
                    )
            for page in self._pages:
                page.scrape(self.clock.at)
        self.scrapes.send(url)


def _not_none(told: dict[str, CounterTotals | None]) -> list[tuple[str, CounterTotals]]:
    return [(name, one) for name, one in told.items() if one is not None]

"""What an operator tells of its ledgers in /metrics, scraped as often as a test says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from penstock.adapters.telemetry import Telemetry
from penstock.domain.counters import Counted
from support.history import NOW
from support.scrapes import Scrapes, Target, series

JOB = "penstock"
Told = Callable[[], Iterable[tuple[str, Counted]]]


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
        self._telemetry = Telemetry()
        self._telemetry.tell_counted(told)

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

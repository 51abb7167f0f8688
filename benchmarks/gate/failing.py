"""Services whose errors jump at an instant, as a Prometheus has scraped them before and after it.

When errors jump and when a service is scraped is drawn from the seed; the operator's cycle and its
buckets know nothing of it. Times are seconds relative to `ORIGIN`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.domain.quantities import Duration, Objective
from support.history import NOW
from support.scrapes import Scrapes, Target, series

METRIC = "requests_total"
PROMISED = "99.9%"
BUDGET = float(Objective.parse(PROMISED).budget)
LONG = Duration.parse("1h")
SCRAPE = 15
SHARES = (1.0, 0.5, 0.1, 0.05, 0.02)
BEFORE, PER_SECOND = 0.0001, 1_000
LONGEST_LOOK = 6 * 3_600
BUCKET = 300
GOLDEN = (math.sqrt(5) - 1) / 2
"""Its multiples, less what is whole, lie as evenly as any."""


ORIGIN = int(NOW.timestamp())
BEGIN = (ORIGIN - 3_300) // BUCKET * BUCKET - ORIGIN
"""The beginning of a bucket, early enough for the slowest of all decisions; errors jump in it."""


@dataclass(frozen=True)
class Failing:
    """One service.

    Attributes:
        share: of its requests that fail once errors have jumped.
        jumps: when they do.
        scraped: so long after each quarter of a minute it is scraped.
    """

    name: str
    share: float
    jumps: float
    scraped: float

    def counted(self, at: float) -> tuple[int, int]:
        """Its counters: requests that failed, and others."""
        total = PER_SECOND * (at - BEGIN + LONGEST_LOOK)
        after = max(0.0, at - self.jumps)
        failed = BEFORE * (total - PER_SECOND * after) + self.share * PER_SECOND * after
        return math.floor(failed), math.floor(total - failed)

    def selector(self, *more: str) -> str:
        """Its series."""
        return f"{METRIC}{{{','.join((self._matcher, *more))}}}"

    @property
    def _matcher(self) -> str:
        return f'service="{self.name}"'


def passed_after(factor: float, share: float) -> float:
    """Seconds from the jump of errors until the burn rate over 1h truly passes a factor.

    At 99.9 %, 14.4 is passed 51.5 s after all requests have begun to fail.
    """
    return (factor * BUDGET - BEFORE) / (share - BEFORE) * float(LONG.seconds)


def drawn(seed: int, phases: int) -> list[Failing]:
    """So many for each share of errors.

    Phases are spread evenly from a random beginning on: a mean of 40 of them is as sure as one of
    500 that are drawn one by one. In which quarter of a minute errors jump is drawn for each.
    """
    order = random.Random(seed)
    services = []
    for share in SHARES:
        to_cycle, to_scrape = order.random(), order.random()
        for n in range(phases):
            cycle = order.randrange(BUCKET // SCRAPE) + (to_cycle + n / phases) % 1
            scrape = (to_scrape + n * GOLDEN) % 1
            name = f"fails{share:g}-{n}"
            jumps, phase = round(BEGIN + cycle * SCRAPE, 3), round(scrape * SCRAPE, 3)
            services.append(Failing(name, share, jumps, phase))
    return services


def scraped(services: Sequence[Failing], after: float, until: float) -> Scrapes:
    """What a Prometheus stores of them in a stretch of time; its end belongs to it."""
    scrapes = Scrapes()
    for one in services:
        target = Target(scrapes, {"job": "shop", "instance": one.name})
        failed, others = (series(METRIC, service=one.name, code=code) for code in ("500", "200"))
        first = math.floor((after - one.scraped) / SCRAPE) + 1
        last = math.floor((until - one.scraped) / SCRAPE)
        for number in range(first, last + 1):
            at = number * SCRAPE + one.scraped
            counted = zip((failed, others), map(float, one.counted(at)), strict=True)
            target.answers(at, dict(counted))
    return scrapes

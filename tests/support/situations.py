"""Situations that a bucket of five minutes can be in, each played by one target.

Scrapes are numbered: 1 to 20 lie in the bucket, 0 is the last one before it. One is made every 15
s, the last 8 s before the bucket ends, so that no sample lies on a border.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto

from penstock.domain.quantities import Duration
from penstock.engine.promql.counting import exact_increase, reading
from support.history import NOW
from support.scrapes import Scrapes, Target, ask, series

EVERY = 15
LAST = 20
FIRST = -280  # 75 minutes before the bucket's end
METRIC, ERROR = "events_total", "500"
BY = ("situation", "code")
BUCKET, HOUR = Duration.parse("5m"), Duration.parse("1h")


class Nothing(Enum):
    """Why a scrape has no value of the counter."""

    WITHOUT = auto()  # it was answered, and the counter was not there yet
    DOWN = auto()  # it failed
    GONE = auto()  # nobody was there to be scraped


WITHOUT, DOWN, GONE = Nothing
OLD = -1_000_000.0


@dataclass(frozen=True, slots=True)
class Situation:
    """What was scraped, and how many events happened in the bucket by it.

    Attributes:
        true: the events between the last scrape that was answered before the bucket and the last.
        film: the counter's value at a scrape.
        began: the scrapes before which the process was started; it is old before the first.
        labels: more labels of the target at a scrape.
        beside: another counter of the same target.
    """

    true: int
    film: Callable[[int], float | Nothing]
    began: tuple[int, ...] = ()
    labels: Callable[[int], Mapping[str, str]] = lambda _: {}
    beside: Callable[[int], float] | None = None

    def started(self, scrape: int) -> float:
        """When the process that is scraped was started."""
        return max((when(one) - 5 for one in self.began if one <= scrape), default=OLD)


def when(scrape: int) -> float:
    """Seconds relative to the bucket's end."""
    return (scrape - LAST) * EVERY - 8


def since(scrape: int, film: Callable[[int], float]) -> Callable[[int], float | Nothing]:
    """No target before that scrape."""
    return lambda n: film(n) if n >= scrape else GONE


def outage(film: Callable[[int], float]) -> Callable[[int], float | Nothing]:
    """Twenty minutes without an answer, that end in the middle of the bucket."""
    return lambda n: DOWN if -70 < n <= 10 else film(n)


def at_20(n: int) -> float:
    return 10_000.0 + 20 * n


def uneven(n: int) -> float:
    """37 more at the border, which no look at the bucket alone can see."""
    return at_20(n) + (37 if n > 0 else 0)


TWELVE = {
    "steady": Situation(400, at_20),
    "counter reset in the bucket": Situation(
        400, lambda n: at_20(n) if n <= 10 else 20 * (n - 10), began=(11,)
    ),
    "one failed scrape at the border": Situation(420, lambda n: DOWN if n == 0 else at_20(n)),
    "pod goes away in the middle": Situation(200, lambda n: at_20(n) if n <= 10 else GONE),
    "pod is born in the middle": Situation(200, since(11, lambda n: 20 * (n - 10)), began=(11,)),
    "first error ever, counter made late": Situation(1, lambda n: 1 if n > 10 else WITHOUT),
    "crash-looping pod seen in one scrape": Situation(
        200, lambda n: {11: 200, 12: DOWN}.get(n, GONE), began=(11,)
    ),
    "outage of 20 minutes ends in the bucket": Situation(1_800, outage(at_20)),
    "old error counter back after an outage": Situation(0, outage(lambda _: 40)),
    "old process scraped for the first time": Situation(
        180, since(11, lambda n: 1_000_000 + 20 * n)
    ),
    "all events between the two scrapes around the border": Situation(
        400, lambda n: 10_000 if n <= 0 else 10_400
    ),
    "young pod crashes again and grows past its old value": Situation(
        400, since(-6, lambda n: 20 * (n + 7) if n <= 0 else 20 * n), began=(-6, 1)
    ),
}
"""Those of the comparison of expressions."""

MORE = {
    "old process with a small counter scraped for the first time": Situation(
        180, since(11, lambda n: 1_000 + 20 * n)
    ),
    "target whose labels change at the border": Situation(
        400, at_20, labels=lambda n: {"zone": "north"} if n > 0 else {}
    ),
    "target whose labels change in the middle": Situation(
        400, at_20, labels=lambda n: {"zone": "north"} if n > 10 else {}
    ),
    "counter begins anew at the border and stays": Situation(
        30, lambda n: at_20(n) if n <= 0 else 30, began=(1,)
    ),
    "counter made at 0 and counting later": Situation(
        60, since(3, lambda n: 0 if n <= 19 else 60), began=(3,)
    ),
    "errors begin with 40 at once in an old process": Situation(
        40, lambda n: WITHOUT if n < 16 else 40
    ),
    "errors begin with 40 at once beside other events": Situation(
        40, lambda n: WITHOUT if n < 16 else 40, beside=at_20
    ),
    "border within two failed scrapes, then the first error ever": Situation(
        1, lambda n: DOWN if n in {0, 1} else (1 if n > 10 else WITHOUT)
    ),
    "young process fails in its last seconds": Situation(
        7, lambda n: since(2, lambda n: WITHOUT if n < 9 else 7)(n) if n < 10 else GONE, began=(2,)
    ),
    "counter reset twice in the bucket": Situation(
        400, lambda n: at_20(n) if n <= 6 else 20 * (n - 6 if n <= 13 else n - 13), began=(7, 14)
    ),
    "counter reset at the border and once more": Situation(
        400, lambda n: at_20(n) if n <= 0 else 20 * (n if n <= 12 else n - 12), began=(1, 13)
    ),
    "young process that is overtaken by the next": Situation(
        400, since(-6, lambda n: 20 * (n + 7) if n <= 3 else 20 * (n - 3)), began=(-6, 4)
    ),
}
"""Others that took an expression to be found out, or that the expression is right about."""

ONCE = {
    "counter reset amid uneven events": Situation(
        448, lambda n: uneven(n) if n <= 10 else 20 * (n - 10) + 11, began=(11,)
    ),
    "counter reset while scrapes failed": Situation(
        388, lambda n: uneven(n) if n < 10 else (DOWN if n <= 12 else 20 * (n - 12) + 11), (12,)
    ),
    "error counter of 30 reset and seen at 29": Situation(
        32, lambda n: WITHOUT if n < -99 else (30 if n <= 8 else 33 if n <= 10 else 29), (-200, 11)
    ),
}
"""Reset once, where no stretching of what was seen inside gives what happened."""

NOBODY_CAN_KNOW = {
    "old process scraped for the first time",
    "old process with a small counter scraped for the first time",
    "target whose labels change in the middle",
}
"""How much of an old counter is new: given to `increase`, which is 12 % off here."""


def closing(selector: str = METRIC) -> str:
    """What the operator asks of the bucket when it reads it for the last time."""
    return exact_increase(reading(selector), BY, BUCKET, HOUR, thorough=True)


def counted(url: str, query: str) -> dict[str, Decimal]:
    """What a query says of the bucket's errors, by situation; one without an answer is missing."""
    rows = ask(url, query, NOW).rows
    return {labels["situation"]: value for labels, value in rows if labels["code"] == ERROR}


def play(situations: Mapping[str, Situation], *, watched: bool) -> Scrapes:
    """One target for each; its counter has the labels ``situation``, by name, and ``code`` 500."""
    scrapes = Scrapes()
    for name, situation in situations.items():
        _play(scrapes, name, situation, watched=watched)
    return scrapes


def _play(scrapes: Scrapes, name: str, situation: Situation, *, watched: bool) -> None:
    targets: dict[frozenset[tuple[str, str]], Target] = {}
    counter, other = (series(METRIC, situation=name, code=code) for code in (ERROR, "200"))
    for n in range(FIRST, LAST + 1):
        more = situation.labels(n)
        labels = {"job": "shop", "instance": name, **more}
        scraped = targets.setdefault(
            frozenset(more.items()), Target(scrapes, labels, watched=watched)
        )
        for target in targets.values():
            if target is not scraped:
                target.is_gone(when(n))
        value = situation.film(n)
        if value is GONE:
            scraped.is_gone(when(n))
        elif value is DOWN:
            scraped.fails(when(n))
        else:
            values = {} if value is WITHOUT else {counter: float(value)}
            if situation.beside is not None:
                values[other] = situation.beside(n)
            scraped.answers(when(n), values, situation.started(n) if watched else None)

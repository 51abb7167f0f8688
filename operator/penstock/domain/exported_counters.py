"""The counts of a ledger as exported counters, from which its hours can be restored.

A counter that merely grew would not say which hours it includes: after an outage several are closed
at once. So whenever these are scraped, they include exactly the hours from the boundary in their
label up to the last boundary that is two hours old, each read for the last time. What cannot be
exported like this is not exported, and the missing hour is read from the source as if there were no
counters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from penstock.domain.bucket_ring import BucketState, exact_decimal
from penstock.domain.evidence import EventCounts
from penstock.domain.ledger import HOUR, Ledger

# The last reading of a bucket comes 65 minutes after its end.
FINAL_AFTER = 2 * HOUR
# For this long after the full hour, counters may lack the hour that has just become final, ...
GRACE = 20 * 60
# ... and this long after it they are read back: by a server that shows samples of up to 35 minutes.
SEEN_AT = 55 * 60
# What running sums and the thousandths of a snapshot may differ by.
_NOISE = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class CounterTotals:
    """All events between two hour boundaries, in seconds since the epoch."""

    since: int
    until: int
    count: EventCounts

    def is_current(self, now: int) -> bool:
        """Whether the time alone says, to anybody who reads it now, how far it goes."""
        return final_until(now - GRACE) <= self.until <= final_until(now)


def final_until(now: int) -> int:
    """The hour boundary up to which counts no longer change: at 12:10 it is 10:00."""
    return (now - FINAL_AFTER) // HOUR * HOUR


def count_final_hours(
    former: CounterTotals | None, ledger: Ledger, start: int, now: int
) -> CounterTotals | None:
    """The counters with the hours that have become final; None as long as there is none to count.

    They begin with a single hour, so that the first number that is seen is the count of an hour
    too. At an hour without data they end, and others begin after it: it must not pass for an hour
    without events.

    Args:
        former: what was counted before.
        ledger: whose hours are counted.
        start: no hour that begins earlier is counted.
        now: seconds since the epoch.
    """
    boundary = final_until(now)
    if former is None:
        since = boundary - HOUR
        count = _sealed(ledger, since)
        return CounterTotals(since, boundary, count) if count and since >= start else None
    found = former
    while found.until < boundary:
        if ledger.coarse.state(found.until // HOUR) is not BucketState.SEALED:
            return found
        more = _sealed(ledger, found.until)
        if more is None:
            return count_final_hours(None, ledger, start, now)
        count = EventCounts(found.count.bad + more.bad, found.count.total + more.total)
        found = CounterTotals(found.since, found.until + HOUR, count)
    return found


def _sealed(ledger: Ledger, begin: int) -> EventCounts | None:
    number = begin // HOUR
    sealed = ledger.coarse.state(number) is BucketState.SEALED
    return ledger.coarse.count(number) if sealed else None


def seen_at(boundary: int) -> int:
    """When counters that go up to this boundary are read."""
    return boundary + FINAL_AFTER + SEEN_AT


def boundary_at(seen: int) -> int:
    """How far counters went that were seen then; the inverse of ``seen_at``."""
    return final_until(seen)


@dataclass(frozen=True, slots=True)
class CounterSamples:
    """Counters of one process: what they said, by the boundary that they went up to."""

    since: int
    totals: Mapping[int, EventCounts]


def hours_from_counters(tracks: Iterable[CounterSamples]) -> dict[int, EventCounts]:
    """The hours that counters prove, by their numbers since the epoch.

    An hour is proven by two numbers in a row of the same counters, or by their first. Counters that
    began so shortly before the full hour that nobody had looked at them yet first report two hours
    at once, of which others prove the former. Counters that ever fell, or counted more bad events
    than events, prove nothing; nor does an hour that two report differently.
    """
    sound = [samples for samples in tracks if _is_sound(samples)]
    hours = [hour for samples in sound for hour in _hours(samples)]
    found = _agreed(hours)
    return _agreed([*hours, *(hour for samples in sound for hour in _second(samples, found))])


def _agreed(hours: Iterable[tuple[int, EventCounts]]) -> dict[int, EventCounts]:
    found: dict[int, EventCounts] = {}
    doubtful: set[int] = set()
    for number, count in hours:
        if not _agree(found.setdefault(number, count), count):
            doubtful.add(number)
    return {number: count for number, count in found.items() if number not in doubtful}


def _is_sound(samples: CounterSamples) -> bool:
    boundaries = sorted(samples.totals)
    if samples.since % HOUR or any(one % HOUR or one <= samples.since for one in boundaries):
        return False
    said = [
        EventCounts(Decimal(0), Decimal(0)),
        *(samples.totals[boundary] for boundary in boundaries),
    ]
    growth = [
        EventCounts(later.bad - one.bad, later.total - one.total) for one, later in pairwise(said)
    ]
    return all(-_NOISE <= more.bad <= more.total + _NOISE for more in growth)


def _hours(samples: CounterSamples) -> Iterator[tuple[int, EventCounts]]:
    nothing = EventCounts(Decimal(0), Decimal(0))
    for boundary, later in samples.totals.items():
        former = (
            nothing if boundary - HOUR == samples.since else samples.totals.get(boundary - HOUR)
        )
        if former is not None:
            yield boundary // HOUR - 1, _growth(former, later)


def _second(
    samples: CounterSamples, known_hours: Mapping[int, EventCounts]
) -> Iterator[tuple[int, EventCounts]]:
    """30 events in the first two hours, of which others say 10 for the first: 20 in the second."""
    first, two = (
        known_hours.get(samples.since // HOUR),
        samples.totals.get(samples.since + 2 * HOUR),
    )
    if first is None or two is None:
        return
    second = EventCounts(two.bad - first.bad, two.total - first.total)
    if -_NOISE <= second.bad <= second.total + _NOISE:
        yield samples.since // HOUR + 1, _growth(first, two)


def _growth(former: EventCounts, later: EventCounts) -> EventCounts:
    total = exact_decimal(float(later.total - former.total))
    return EventCounts(min(exact_decimal(float(later.bad - former.bad)), total), total)


def _agree(count: EventCounts, other: EventCounts) -> bool:
    return abs(count.bad - other.bad) <= _NOISE and abs(count.total - other.total) <= _NOISE

"""The ledger of one indicator: the events in each time range, read once and kept.

A fine ring has closed buckets of the last day, a coarse ring has hours for the longest window.
Windows, burn rates and slices are sums of these and of the open events, so a moving window or a
changed objective needs no new data. Times are whole seconds since the epoch. The ledger is a cache:
losing it costs reading again, never a decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from penstock.domain.bucket_ring import BucketRing, BucketState, RangeSum, exact_decimal
from penstock.domain.evidence import EventCounts
from penstock.domain.timeslices import TimesliceRule, count_slices

HOUR = 3_600
FINE_HOURS = 26
SPARE_HOURS = 24
# What happened in a longer one is not looked for.
LONGEST_GAP = 6 * HOUR
# When late samples have had time to come: a bucket is read again, and once more, then sealed.
REREAD_AFTER = 600
SEAL_AFTER = 3_900


class RangeCounts(NamedTuple):
    """What is known of a time range.

    Attributes:
        seconds: its length.
        range_sum: its events, and for how much of it they are known or queried.
    """

    seconds: int
    range_sum: RangeSum

    @property
    def events(self) -> EventCounts:
        """Its events."""
        return EventCounts(exact_decimal(self.range_sum.bad), exact_decimal(self.range_sum.total))

    def plus(self, more: EventCounts | None) -> EventCounts:
        """Its events and those that came since."""
        if more is None:
            return self.events
        return EventCounts(
            exact_decimal(self.range_sum.bad) + more.bad,
            exact_decimal(self.range_sum.total) + more.total,
        )

    @property
    def covered(self) -> Decimal:
        """The share of which events are known, from 0 to 1."""
        return _share(self.range_sum.covered, self.seconds)

    @property
    def queried(self) -> Decimal:
        """The share that was queried, from 0 to 1."""
        return _share(self.range_sum.queried, self.seconds)

    def is_queried(self, share: Decimal) -> bool:
        """Whether at least this share was queried."""
        return self.range_sum.queried >= self.seconds or self.queried >= share


_ALL = Decimal(1)
_NOTHING = RangeCounts(0, RangeSum())


class Ledger:
    """Buckets of one indicator; ``resolution`` is their length in seconds and divides an hour."""

    def __init__(self, resolution: int, retention: int) -> None:
        self.resolution, self.retention = resolution, retention
        self.fine = BucketRing(resolution, FINE_HOURS * HOUR // resolution)
        self.coarse = BucketRing(HOUR, retention // HOUR + SPARE_HOURS)
        self.slices: dict[TimesliceRule, BucketRing] = {}
        # Where exact closing began: before it, buckets come from backfill alone.
        self.closed_until = 0

    def extend_retention(self, retention: int) -> None:
        """A longer window wants more hours; those that are there stay."""
        if retention > self.retention:
            self.retention = retention
            for ring in (self.coarse, *self.slices.values()):
                ring.capacity = retention // HOUR + SPARE_HOURS

    def add_timeslices(self, timeslices: TimesliceRule) -> None:
        """Also keep slices of this kind, from what the fine ring still has."""
        if timeslices in self.slices:
            return
        self.slices[timeslices] = BucketRing(HOUR, self.coarse.capacity)
        for hour in range(self.fine.first * self.resolution // HOUR, self._hour(self.fine.end) + 1):
            self._sum_hour(hour)

    def close(
        self, end: int, count: EventCounts | None, state: BucketState = BucketState.CLOSED
    ) -> None:
        """Write the bucket that ends at ``end``; None: it was queried and had no data."""
        number = end // self.resolution - 1
        if state is BucketState.APPROXIMATE and self.fine.state(number) > state:
            return
        self.fine.put(number, count, state)
        self._sum_hour(number * self.resolution // HOUR)
        while self.fine.state(self.closed_until // self.resolution) >= BucketState.CLOSED:
            self.closed_until += self.resolution

    def begin(self, boundary: int) -> None:
        """Close from this boundary on; what is before it is left to the backfill."""
        self.closed_until = boundary

    def backfill(self, hour: int, parts: list[EventCounts | None], state: BucketState) -> None:
        """Write an hour that is older than the fine ring: one part, or one for each bucket."""
        if self.coarse.state(hour) > state:
            return
        there = [part for part in parts if part is not None]
        self.coarse.put(hour, _sum(there) if there else None, state)
        if there and state is BucketState.SEALED:
            self._cover_gap(hour)
        if len(parts) == HOUR // self.resolution:
            for timeslices, ring in self.slices.items():
                ring.put(hour, count_slices(timeslices, parts, self.resolution), state)

    def repair_gap(self, begin: int, end: int, count: EventCounts) -> None:
        """Write the bucket after a gap, which now holds the gap's events too."""
        self.fine.put(end // self.resolution - 1, count, BucketState.SEALED)
        self.fine.repair_gap(begin // self.resolution, end // self.resolution - 1)
        for hour in range(begin // HOUR, self._hour(end // self.resolution - 1) + 1):
            self._sum_hour(hour)

    @property
    def has_events(self) -> bool:
        """Whether anything was ever there, of all that is kept."""
        if self.fine.is_covered(self.fine.end - 1):  # as it nearly always is
            return True
        return any(ring.covered(ring.first, ring.end) > 0 for ring in (self.fine, self.coarse))

    @property
    def begins(self) -> int:
        """Nothing is known of what was before."""
        if not len(self.coarse):
            return self.fine.first * self.resolution
        return min(self.fine.first * self.resolution, self.coarse.first * HOUR)

    def counts_between(self, start: int, end: int) -> RangeCounts:
        """The events from ``start`` up to ``end``, a boundary that is closed or an hour's.

        A bucket or hour that ``start`` cuts counts by the share that lies inside.
        """
        if start >= end:
            return _NOTHING
        if start >= self.fine.first * self.resolution:
            run = self.fine.sum_between(start, end)
            if run.queried >= end - start:
                return RangeCounts(end - start, run)
        last = end // HOUR * HOUR
        newer = self.fine.sum_between(max(start, last), end)
        return RangeCounts(end - start, self.coarse.sum_between(start, last).plus(newer))

    def slices_between(self, timeslices: TimesliceRule, start: int, end: int) -> RangeCounts:
        """The slices from ``start`` up to ``end``; one that ``end`` cuts is not judged yet."""
        width = timeslices.seconds
        end = end // width * width
        first = -(-start // width) * width
        if first >= end:
            return _NOTHING
        if self.knows(first, end):
            return RangeCounts(end - first, self._sliced(timeslices, first, end))
        last = end // HOUR * HOUR
        newer = self._sliced(timeslices, max(first, last), end)
        return RangeCounts(
            end - first, self.slices[timeslices].sum_between(first, last).plus(newer)
        )

    def hours(self, start: int, timeslices: TimesliceRule | None) -> Iterator[tuple[int, Decimal]]:
        """Each hour from the one around ``start`` on, oldest first: its end and what was bad."""
        ring = self.coarse if timeslices is None else self.slices[timeslices]
        for hour in range(max(start // HOUR, ring.first), ring.end):
            yield (hour + 1) * HOUR, ring.sums(hour, hour + 1).bad

    def _sliced(self, timeslices: TimesliceRule, start: int, end: int) -> RangeSum:
        begin, finish = start // self.resolution, end // self.resolution
        counts = count_slices(
            timeslices,
            [self.fine.count(number) for number in range(begin, finish)],
            self.resolution,
        )
        covered, known = self.fine.covered(begin, finish), self.fine.known(begin, finish)
        return RangeSum(
            float(counts.bad),
            float(counts.total),
            covered * self.resolution,
            known * self.resolution,
        )

    def knows(self, start: int, end: int) -> bool:
        """Whether the whole fine ring from ``start`` to ``end`` was queried."""
        begin, finish = start // self.resolution, -(-end // self.resolution)
        return self.fine.known(begin, finish) == finish - begin

    def to_close(self, boundary: int) -> tuple[int, int] | None:
        """The first and the last end of the buckets up to ``boundary`` that are not closed."""
        first = self.closed_until + self.resolution
        return (first, boundary) if first <= boundary else None

    def to_reread(self, now: int) -> list[int]:
        """Ends of buckets that late samples may have changed, each due for its next reading."""
        oldest = max(self.fine.first, (now - FINE_HOURS * HOUR) // self.resolution)
        due = [
            number
            for state, age in ((BucketState.CLOSED, REREAD_AFTER), (BucketState.REREAD, SEAL_AFTER))
            for number in self.fine.in_state(state, oldest, (now - age) // self.resolution)
        ]
        return sorted((number + 1) * self.resolution for number in due)

    def next_state(self, end: int, now: int) -> BucketState:
        """What a bucket that is read now becomes."""
        if now - end >= SEAL_AFTER:
            return BucketState.SEALED
        return BucketState.REREAD if now - end >= REREAD_AFTER else BucketState.CLOSED

    def gap_before(self, end: int) -> tuple[int, int] | None:
        """Begin and end of the empty range before a bucket with events, both included.

        None unless there are events before it that it can be measured from. A short one counts too:
        what began in it is new, however long ago that was.
        """
        number = end // self.resolution - 1
        begin = number
        while begin > self.fine.first and self.fine.is_empty(begin - 1):
            begin -= 1
        if begin == number or self.fine.is_covered(begin):
            return None
        if self.fine.count(number) is None or self.fine.count(begin - 1) is None:
            return None
        return begin * self.resolution, end

    def to_backfill(self, start: int) -> int | None:
        """The newest hour since ``start`` that was never queried, as long as it is needed."""
        begin, end = start // HOUR, self.closed_until // HOUR
        rings = (self.coarse, *self.slices.values())
        unknown = [ring.newest_unknown(begin, end) for ring in rings]
        return max((hour for hour in unknown if hour is not None), default=None)

    def unknown_up_to(self, hour: int, first: int) -> int:
        """The oldest of the hours in a row up to ``hour`` that were never queried."""
        rings = (self.coarse, *self.slices.values())
        while hour > first and any(ring.state(hour - 1) is BucketState.UNKNOWN for ring in rings):
            hour -= 1
        return hour

    def to_refine(self, start: int) -> int | None:
        """The newest hour since ``start`` that was read by plain increase alone."""
        return self.coarse.newest_approximate(start // HOUR, self.closed_until // HOUR)

    def _cover_gap(self, hour: int) -> None:
        """An hour that was read exactly holds what happened in the empty ones before it."""
        begin = hour
        while self.coarse.is_empty(begin - 1):
            begin -= 1
        if (hour - begin) * HOUR < LONGEST_GAP and self.coarse.count(begin - 1) is not None:
            self.coarse.repair_gap(begin, hour)

    def _hour(self, number: int) -> int:
        return number * self.resolution // HOUR

    def _sum_hour(self, hour: int) -> None:
        """An hour all of whose buckets are known is their sum."""
        begin = hour * HOUR // self.resolution
        numbers = range(begin, begin + HOUR // self.resolution)
        if begin < self.fine.first or self.fine.known(begin, numbers.stop) < len(numbers):
            return
        state = min(self.fine.state(number) for number in numbers)
        covered = self.fine.covered(begin, numbers.stop)
        count = self.fine.sums(begin, numbers.stop) if covered else None
        self.coarse.put(hour, count, state)
        for timeslices, ring in self.slices.items():
            parts = [self.fine.count(number) for number in numbers]
            ring.put(hour, count_slices(timeslices, parts, self.resolution), state)


def _share(part: int, seconds: int) -> Decimal:
    """Of no time at all, everything is known."""
    return _ALL if part >= seconds else exact_decimal(part / seconds)


def _sum(counts: list[EventCounts]) -> EventCounts:
    return EventCounts(
        sum((count.bad for count in counts), Decimal(0)),
        sum((count.total for count in counts), Decimal(0)),
    )

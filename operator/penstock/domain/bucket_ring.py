"""Consecutive time buckets of one length, each with its bad and total events.

They are stored as running sums, so that the events of any range are two look-ups, whatever its
length: reading seven windows of a month takes microseconds and no numpy. Sums are binary floats, as
a metrics server sends them. Whole numbers are exact in them up to 2^53, and what is read becomes a
``Decimal``. Nothing here decides.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from decimal import Decimal
from enum import IntEnum
from operator import add
from typing import NamedTuple

from penstock.domain.evidence import EventCounts

_PLACES = 6
_MANY = 1_024
_GRID, _GRID_OF_FEW = 2.0**20, 2.0**40


class BucketState(IntEnum):
    """How far a bucket can be relied on; a later read replaces an earlier one.

    UNKNOWN was never queried. APPROXIMATE was read by plain increase, which loses first values.
    CLOSED was read exactly once, REREAD once more after late samples had time to arrive, and SEALED
    for the last time.
    """

    UNKNOWN = 0
    APPROXIMATE = 1
    CLOSED = 2
    REREAD = 3
    SEALED = 4


_STATE_MASK = 0x0F
_EMPTY = 0x10  # queried, and there was nothing
_NOTHING_THERE = tuple(_EMPTY | state for state in BucketState if state)
_BLANK = (int(BucketState.UNKNOWN), *_NOTHING_THERE)
_NONE = Decimal(0)
_NOTHING = EventCounts(_NONE, _NONE)
_REPAIRED = 0x20  # empty, but its events are counted in the bucket after it


class RangeSum(NamedTuple):
    """A range of buckets: its events, and for how many seconds these are known or queried."""

    bad: float = 0.0
    total: float = 0.0
    covered: int = 0
    queried: int = 0

    def plus(self, newer: RangeSum) -> RangeSum:
        """Both, one after the other."""
        return RangeSum(*map(add, self, newer))


class BucketRing:
    """Buckets of ``length`` seconds; number n covers the time after n x length up to its end.

    At most ``capacity`` are kept, the newest. Numbers are whole since the epoch, so that the same
    bucket has the same number in every process.
    """

    def __init__(self, length: int, capacity: int) -> None:
        self.length, self.capacity = length, capacity
        self._first = 0
        self._flags = bytearray()
        self._bad, self._total = array("d", [0.0]), array("d", [0.0])
        self._whole_from: int | None = None

    def __len__(self) -> int:
        return len(self._flags)

    @property
    def first(self) -> int:
        """The oldest number that is kept."""
        return self._first

    @property
    def end(self) -> int:
        """The number after the newest; equal to ``first`` when there is none."""
        return self._first + len(self._flags)

    @property
    def size_in_bytes(self) -> int:
        """What its buckets take in memory."""
        sums = (self._bad, self._total)
        return len(self._flags) + sum(one.itemsize * len(one) for one in sums)

    def put(self, number: int, count: EventCounts | None, state: BucketState) -> None:
        """Write one bucket; None says that it was queried and had no data."""
        self.put_with_flags(number, count or _NOTHING, state | (0 if count else _EMPTY))

    def put_with_flags(self, number: int, count: EventCounts, flags: int) -> None:
        """Write one bucket that ``flags`` describes.

        Raises:
            ValueError: there are no such flags.
        """
        if flags & ~(_STATE_MASK | _EMPTY | _REPAIRED) or flags & _STATE_MASK > BucketState.SEALED:
            raise ValueError("no mark of a stretch")
        if not self._flags:
            self._first = number
        if number < self.end - self.capacity:
            return
        self._extend_to(number)
        index = number - self._first
        self._flags[index], self._whole_from = flags, None
        self._set(self._bad, index, _snapped(float(count.bad)))
        self._set(self._total, index, _snapped(float(count.total)))
        self._trim()

    def state(self, number: int) -> BucketState:
        """How far one bucket can be relied on."""
        return BucketState(self.flags(number) & _STATE_MASK)

    def is_empty(self, number: int) -> bool:
        """Whether it was queried and had no data."""
        return bool(self.flags(number) & _EMPTY)

    def is_covered(self, number: int) -> bool:
        """Whether its events are known, possibly as part of the bucket after it."""
        flags = self.flags(number)
        return flags & _STATE_MASK > 0 and (not flags & _EMPTY or bool(flags & _REPAIRED))

    def count(self, number: int) -> EventCounts | None:
        """The events of one bucket; None if none are known."""
        known = self.state(number) is not BucketState.UNKNOWN and not self.is_empty(number)
        return self.sums(number, number + 1) if known else None

    def repair_gap(self, begin: int, end: int) -> None:
        """The events of these empty buckets have been counted in the one after them."""
        self._whole_from = None
        for number in range(max(begin, self._first), min(end, self.end)):
            self._flags[number - self._first] |= _REPAIRED

    def sums(self, begin: int, end: int) -> EventCounts:
        """All events of the buckets from ``begin`` up to but without ``end``."""
        low, high = self._indices(begin, end)
        return EventCounts(
            exact_decimal(self._bad[high] - self._bad[low]),
            exact_decimal(self._total[high] - self._total[low]),
        )

    def sum_between(self, start: int, end: int) -> RangeSum:
        """The events from ``start`` up to ``end``, in seconds since the epoch.

        A bucket that ``start`` cuts is prorated: an hour with 20 minutes inside counts a third of
        its events.
        """
        if start >= end:
            return RangeSum()
        first, length, bad, total = self._first, self.length, self._bad, self._total
        begin = start // length
        low, edge, high = begin - first, begin + 1 - first, -(-end // length) - first
        if low < 0 or high > len(self._flags):
            low, edge, high = self._index(begin), self._index(begin + 1), self._index(first + high)
            high = max(edge, high)
        cut = (begin + 1) * length
        # Of a bucket that is not kept nothing lies inside.
        seconds = (cut if cut < end else end) - start if low < edge else 0
        inside = seconds / length
        if low >= self._blank_until():
            covered = asked = seconds + length * (high - edge)
        else:
            covered = seconds * self._covered(low, edge) + length * self._covered(edge, high)
            asked = seconds * self._known(low, edge) + length * self._known(edge, high)
        bad_edge, total_edge = bad[edge], total[edge]
        return RangeSum(
            inside * (bad_edge - bad[low]) + bad[high] - bad_edge,
            inside * (total_edge - total[low]) + total[high] - total_edge,
            covered,
            asked,
        )

    def covered(self, begin: int, end: int) -> int:
        """How many of these buckets have events that are known."""
        return self._covered(*self._indices(begin, end))

    def known(self, begin: int, end: int) -> int:
        """How many of these buckets were queried."""
        low, high = self._indices(begin, end)
        return high - low if low >= self._blank_until() else self._known(low, high)

    def in_state(self, state: BucketState, begin: int, end: int) -> Iterator[int]:
        """The numbers of these buckets that are in one state, in no order."""
        low, high = self._indices(begin, end)
        for flags in (0, _EMPTY, _REPAIRED, _EMPTY | _REPAIRED):
            index = self._flags.find(state | flags, low, high)
            while index >= 0:
                yield self._first + index
                index = self._flags.find(state | flags, index + 1, high)

    def newest_unknown(self, begin: int, end: int) -> int | None:
        """The newest of these buckets that was never queried, stored or not."""
        if begin >= end:
            return None
        if end > self.end or end <= self._first:
            return end - 1
        low, high = self._indices(begin, end)
        index = self._flags.rfind(0, low, high)
        if index >= 0:
            return self._first + index
        return self._first - 1 if begin < self._first else None

    def newest_approximate(self, begin: int, end: int) -> int | None:
        """The newest of these buckets whose events were read only by plain increase."""
        index = self._flags.rfind(BucketState.APPROXIMATE, *self._indices(begin, end))
        return self._first + index if index >= 0 else None

    def _indices(self, begin: int, end: int) -> tuple[int, int]:
        """Where these numbers lie, as far as they are kept; the second is never the lower."""
        low = self._index(begin)
        return low, max(low, self._index(end))

    def _index(self, number: int) -> int:
        index, size = number - self._first, len(self._flags)
        if index < 0:
            return 0
        return index if index < size else size

    def _known(self, low: int, high: int) -> int:
        return high - low - self._flags.count(0, low, high)

    def _covered(self, low: int, high: int) -> int:
        marks = self._flags
        empty = sum([marks.count(one, low, high) for one in _NOTHING_THERE])
        return high - low - marks.count(0, low, high) - empty

    def _blank_until(self) -> int:
        """From this index on all events are known, as nearly always; worked out when it changed."""
        if self._whole_from is None:
            self._whole_from = 1 + max(self._flags.rfind(one) for one in _BLANK)
        return self._whole_from

    def flags(self, number: int) -> int:
        """State and flags of one bucket, as a snapshot keeps them."""
        index = number - self._first
        return self._flags[index] if 0 <= index < len(self._flags) else 0

    def _extend_to(self, number: int) -> None:
        """Make room for a number: what lies between is unknown."""
        if number < self._first:
            more = self._first - number
            self._flags[:0] = bytes(more)
            for sums in (self._bad, self._total):
                sums[:0] = array("d", [sums[0]] * more)
            self._first = number
        elif number >= self.end:
            more = number + 1 - self.end
            if more > self.capacity:
                self._flags, self._first = bytearray(), number + 1 - self.capacity
                self._bad, self._total, more = array("d", [0.0]), array("d", [0.0]), self.capacity
            self._flags += bytes(more)
            for sums in (self._bad, self._total):
                sums.extend([sums[-1]] * more)

    def _set(self, sums: array[float], index: int, value: float) -> None:
        change = value - (sums[index + 1] - sums[index])
        if change:
            for later in range(index + 1, len(sums)):
                sums[later] += change

    def _trim(self) -> None:
        over = len(self._flags) - self.capacity
        if over > 0:
            del self._flags[:over]
            for sums in (self._bad, self._total):
                del sums[:over]
            self._first += over


def _snapped(value: float) -> float:
    """Many events to a millionth, few (which may be shares of one) finer: running sums are exact.

    Binary fractions of 20 places add up without error below 8 thousand million. Else 400 million
    events, of which a fraction was put and taken away again, would be off by a millionth.
    """
    grid = _GRID if value >= _MANY else _GRID_OF_FEW
    return round(value * grid) / grid


def exact_decimal(value: float) -> Decimal:
    """A difference of running sums, without the noise that fractions leave in the last places."""
    if value <= 0:
        return _NONE
    return Decimal(int(value)) if value.is_integer() else Decimal(f"{value:.{_PLACES}f}")

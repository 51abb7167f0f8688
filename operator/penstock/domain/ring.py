"""Consecutive stretches of time of one length, each with its bad and total events.

Kept as running sums, so that the events of any run of stretches are two look-ups, whatever its
length: reading seven windows of a month takes microseconds and no numpy. Sums are binary floats,
as a metrics server sends them: whole numbers are exact in them up to 2^53, and what is read out
becomes a ``Decimal``. Nothing here decides.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from decimal import Decimal
from enum import IntEnum
from operator import add
from typing import NamedTuple

from penstock.domain.evidence import Count

_PLACES = 6
_MANY = 1_024
_GRID, _GRID_OF_FEW = 2.0**20, 2.0**40


class Stage(IntEnum):
    """How far a stretch can be relied on; a later reading replaces an earlier one.

    UNKNOWN was never asked for. APPROXIMATE was read by plain increase, which loses first values.
    CLOSED was read exactly once, REREAD once more after late samples had time to come, and SEALED
    for the last time.
    """

    UNKNOWN = 0
    APPROXIMATE = 1
    CLOSED = 2
    REREAD = 3
    SEALED = 4


_STAGE = 0x0F
_EMPTY = 0x10  # asked for, and there was nothing
_NOTHING_THERE = tuple(_EMPTY | stage for stage in Stage if stage)
_BLANK = (int(Stage.UNKNOWN), *_NOTHING_THERE)
_NONE = Decimal(0)
_NOTHING = Count(_NONE, _NONE)
_MENDED = 0x20  # empty, but its events are counted in the stretch after it


class Run(NamedTuple):
    """A run of stretches: its events, and seconds of which they are known or were asked for."""

    bad: float = 0.0
    total: float = 0.0
    covered: int = 0
    asked: int = 0

    def and_then(self, newer: Run) -> Run:
        """Both, one after the other."""
        return Run(*map(add, self, newer))


class Ring:
    """Stretches of ``length`` seconds; number n covers the time after n x length up to its end.

    At most ``keep`` are kept, the newest. Numbers are whole since the epoch, so that the same
    stretch has the same number in every process.
    """

    def __init__(self, length: int, keep: int) -> None:
        self.length, self.keep = length, keep
        self._first = 0
        self._marks = bytearray()
        self._bad, self._total = array("d", [0.0]), array("d", [0.0])
        self._whole_from: int | None = None

    def __len__(self) -> int:
        return len(self._marks)

    @property
    def first(self) -> int:
        """The oldest number that is kept."""
        return self._first

    @property
    def end(self) -> int:
        """The number after the newest; equal to ``first`` when there is none."""
        return self._first + len(self._marks)

    @property
    def size_in_bytes(self) -> int:
        """What its stretches take in memory."""
        sums = (self._bad, self._total)
        return len(self._marks) + sum(one.itemsize * len(one) for one in sums)

    def put(self, number: int, count: Count | None, stage: Stage) -> None:
        """Write one stretch; None says that it was asked for and nothing was there."""
        self.put_marked(number, count or _NOTHING, stage | (0 if count else _EMPTY))

    def put_marked(self, number: int, count: Count, mark: int) -> None:
        """Write one stretch that ``mark`` describes.

        Raises:
            ValueError: there is no such mark.
        """
        if mark & ~(_STAGE | _EMPTY | _MENDED) or mark & _STAGE > Stage.SEALED:
            raise ValueError("no mark of a stretch")
        if not self._marks:
            self._first = number
        if number < self.end - self.keep:
            return
        self._reach(number)
        index = number - self._first
        self._marks[index], self._whole_from = mark, None
        self._set(self._bad, index, _snapped(float(count.bad)))
        self._set(self._total, index, _snapped(float(count.total)))
        self._trim()

    def stage(self, number: int) -> Stage:
        """How far one stretch can be relied on."""
        return Stage(self.mark(number) & _STAGE)

    def is_empty(self, number: int) -> bool:
        """Whether it was asked for and nothing was there."""
        return bool(self.mark(number) & _EMPTY)

    def is_covered(self, number: int) -> bool:
        """Whether its events are known, be it in the stretch after it."""
        mark = self.mark(number)
        return mark & _STAGE > 0 and (not mark & _EMPTY or bool(mark & _MENDED))

    def count(self, number: int) -> Count | None:
        """The events of one stretch; None where there are none to speak of."""
        known = self.stage(number) is not Stage.UNKNOWN and not self.is_empty(number)
        return self.sums(number, number + 1) if known else None

    def mend(self, begin: int, end: int) -> None:
        """The events of these empty stretches have been counted in the one after them."""
        self._whole_from = None
        for number in range(max(begin, self._first), min(end, self.end)):
            self._marks[number - self._first] |= _MENDED

    def sums(self, begin: int, end: int) -> Count:
        """All events of the stretches from ``begin`` up to but without ``end``."""
        low, high = self._indices(begin, end)
        return Count(
            exact(self._bad[high] - self._bad[low]), exact(self._total[high] - self._total[low])
        )

    def run(self, start: int, end: int) -> Run:
        """What there is from ``start`` up to ``end``, in seconds since the epoch.

        The stretch that ``start`` cuts counts by the share that lies after it: an hour of which 20
        minutes lie inside counts a third of its events.
        """
        if start >= end:
            return Run()
        first, length, bad, total = self._first, self.length, self._bad, self._total
        begin = start // length
        low, edge, high = begin - first, begin + 1 - first, -(-end // length) - first
        if low < 0 or high > len(self._marks):
            low, edge, high = self._index(begin), self._index(begin + 1), self._index(first + high)
            high = max(edge, high)
        cut = (begin + 1) * length
        # Of a stretch that is not kept nothing lies inside.
        seconds = (cut if cut < end else end) - start if low < edge else 0
        inside = seconds / length
        if low >= self._blank_until():
            covered = asked = seconds + length * (high - edge)
        else:
            covered = seconds * self._covered(low, edge) + length * self._covered(edge, high)
            asked = seconds * self._known(low, edge) + length * self._known(edge, high)
        bad_edge, total_edge = bad[edge], total[edge]
        return Run(
            inside * (bad_edge - bad[low]) + bad[high] - bad_edge,
            inside * (total_edge - total[low]) + total[high] - total_edge,
            covered,
            asked,
        )

    def covered(self, begin: int, end: int) -> int:
        """How many of these stretches have events that are known."""
        return self._covered(*self._indices(begin, end))

    def known(self, begin: int, end: int) -> int:
        """How many of these stretches have been asked for."""
        low, high = self._indices(begin, end)
        return high - low if low >= self._blank_until() else self._known(low, high)

    def of_stage(self, stage: Stage, begin: int, end: int) -> Iterator[int]:
        """The numbers of these stretches that are of one stage, in no order."""
        low, high = self._indices(begin, end)
        for flags in (0, _EMPTY, _MENDED, _EMPTY | _MENDED):
            index = self._marks.find(stage | flags, low, high)
            while index >= 0:
                yield self._first + index
                index = self._marks.find(stage | flags, index + 1, high)

    def newest_unknown(self, begin: int, end: int) -> int | None:
        """The newest of these stretches that was never asked for, kept or not."""
        if begin >= end:
            return None
        if end > self.end or end <= self._first:
            return end - 1
        low, high = self._indices(begin, end)
        index = self._marks.rfind(0, low, high)
        if index >= 0:
            return self._first + index
        return self._first - 1 if begin < self._first else None

    def newest_approximate(self, begin: int, end: int) -> int | None:
        """The newest of these stretches whose events were read by plain increase alone."""
        index = self._marks.rfind(Stage.APPROXIMATE, *self._indices(begin, end))
        return self._first + index if index >= 0 else None

    def _indices(self, begin: int, end: int) -> tuple[int, int]:
        """Where these numbers lie, as far as they are kept; the second is never the lower."""
        low = self._index(begin)
        return low, max(low, self._index(end))

    def _index(self, number: int) -> int:
        index, size = number - self._first, len(self._marks)
        if index < 0:
            return 0
        return index if index < size else size

    def _known(self, low: int, high: int) -> int:
        return high - low - self._marks.count(0, low, high)

    def _covered(self, low: int, high: int) -> int:
        marks = self._marks
        empty = sum([marks.count(one, low, high) for one in _NOTHING_THERE])
        return high - low - marks.count(0, low, high) - empty

    def _blank_until(self) -> int:
        """From this index on all events are known, as nearly always; worked out when it changed."""
        if self._whole_from is None:
            self._whole_from = 1 + max(self._marks.rfind(one) for one in _BLANK)
        return self._whole_from

    def mark(self, number: int) -> int:
        """Stage and flags of one stretch, as a snapshot keeps them."""
        index = number - self._first
        return self._marks[index] if 0 <= index < len(self._marks) else 0

    def _reach(self, number: int) -> None:
        """Make room for a number: what lies between is unknown."""
        if number < self._first:
            more = self._first - number
            self._marks[:0] = bytes(more)
            for sums in (self._bad, self._total):
                sums[:0] = array("d", [sums[0]] * more)
            self._first = number
        elif number >= self.end:
            more = number + 1 - self.end
            if more > self.keep:
                self._marks, self._first = bytearray(), number + 1 - self.keep
                self._bad, self._total, more = array("d", [0.0]), array("d", [0.0]), self.keep
            self._marks += bytes(more)
            for sums in (self._bad, self._total):
                sums.extend([sums[-1]] * more)

    def _set(self, sums: array[float], index: int, value: float) -> None:
        change = value - (sums[index + 1] - sums[index])
        if change:
            for later in range(index + 1, len(sums)):
                sums[later] += change

    def _trim(self) -> None:
        over = len(self._marks) - self.keep
        if over > 0:
            del self._marks[:over]
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


def exact(value: float) -> Decimal:
    """A difference of running sums, without the noise that fractions leave in the last places."""
    if value <= 0:
        return _NONE
    return Decimal(int(value)) if value.is_integer() else Decimal(f"{value:.{_PLACES}f}")

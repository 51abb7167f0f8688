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

from penstock.domain.evidence import Count

_PLACES = 6


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
_NOTHING = Count(Decimal(0), Decimal(0))
_MENDED = 0x20  # empty, but its events are counted in the stretch after it


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
        """Write one stretch as ``mark`` told of it.

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
        self._marks[index] = mark
        self._set(self._bad, index, float(count.bad))
        self._set(self._total, index, float(count.total))
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
        for number in range(max(begin, self._first), min(end, self.end)):
            self._marks[number - self._first] |= _MENDED

    def sums(self, begin: int, end: int) -> Count:
        """All events of the stretches from ``begin`` up to but without ``end``."""
        low = min(max(begin - self._first, 0), len(self._marks))
        high = max(min(end - self._first, len(self._marks)), low)
        return Count(_between(self._bad, low, high), _between(self._total, low, high))

    def covered(self, begin: int, end: int) -> int:
        """How many of these stretches have events that are known."""
        return sum(map(self.is_covered, self._within(begin, end)))

    def known(self, begin: int, end: int) -> int:
        """How many of these stretches have been asked for."""
        return sum(1 for number in self._within(begin, end) if self.mark(number) & _STAGE)

    def of_stage(self, stage: Stage, begin: int, end: int) -> Iterator[int]:
        """The numbers of these stretches that are of one stage."""
        return (number for number in self._within(begin, end) if self.stage(number) is stage)

    def _within(self, begin: int, end: int) -> range:
        return range(max(begin, self._first), min(end, self.end))

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


def _between(sums: array[float], low: int, high: int) -> Decimal:
    """A difference of running sums, without the noise that fractions leave in the last places."""
    return max(Decimal(0), Decimal(str(round(sums[high] - sums[low], _PLACES))))

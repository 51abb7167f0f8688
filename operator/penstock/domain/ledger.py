"""The ledger of one indicator: what happened in each stretch of time, read once and kept.

A fine ring holds closed buckets of the last day, a coarse ring hours for as long as any window
reaches. Windows, burn rates and slices are sums of these and of what is still open, so a window
that moves, or an objective that changes, needs no new data. Times are whole seconds since the
epoch; the ledger is a cache, and losing it costs reading again, never a decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from penstock.domain.evidence import Count
from penstock.domain.ring import Ring, Run, Stage, exact
from penstock.domain.slices import Slicing, sliced

HOUR = 3_600
FINE_HOURS = 26
SPARE_HOURS = 24
# What happened in a longer one is not looked for.
LONGEST_GAP = 6 * HOUR
# When late samples have had time to come: a bucket is read again, and once more, then sealed.
REREAD_AFTER = 600
SEAL_AFTER = 3_900


class Stretch(NamedTuple):
    """What is known of a stretch of time.

    Attributes:
        seconds: how long it is.
        run: its events, and of how much of it they are known or were asked for.
    """

    seconds: int
    run: Run

    @property
    def events(self) -> Count:
        """Its events."""
        return Count(exact(self.run.bad), exact(self.run.total))

    def plus(self, more: Count | None) -> Count:
        """Its events and those that came since."""
        if more is None:
            return self.events
        return Count(exact(self.run.bad) + more.bad, exact(self.run.total) + more.total)

    @property
    def covered(self) -> Decimal:
        """The share that events are known of, from 0 to 1."""
        return _share(self.run.covered, self.seconds)

    @property
    def asked(self) -> Decimal:
        """The share that has been asked for, from 0 to 1."""
        return _share(self.run.asked, self.seconds)

    def is_asked(self, share: Decimal) -> bool:
        """Whether at least this share has been asked for."""
        return self.run.asked >= self.seconds or self.asked >= share


_ALL = Decimal(1)
_NOTHING = Stretch(0, Run())


class Ledger:
    """Buckets of one indicator; ``grain`` is their length in seconds and divides an hour."""

    def __init__(self, grain: int, reach: int) -> None:
        self.grain, self.reach = grain, reach
        self.fine = Ring(grain, FINE_HOURS * HOUR // grain)
        self.coarse = Ring(HOUR, reach // HOUR + SPARE_HOURS)
        self.slices: dict[Slicing, Ring] = {}
        # Where exact closing began: before it, buckets come from backfill alone.
        self.closed_until = 0

    def stretch_out(self, reach: int) -> None:
        """A longer window wants more hours; those that are there stay."""
        if reach > self.reach:
            self.reach = reach
            for ring in (self.coarse, *self.slices.values()):
                ring.keep = reach // HOUR + SPARE_HOURS

    def slice_by(self, slicing: Slicing) -> None:
        """Also keep slices of this kind, from what the fine ring still has."""
        if slicing in self.slices:
            return
        self.slices[slicing] = Ring(HOUR, self.coarse.keep)
        for hour in range(self.fine.first * self.grain // HOUR, self._hour(self.fine.end) + 1):
            self._total_up(hour)

    def close(self, end: int, count: Count | None, stage: Stage = Stage.CLOSED) -> None:
        """Write the bucket that ends at ``end``; None: it was asked for, and nothing was there."""
        number = end // self.grain - 1
        if stage is Stage.APPROXIMATE and self.fine.stage(number) > stage:
            return
        self.fine.put(number, count, stage)
        self._total_up(number * self.grain // HOUR)
        while self.fine.stage(self.closed_until // self.grain) >= Stage.CLOSED:
            self.closed_until += self.grain

    def begin(self, border: int) -> None:
        """Close from this border on; what lies before it is for the backfill."""
        self.closed_until = border

    def fill(self, hour: int, parts: list[Count | None], stage: Stage) -> None:
        """Write an hour that is older than the fine ring: one part, or one for each bucket."""
        if self.coarse.stage(hour) > stage:
            return
        there = [part for part in parts if part is not None]
        self.coarse.put(hour, _sum(there) if there else None, stage)
        if there and stage is Stage.SEALED:
            self._cover_gap(hour)
        if len(parts) == HOUR // self.grain:
            for slicing, ring in self.slices.items():
                ring.put(hour, sliced(slicing, parts, self.grain), stage)

    def mend(self, begin: int, end: int, count: Count) -> None:
        """Write the bucket after a gap, which now holds the gap's events too."""
        self.fine.put(end // self.grain - 1, count, Stage.SEALED)
        self.fine.mend(begin // self.grain, end // self.grain - 1)
        for hour in range(begin // HOUR, self._hour(end // self.grain - 1) + 1):
            self._total_up(hour)

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
            return self.fine.first * self.grain
        return min(self.fine.first * self.grain, self.coarse.first * HOUR)

    def over(self, start: int, end: int) -> Stretch:
        """The events from ``start`` up to ``end``, a border that is closed or an hour's.

        A bucket or hour that ``start`` cuts counts by the share that lies inside.
        """
        if start >= end:
            return _NOTHING
        if start >= self.fine.first * self.grain:
            run = self.fine.run(start, end)
            if run.asked >= end - start:
                return Stretch(end - start, run)
        last = end // HOUR * HOUR
        newer = self.fine.run(max(start, last), end)
        return Stretch(end - start, self.coarse.run(start, last).and_then(newer))

    def slices_over(self, slicing: Slicing, start: int, end: int) -> Stretch:
        """The slices from ``start`` up to ``end``; one that ``end`` cuts is not judged yet."""
        width = slicing.seconds
        end = end // width * width
        first = -(-start // width) * width
        if first >= end:
            return _NOTHING
        if self.knows(first, end):
            return Stretch(end - first, self._sliced(slicing, first, end))
        last = end // HOUR * HOUR
        newer = self._sliced(slicing, max(first, last), end)
        return Stretch(end - first, self.slices[slicing].run(first, last).and_then(newer))

    def hours(self, start: int, slicing: Slicing | None) -> Iterator[tuple[int, Decimal]]:
        """Each hour from the one around ``start`` on, oldest first: its end and what was bad."""
        ring = self.coarse if slicing is None else self.slices[slicing]
        for hour in range(max(start // HOUR, ring.first), ring.end):
            yield (hour + 1) * HOUR, ring.sums(hour, hour + 1).bad

    def _sliced(self, slicing: Slicing, start: int, end: int) -> Run:
        begin, finish = start // self.grain, end // self.grain
        found = sliced(
            slicing, [self.fine.count(number) for number in range(begin, finish)], self.grain
        )
        covered, known = self.fine.covered(begin, finish), self.fine.known(begin, finish)
        return Run(float(found.bad), float(found.total), covered * self.grain, known * self.grain)

    def knows(self, start: int, end: int) -> bool:
        """Whether all of the fine ring from ``start`` to ``end`` has been asked for."""
        begin, finish = start // self.grain, -(-end // self.grain)
        return self.fine.known(begin, finish) == finish - begin

    def to_close(self, border: int) -> tuple[int, int] | None:
        """The first and the last end of the buckets up to ``border`` that are not closed."""
        first = self.closed_until + self.grain
        return (first, border) if first <= border else None

    def to_read_again(self, now: int) -> list[int]:
        """Ends of buckets that late samples may have changed, each due for its next reading."""
        oldest = max(self.fine.first, (now - FINE_HOURS * HOUR) // self.grain)
        due = [
            number
            for stage, age in ((Stage.CLOSED, REREAD_AFTER), (Stage.REREAD, SEAL_AFTER))
            for number in self.fine.of_stage(stage, oldest, (now - age) // self.grain)
        ]
        return sorted((number + 1) * self.grain for number in due)

    def next_stage(self, end: int, now: int) -> Stage:
        """What a bucket that is read now becomes."""
        if now - end >= SEAL_AFTER:
            return Stage.SEALED
        return Stage.REREAD if now - end >= REREAD_AFTER else Stage.CLOSED

    def gap_before(self, end: int) -> tuple[int, int] | None:
        """Begin and end of the stretch of nothing before a bucket with events, both included.

        None unless there are events before it that it can be measured from. A short one counts too:
        what began in it is new, however long ago that was.
        """
        number = end // self.grain - 1
        begin = number
        while begin > self.fine.first and self.fine.is_empty(begin - 1):
            begin -= 1
        if begin == number or self.fine.is_covered(begin):
            return None
        if self.fine.count(number) is None or self.fine.count(begin - 1) is None:
            return None
        return begin * self.grain, end

    def to_fill(self, start: int) -> int | None:
        """The newest hour since ``start`` that was never asked for, as long as it is needed."""
        begin, end = start // HOUR, self.closed_until // HOUR
        rings = (self.coarse, *self.slices.values())
        unknown = [ring.newest_unknown(begin, end) for ring in rings]
        return max((hour for hour in unknown if hour is not None), default=None)

    def unknown_up_to(self, hour: int, first: int) -> int:
        """The oldest hour of those up to ``hour`` in a row that were never asked for."""
        rings = (self.coarse, *self.slices.values())
        while hour > first and any(ring.stage(hour - 1) is Stage.UNKNOWN for ring in rings):
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
            self.coarse.mend(begin, hour)

    def _hour(self, number: int) -> int:
        return number * self.grain // HOUR

    def _total_up(self, hour: int) -> None:
        """An hour all of whose buckets are known is their sum."""
        begin = hour * HOUR // self.grain
        numbers = range(begin, begin + HOUR // self.grain)
        if begin < self.fine.first or self.fine.known(begin, numbers.stop) < len(numbers):
            return
        stage = min(self.fine.stage(number) for number in numbers)
        covered = self.fine.covered(begin, numbers.stop)
        count = self.fine.sums(begin, numbers.stop) if covered else None
        self.coarse.put(hour, count, stage)
        for slicing, ring in self.slices.items():
            parts = [self.fine.count(number) for number in numbers]
            ring.put(hour, sliced(slicing, parts, self.grain), stage)


def _share(part: int, seconds: int) -> Decimal:
    """Of no time at all, everything is known."""
    return _ALL if part >= seconds else exact(part / seconds)


def _sum(counts: list[Count]) -> Count:
    return Count(
        sum((one.bad for one in counts), Decimal(0)), sum((one.total for one in counts), Decimal(0))
    )

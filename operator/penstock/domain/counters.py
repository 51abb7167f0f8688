"""What a ledger has counted as counters, from which its hours can be read back.

A counter that merely grew would not say which hours it holds: after an outage several are closed at
once. So these hold, whenever they are seen, just the hours from the border that is written on them
up to the last border that is two hours old, each read for the last time. What cannot be said so is
not said at all, and the hour that is missing is read from the source as if there were no counters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from penstock.domain.evidence import Count
from penstock.domain.ledger import HOUR, Ledger
from penstock.domain.ring import Stage, exact

# The last reading of a bucket comes 65 minutes after its end.
RIPE_AFTER = 2 * HOUR
# For this long after the full hour, counters may lack the hour that has just become ripe, ...
GRACE = 20 * 60
# ... and this long after it they are read back: by a server that shows samples of up to 35 minutes.
SEEN_AT = 55 * 60
# What running sums and the thousandths of a snapshot may differ by.
_NOISE = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Counted:
    """All events from one border of an hour to another, in seconds since the epoch."""

    since: int
    until: int
    count: Count

    def is_current(self, now: int) -> bool:
        """Whether whoever sees it now knows by the time alone how far it goes."""
        return ripe(now - GRACE) <= self.until <= ripe(now)


def ripe(now: int) -> int:
    """The border of an hour up to which no count changes any more: of 12:10 it is 10:00."""
    return (now - RIPE_AFTER) // HOUR * HOUR


def counted(former: Counted | None, ledger: Ledger, start: int, now: int) -> Counted | None:
    """The counters with the hours that have become ripe; None as long as there is none to count.

    They begin with a single hour, so that the first number that is seen is the count of an hour
    too. At an hour without data they end, and others begin after it: it must not pass for an hour
    without events.

    Args:
        former: what was counted before.
        ledger: whose hours are counted.
        start: no hour that begins earlier is counted.
        now: seconds since the epoch.
    """
    border = ripe(now)
    if former is None:
        since = border - HOUR
        count = _sealed(ledger, since)
        return Counted(since, border, count) if count and since >= start else None
    found = former
    while found.until < border:
        if ledger.coarse.stage(found.until // HOUR) is not Stage.SEALED:
            return found
        more = _sealed(ledger, found.until)
        if more is None:
            return counted(None, ledger, start, now)
        count = Count(found.count.bad + more.bad, found.count.total + more.total)
        found = Counted(found.since, found.until + HOUR, count)
    return found


def _sealed(ledger: Ledger, begin: int) -> Count | None:
    number = begin // HOUR
    sealed = ledger.coarse.stage(number) is Stage.SEALED
    return ledger.coarse.count(number) if sealed else None


def seen_at(border: int) -> int:
    """When counters that go up to this border are looked at."""
    return border + RIPE_AFTER + SEEN_AT


def border_at(seen: int) -> int:
    """How far counters went that were seen then; the inverse of ``seen_at``."""
    return ripe(seen)


@dataclass(frozen=True, slots=True)
class Track:
    """Counters of one process: what they said, by the border that they went up to."""

    since: int
    said: Mapping[int, Count]


def hours_told(tracks: Iterable[Track]) -> dict[int, Count]:
    """The hours that counters prove, by their numbers since the epoch.

    An hour is proven by two numbers in a row of the same counters, or by their first. Counters that
    began so shortly before the full hour that nobody had looked at them yet first tell two hours at
    once, of which others prove the former. Counters that ever fell, or counted more bad events than
    events, prove nothing; nor does an hour that two tell differently.
    """
    sound = [track for track in tracks if _is_sound(track)]
    hours = [hour for track in sound for hour in _hours(track)]
    found = _agreed(hours)
    return _agreed([*hours, *(hour for track in sound for hour in _second(track, found))])


def _agreed(hours: Iterable[tuple[int, Count]]) -> dict[int, Count]:
    found: dict[int, Count] = {}
    doubtful: set[int] = set()
    for number, count in hours:
        if not _agree(found.setdefault(number, count), count):
            doubtful.add(number)
    return {number: count for number, count in found.items() if number not in doubtful}


def _is_sound(track: Track) -> bool:
    borders = sorted(track.said)
    if track.since % HOUR or any(one % HOUR or one <= track.since for one in borders):
        return False
    said = [Count(Decimal(0), Decimal(0)), *(track.said[border] for border in borders)]
    growth = [Count(later.bad - one.bad, later.total - one.total) for one, later in pairwise(said)]
    return all(-_NOISE <= more.bad <= more.total + _NOISE for more in growth)


def _hours(track: Track) -> Iterator[tuple[int, Count]]:
    nothing = Count(Decimal(0), Decimal(0))
    for border, later in track.said.items():
        former = nothing if border - HOUR == track.since else track.said.get(border - HOUR)
        if former is not None:
            yield border // HOUR - 1, _growth(former, later)


def _second(track: Track, told: Mapping[int, Count]) -> Iterator[tuple[int, Count]]:
    """30 events in the first two hours, of which others say 10 for the first: 20 in the second."""
    first, two = told.get(track.since // HOUR), track.said.get(track.since + 2 * HOUR)
    if first is None or two is None:
        return
    second = Count(two.bad - first.bad, two.total - first.total)
    if -_NOISE <= second.bad <= second.total + _NOISE:
        yield track.since // HOUR + 1, _growth(first, two)


def _growth(former: Count, later: Count) -> Count:
    total = exact(float(later.total - former.total))
    return Count(min(exact(float(later.bad - former.bad)), total), total)


def _agree(one: Count, other: Count) -> bool:
    return abs(one.bad - other.bad) <= _NOISE and abs(one.total - other.total) <= _NOISE

"""An SLO's evidence from its ledger and from what is still open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from penstock.domain.evidence import (
    NO_FORECAST,
    Count,
    Evidence,
    Kind,
    Reading,
    Unit,
    judged,
)
from penstock.domain.forecast import forecast
from penstock.domain.indicator import ProbeIndicator, RawRatioIndicator
from penstock.domain.ledger import HOUR, Ledger, Stretch
from penstock.domain.quantities import Duration
from penstock.domain.slices import Slicing, slicing_of
from penstock.domain.slo import Slo, Timeslices
from penstock.domain.window import Window, length
from penstock.engine.budget.book import BURN_SECONDS
from penstock.engine.promql import Close, Leg, Look

FIVE_MINUTES = Duration.parse("5m")
LONGEST_OPEN = 3_600
# Longer looks are read exactly only by closing buckets: it would be dear in every round.
EXACT_UP_TO = Duration.parse("10m")
# With this share of the window read, the budget is evaluated; the rest is not known yet.
ENOUGH_ASKED = Decimal("0.95")
DAY = 24 * HOUR
_NONE = Decimal(0)
_MOST_KEPT = 1_024


class Plan(NamedTuple):
    """How one SLO is read at one instant.

    Attributes:
        at: seconds since the epoch.
        legs: the looks back that are asked for directly, and how.
        open: seconds since the last closed bucket; None while the ledger is too far behind.
    """

    slo: Slo
    at: int
    looks: frozenset[Duration]
    legs: Legs
    open: int | None

    @property
    def asked(self) -> Set[Duration]:
        """The looks back that are asked for directly."""
        return self.legs.by_look.keys()


class Legs(NamedTuple):
    """How looks back are asked for, and which are not; shared by all SLOs that are asked alike."""

    by_look: Mapping[Duration, Leg]
    every: frozenset[Leg]
    kept: Sequence[Duration]


def plan(
    slo: Slo, looks: frozenset[Duration], ledger: Ledger, at: datetime, *, hot: bool = False
) -> Plan:
    """Short looks are always asked for; longer ones only while the ledger lacks them."""
    now = int(at.timestamp())
    since = now - ledger.closed_until
    open_ = since if 0 < since <= LONGEST_OPEN else None
    lacking = _lacking(_longer(looks), ledger, now)
    # Ratios are often recorded for a few windows only, and closed buckets are means of them.
    is_open = open_ is not None and not isinstance(slo.indicator, RawRatioIndicator)
    return Plan(slo, now, looks, _legs(looks, lacking, open_ if is_open else None, hot), open_)


def _lacking(longer: tuple[Duration, ...], ledger: Ledger, now: int) -> tuple[Duration, ...]:
    """Those that reach further back than what is known, and those that it does not reach."""
    known = 0
    while known < len(longer) and not _has(ledger, longer[known], now):
        known += 1
    lag = (now - ledger.closed_until) * 1_000
    if known == 0 and (not longer or longer[-1].milliseconds > lag):  # as nearly always
        return ()
    return longer[:known] + tuple(one for one in longer[known:] if one.milliseconds <= lag)


@lru_cache(_MOST_KEPT)
def _longer(looks: frozenset[Duration]) -> tuple[Duration, ...]:
    """What a ledger may have instead: the longest first, since one that is known has the others."""
    longer = (look for look in looks if look > FIVE_MINUTES and look.seconds <= BURN_SECONDS)
    return tuple(sorted(longer, reverse=True))


@lru_cache(_MOST_KEPT)
def _legs(
    looks: frozenset[Duration], lacking: tuple[Duration, ...], open_: int | None, hot: bool
) -> Legs:
    """While a release hangs on it, first errors of new pods count."""
    asked = {FIVE_MINUTES, *lacking, *(look for look in looks if look <= FIVE_MINUTES)}
    if open_ is not None:
        asked.add(Duration.of_seconds(open_))
    by_look: dict[Duration, Leg] = {
        look: Close(look, FIVE_MINUTES) if hot and look <= EXACT_UP_TO else Look(look)
        for look in asked
    }
    return Legs(by_look, frozenset(by_look.values()), [one for one in looks if one not in asked])


@lru_cache(_MOST_KEPT)
def _began(window: Window, at: int) -> tuple[datetime, int, Duration]:
    """The instant, when the window around it began, in seconds, and how long it is."""
    when = datetime.fromtimestamp(at, tz=UTC)
    return when, int(window.start(when).timestamp()), length(window, when)


def evidence(
    made: Plan,
    ledger: Ledger,
    fresh: dict[Duration, Count],
    onsets: frozenset[datetime] = frozenset(),
) -> Evidence:
    """What ledger and fresh counts together say of an SLO.

    Args:
        made: the plan that was asked by.
        ledger: of the SLO's indicator.
        fresh: the counts that were asked for; one without data is missing.
        onsets: since when else bad events are counted.
    """
    reader = _Reader(made, ledger, fresh)
    whole = reader.known
    if made.open is None and len(ledger.fine):
        # What was known before may have held a release: that is an outage, no young service.
        closed = datetime.fromtimestamp(ledger.closed_until, tz=UTC)
        return Evidence(Kind.STALE, f"the ledger ends at {closed:%H:%M UTC} and is catching up")
    reading = reader.reading(onsets)
    asked = whole.asked if made.open is not None else _NONE
    if asked < ENOUGH_ASKED:
        detail = f"Backfilling {int(asked * 100)}%"
        return Evidence(Kind.WARMING_UP, detail, _without_budget(reading), reader.so_far(reading))
    if whole.covered == 0 and reader.open is None:
        return Evidence(
            Kind.ABSENT, f"no series matches the indicator in the last {reading.window}"
        )
    seconds = reader.covered_seconds()
    needed = min(int(reading.window.seconds) // 10, DAY)
    if seconds < needed:
        told = f"{_told(seconds)} of {reading.window} is known"
        if not fresh:  # a service is young only if it is alive
            return Evidence(Kind.ABSENT, f"{told}, and nothing of the last {max(made.asked)}")
        told += f"; a budget needs {_told(needed)}"
        return Evidence(Kind.INSUFFICIENT_HISTORY, told, reading)
    return judged(reading, made.slo.minimum_events)


class _Reader:
    """Reads windows and looks of one SLO."""

    def __init__(self, made: Plan, ledger: Ledger, fresh: dict[Duration, Count]) -> None:
        self.slo, self.made, self.ledger, self.fresh = made.slo, made, ledger, fresh
        self.slicing = slicing_of(made.slo.budgeting)
        self.when, self.start, self.window = _began(made.slo.window, made.at)
        self.begins, self.border = ledger.begins, ledger.closed_until
        # Events since the last closed bucket.
        self.open = None if made.open is None else fresh.get(Duration(made.open * 1_000))
        self.known = self._known()

    def _known(self) -> Stretch:
        """The window up to the last closed bucket."""
        if self.slicing is None or self.start >= self.border:
            return self.ledger.over(self.start, self.border)
        return self.ledger.slices_over(self.slicing, self.start, self.border)

    def covered_seconds(self) -> int:
        """How much of the window there is data of."""
        closed = int(self.known.covered * max(0, self.border - self.start))
        if self.open is None:
            return closed
        return closed + self.made.at - max(self.start, self.border)

    def reading(self, onsets: frozenset[datetime]) -> Reading:
        known = self.known
        made = Reading(
            at=self.when,
            objective=self.slo.objective,
            window=self.window,
            whole=self._whole(known),
            looks=self._looks(),
            unit=_unit(self.slo),
            traffic=self._events(self.start) if self.slicing else None,
            coverage=known.covered,
            bad_since=self.bad_since(onsets),
        )
        told = forecast(made, self.slo.window, self.ledger.hours(self.start, self.slicing))
        return made if told is NO_FORECAST else replace(made, forecast=told)

    def so_far(self, reading: Reading) -> Reading:
        """What is known while the past is being read, as if there was not one error in the rest.

        Of 9 bad in 1,000 events of a known third, 9 in 3,000 are told: what even this refuses, the
        whole window would.
        """
        later = [one for one in self.made.looks if one.seconds > BURN_SECONDS]
        looks = {look: self._look_so_far(look) for look in later} | dict(reading.looks)
        whole = reading.whole
        if not isinstance(self.slo.budgeting, Timeslices):
            whole = _projected(whole, self.known.asked)
        return replace(reading, whole=whole, looks=looks, forecast=NO_FORECAST)

    def _look_so_far(self, look: Duration) -> Count:
        start = self.made.at - int(look.seconds)
        stretch = self.ledger.over(start, self.border)
        events = stretch.plus(self.open)
        if self.slicing is None or look.seconds < self.slicing.seconds:
            return _projected(events, stretch.asked)
        stretch = self.ledger.slices_over(self.slicing, start, self.border)
        return replace(_projected(stretch.events, stretch.asked), events=events.bad)

    def bad_since(self, onsets: frozenset[datetime]) -> dict[datetime, Decimal]:
        """What was bad in the window since each of these moments, where it is known."""
        found = {onset: self._bad_since(int(onset.timestamp())) for onset in onsets}
        return {onset: bad for onset, bad in found.items() if bad is not None}

    def _bad_since(self, moment: int) -> Decimal | None:
        """A bucket that the moment cuts counts by the share after it, as does what is open.

        A slice of time that it cuts is not counted.
        """
        start, open_ = max(moment, self.start), self.open
        if self.slicing is not None:
            stretch = self.ledger.slices_over(self.slicing, start, self.border)
            now = self.slicing.bad(open_)
        else:
            stretch = self.ledger.over(start, self.border)
            now = _NONE if open_ is None else open_.bad
        if open_ is None and start >= self.border:
            return None
        if not stretch.is_asked(ENOUGH_ASKED):
            return None
        return stretch.events.bad + self._share_after(start, now)

    def _open_after(self, start: int) -> Count | None:
        """What is open; of a calendar period that began within it, the share since."""
        if self.open is None or start <= self.border:
            return self.open
        bad, total = (self._share_after(start, one) for one in (self.open.bad, self.open.total))
        return Count(bad, total)

    def _share_after(self, start: int, number: Decimal) -> Decimal:
        """Of 26 events in 13 open minutes, of which the last 3 lie after ``start``: 6."""
        if start <= self.border:
            return number
        return number * (self.made.at - start) / (self.made.at - self.border)

    def _whole(self, known: Stretch) -> Count:
        if self.slicing is None:
            return known.plus(self._open_after(self.start))
        if isinstance(self.slo.budgeting, Timeslices):
            return Count(known.events.bad, self.window.seconds / self.slicing.seconds)
        return known.events

    def _looks(self) -> dict[Duration, Count]:
        """What there is of each look."""
        looks = {look: count for look, count in self.fresh.items() if look in self.made.looks}
        for look in self.made.legs.kept:
            events = self._events(self.made.at - look.milliseconds // 1_000)
            if events is not None:
                looks[look] = events
        if self.slicing is None:
            return looks
        return {
            look: self._slices(self.slicing, look, events)
            if look.seconds >= self.slicing.seconds
            else events
            for look, events in looks.items()
        }

    def _events(self, start: int) -> Count | None:
        """Events since ``start``; None where nothing is known of them."""
        if self.begins > start and self.border - self.begins < ENOUGH_ASKED * (self.border - start):
            return None
        stretch = self.ledger.over(start, self.border)
        if not stretch.is_asked(ENOUGH_ASKED) and start < self.border:
            return None
        if stretch.run.covered == 0 and self.open is None:
            return None
        return stretch.plus(self._open_after(start))

    def _slices(self, slicing: Slicing, look: Duration, events: Count) -> Count:
        """Closed slices, and what is open as one more, so that an outage is seen before it ends."""
        start = self.made.at - int(look.seconds)
        stretch = self.ledger.slices_over(slicing, start, self.border)
        bad, slices, now = stretch.events.bad, stretch.events.total, self.open
        if slicing.weighs(now):
            bad, slices = bad + slicing.bad(now), slices + 1
        return Count(bad, slices, events.bad)


def _has(ledger: Ledger, look: Duration, now: int) -> bool:
    start = now - look.milliseconds // 1_000
    return start < ledger.closed_until and ledger.knows(start, ledger.closed_until)


def _unit(slo: Slo) -> Unit:
    if slicing_of(slo.budgeting) is not None:
        return Unit.SLICES
    if isinstance(slo.indicator, RawRatioIndicator):
        return Unit.SHARES
    return Unit.SECONDS if isinstance(slo.indicator, ProbeIndicator) else Unit.EVENTS


def _without_budget(reading: Reading) -> Reading:
    """Burn rates work at once; a window that is half known has no budget."""
    return replace(reading, whole=Count(_NONE, _NONE), traffic=None)


def _projected(count: Count, asked: Decimal) -> Count:
    """Counts of the share that was asked for, with as many events in all the rest, none bad."""
    return Count(count.bad, count.total / asked) if asked else Count(_NONE, _NONE)


def _told(seconds: int) -> str:
    """Whole minutes, so that the sentence does not change at every look."""
    return str(Duration.of_seconds(seconds // 60 * 60))

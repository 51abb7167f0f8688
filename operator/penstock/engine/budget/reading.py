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
    CountUnit,
    EventCounts,
    Evidence,
    EvidenceKind,
    Reading,
    evidence_of,
)
from penstock.domain.forecast import forecast
from penstock.domain.indicator import ProbeIndicator, RawRatioIndicator
from penstock.domain.ledger import HOUR, Ledger, RangeCounts
from penstock.domain.quantities import Duration
from penstock.domain.slo import Slo, Timeslices
from penstock.domain.timeslices import TimesliceRule, timeslice_rule
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
    slo: Slo, burn_windows: frozenset[Duration], ledger: Ledger, at: datetime, *, hot: bool = False
) -> Plan:
    """Short looks are always asked for; longer ones only while the ledger lacks them."""
    now = int(at.timestamp())
    since = now - ledger.closed_until
    open_ = since if 0 < since <= LONGEST_OPEN else None
    lacking = _lacking(_longer(burn_windows), ledger, now)
    # Ratios are often recorded for a few windows only, and closed buckets are means of them.
    is_open = open_ is not None and not isinstance(slo.indicator, RawRatioIndicator)
    return Plan(
        slo, now, burn_windows, _legs(burn_windows, lacking, open_ if is_open else None, hot), open_
    )


def _lacking(longer: tuple[Duration, ...], ledger: Ledger, now: int) -> tuple[Duration, ...]:
    """Those that reach further back than what is known, and those that it does not reach."""
    known = 0
    while known < len(longer) and not _has(ledger, longer[known], now):
        known += 1
    lag = (now - ledger.closed_until) * 1_000
    if known == 0 and (not longer or longer[-1].milliseconds > lag):  # as nearly always
        return ()
    return longer[:known] + tuple(
        duration for duration in longer[known:] if duration.milliseconds <= lag
    )


@lru_cache(_MOST_KEPT)
def _longer(burn_windows: frozenset[Duration]) -> tuple[Duration, ...]:
    """What a ledger may have instead: the longest first, since one that is known has the others."""
    longer = (span for span in burn_windows if span > FIVE_MINUTES and span.seconds <= BURN_SECONDS)
    return tuple(sorted(longer, reverse=True))


@lru_cache(_MOST_KEPT)
def _legs(
    burn_windows: frozenset[Duration], lacking: tuple[Duration, ...], open_: int | None, hot: bool
) -> Legs:
    """While a release hangs on it, first errors of new pods count."""
    asked = {FIVE_MINUTES, *lacking, *(span for span in burn_windows if span <= FIVE_MINUTES)}
    if open_ is not None:
        asked.add(Duration.of_seconds(open_))
    by_burn_window: dict[Duration, Leg] = {
        span: Close(span, FIVE_MINUTES) if hot and span <= EXACT_UP_TO else Look(span)
        for span in asked
    }
    return Legs(
        by_burn_window,
        frozenset(by_burn_window.values()),
        [duration for duration in burn_windows if duration not in asked],
    )


@lru_cache(_MOST_KEPT)
def _began(window: Window, at: int) -> tuple[datetime, int, Duration]:
    """The instant, when the window around it began, in seconds, and how long it is."""
    when = datetime.fromtimestamp(at, tz=UTC)
    return when, int(window.start(when).timestamp()), length(window, when)


def evidence(
    made: Plan,
    ledger: Ledger,
    fresh: dict[Duration, EventCounts],
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
        return Evidence(
            EvidenceKind.STALE, f"the ledger ends at {closed:%H:%M UTC} and is catching up"
        )
    reading = reader.reading(onsets)
    asked = whole.queried if made.open is not None else _NONE
    if asked < ENOUGH_ASKED:
        detail = f"Backfilling {int(asked * 100)}%"
        return Evidence(
            EvidenceKind.WARMING_UP, detail, _without_budget(reading), reader.so_far(reading)
        )
    if whole.covered == 0 and reader.open is None:
        return Evidence(
            EvidenceKind.ABSENT, f"no series matches the indicator in the last {reading.window}"
        )
    seconds = reader.covered_seconds()
    needed = min(int(reading.window.seconds) // 10, DAY)
    if seconds < needed:
        message = f"{_told(seconds)} of {reading.window} is known"
        if not fresh:  # a service is young only if it is alive
            return Evidence(
                EvidenceKind.ABSENT, f"{message}, and nothing of the last {max(made.asked)}"
            )
        message += f"; a budget needs {_told(needed)}"
        return Evidence(EvidenceKind.INSUFFICIENT_HISTORY, message, reading)
    return evidence_of(reading, made.slo.minimum_events)


class _Reader:
    """Reads windows and looks of one SLO."""

    def __init__(self, made: Plan, ledger: Ledger, fresh: dict[Duration, EventCounts]) -> None:
        self.slo, self.made, self.ledger, self.fresh = made.slo, made, ledger, fresh
        self.timeslices = timeslice_rule(made.slo.budgeting)
        self.when, self.start, self.window = _began(made.slo.window, made.at)
        self.begins, self.boundary = ledger.begins, ledger.closed_until
        # Events since the last closed bucket.
        self.open = None if made.open is None else fresh.get(Duration(made.open * 1_000))
        self.known = self._known()

    def _known(self) -> RangeCounts:
        """The window up to the last closed bucket."""
        if self.timeslices is None or self.start >= self.boundary:
            return self.ledger.counts_between(self.start, self.boundary)
        return self.ledger.slices_between(self.timeslices, self.start, self.boundary)

    def covered_seconds(self) -> int:
        """How much of the window there is data of."""
        closed = int(self.known.covered * max(0, self.boundary - self.start))
        if self.open is None:
            return closed
        return closed + self.made.at - max(self.start, self.boundary)

    def reading(self, onsets: frozenset[datetime]) -> Reading:
        known = self.known
        made = Reading(
            at=self.when,
            objective=self.slo.objective,
            window=self.window,
            window_counts=self._whole(known),
            burn_windows=self._looks(),
            unit=_unit(self.slo),
            traffic=self._events(self.start) if self.timeslices else None,
            coverage=known.covered,
            bad_since=self.bad_since(onsets),
        )
        told = forecast(made, self.slo.window, self.ledger.hours(self.start, self.timeslices))
        return made if told is NO_FORECAST else replace(made, forecast=told)

    def so_far(self, reading: Reading) -> Reading:
        """What is known while the past is being read, as if there was not one error in the rest.

        Of 9 bad in 1,000 events of a known third, 9 in 3,000 are told: what even this refuses, the
        whole window would.
        """
        later = [duration for duration in self.made.looks if duration.seconds > BURN_SECONDS]
        burn_windows = {span: self._look_so_far(span) for span in later} | dict(
            reading.burn_windows
        )
        whole = reading.window_counts
        if not isinstance(self.slo.budgeting, Timeslices):
            whole = _projected(whole, self.known.queried)
        return replace(
            reading, window_counts=whole, burn_windows=burn_windows, forecast=NO_FORECAST
        )

    def _look_so_far(self, span: Duration) -> EventCounts:
        start = self.made.at - int(span.seconds)
        counts = self.ledger.counts_between(start, self.boundary)
        events = counts.plus(self.open)
        if self.timeslices is None or span.seconds < self.timeslices.seconds:
            return _projected(events, counts.queried)
        counts = self.ledger.slices_between(self.timeslices, start, self.boundary)
        return replace(_projected(counts.events, counts.queried), events=events.bad)

    def bad_since(self, onsets: frozenset[datetime]) -> dict[datetime, Decimal]:
        """What was bad in the window since each of these moments, where it is known."""
        found = {onset: self._bad_since(int(onset.timestamp())) for onset in onsets}
        return {onset: bad for onset, bad in found.items() if bad is not None}

    def _bad_since(self, moment: int) -> Decimal | None:
        """A bucket that the moment cuts counts by the share after it, as does what is open.

        A slice of time that it cuts is not counted.
        """
        start, open_ = max(moment, self.start), self.open
        if self.timeslices is not None:
            counts = self.ledger.slices_between(self.timeslices, start, self.boundary)
            now = self.timeslices.bad(open_)
        else:
            counts = self.ledger.counts_between(start, self.boundary)
            now = _NONE if open_ is None else open_.bad
        if open_ is None and start >= self.boundary:
            return None
        if not counts.is_queried(ENOUGH_ASKED):
            return None
        return counts.events.bad + self._share_after(start, now)

    def _open_after(self, start: int) -> EventCounts | None:
        """What is open; of a calendar period that began within it, the share since."""
        if self.open is None or start <= self.boundary:
            return self.open
        bad, total = (self._share_after(start, one) for one in (self.open.bad, self.open.total))
        return EventCounts(bad, total)

    def _share_after(self, start: int, number: Decimal) -> Decimal:
        """Of 26 events in 13 open minutes, of which the last 3 lie after ``start``: 6."""
        if start <= self.boundary:
            return number
        return number * (self.made.at - start) / (self.made.at - self.boundary)

    def _whole(self, known: RangeCounts) -> EventCounts:
        if self.timeslices is None:
            return known.plus(self._open_after(self.start))
        if isinstance(self.slo.budgeting, Timeslices):
            return EventCounts(known.events.bad, self.window.seconds / self.timeslices.seconds)
        return known.events

    def _looks(self) -> dict[Duration, EventCounts]:
        """What there is of each look."""
        burn_windows = {
            span: count for span, count in self.fresh.items() if span in self.made.looks
        }
        for span in self.made.legs.kept:
            events = self._events(self.made.at - span.milliseconds // 1_000)
            if events is not None:
                burn_windows[span] = events
        if self.timeslices is None:
            return burn_windows
        return {
            span: self._slices(self.timeslices, span, events)
            if span.seconds >= self.timeslices.seconds
            else events
            for span, events in burn_windows.items()
        }

    def _events(self, start: int) -> EventCounts | None:
        """Events since ``start``; None where nothing is known of them."""
        if self.begins > start and self.boundary - self.begins < ENOUGH_ASKED * (
            self.boundary - start
        ):
            return None
        counts = self.ledger.counts_between(start, self.boundary)
        if not counts.is_queried(ENOUGH_ASKED) and start < self.boundary:
            return None
        if counts.range_sum.covered == 0 and self.open is None:
            return None
        return counts.plus(self._open_after(start))

    def _slices(
        self, timeslices: TimesliceRule, span: Duration, events: EventCounts
    ) -> EventCounts:
        """Closed slices, and what is open as one more, so that an outage is seen before it ends."""
        start = self.made.at - int(span.seconds)
        counts = self.ledger.slices_between(timeslices, start, self.boundary)
        bad, slices, now = counts.events.bad, counts.events.total, self.open
        if timeslices.is_counted(now):
            bad, slices = bad + timeslices.bad(now), slices + 1
        return EventCounts(bad, slices, events.bad)


def _has(ledger: Ledger, span: Duration, now: int) -> bool:
    start = now - span.milliseconds // 1_000
    return start < ledger.closed_until and ledger.knows(start, ledger.closed_until)


def _unit(slo: Slo) -> CountUnit:
    if timeslice_rule(slo.budgeting) is not None:
        return CountUnit.SLICES
    if isinstance(slo.indicator, RawRatioIndicator):
        return CountUnit.SHARES
    return CountUnit.SECONDS if isinstance(slo.indicator, ProbeIndicator) else CountUnit.EVENTS


def _without_budget(reading: Reading) -> Reading:
    """Burn rates work at once; a window that is half known has no budget."""
    return replace(reading, window_counts=EventCounts(_NONE, _NONE), traffic=None)


def _projected(count: EventCounts, asked: Decimal) -> EventCounts:
    """Counts of the share that was asked for, with as many events in all the rest, none bad."""
    return EventCounts(count.bad, count.total / asked) if asked else EventCounts(_NONE, _NONE)


def _told(seconds: int) -> str:
    """Whole minutes, so that the sentence does not change at every look."""
    return str(Duration.of_seconds(seconds // 60 * 60))

"""An SLO's evidence, from its ledger and from the events since the last closed bucket."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

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
from penstock.engine.budget.ledger_plan import LedgerPlan
from penstock.engine.budget.source_ledgers import BURN_SECONDS

# The budget is evaluated once this share of the window is read; the rest is not known yet.
ENOUGH_ASKED = Decimal("0.95")
DAY = 24 * HOUR
_NONE = Decimal(0)
_MOST_KEPT = 1_024


@lru_cache(_MOST_KEPT)
def _began(window: Window, at: int) -> tuple[datetime, int, Duration]:
    """The instant, the start of the window around it in seconds, and the length of the window."""
    when = datetime.fromtimestamp(at, tz=UTC)
    return when, int(window.start(when).timestamp()), length(window, when)


def evidence_from_ledger(
    plan: LedgerPlan,
    ledger: Ledger,
    fresh: dict[Duration, EventCounts],
    release_starts: frozenset[datetime] = frozenset(),
) -> Evidence:
    """What the ledger and fresh counts together say about an SLO.

    Args:
        plan: the plan by which the fresh counts were queried.
        ledger: the ledger of the SLO's indicator.
        fresh: the counts that were queried; one without data is missing.
        release_starts: further times since which to count bad events.
    """
    reader = _Reader(plan, ledger, fresh)
    whole = reader.known
    if plan.open is None and len(ledger.fine):
        # Earlier data may have held a release: this is an outage, not a young service.
        closed = datetime.fromtimestamp(ledger.closed_until, tz=UTC)
        return Evidence(
            EvidenceKind.STALE, f"the ledger ends at {closed:%H:%M UTC} and is catching up"
        )
    reading = reader.reading(release_starts)
    asked = whole.queried if plan.open is not None else _NONE
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
        message = f"{_whole_minutes(seconds)} of {reading.window} is known"
        if not fresh:  # only a live service can be young
            return Evidence(
                EvidenceKind.ABSENT, f"{message}, and nothing of the last {max(plan.asked)}"
            )
        message += f"; a budget needs {_whole_minutes(needed)}"
        return Evidence(EvidenceKind.INSUFFICIENT_HISTORY, message, reading)
    return evidence_of(reading, plan.slo.minimum_events)


class _Reader:
    """Reads the windows and burn windows of one SLO."""

    def __init__(
        self, plan: LedgerPlan, ledger: Ledger, fresh: dict[Duration, EventCounts]
    ) -> None:
        self.slo, self.plan, self.ledger, self.fresh = plan.slo, plan, ledger, fresh
        self.timeslices = timeslice_rule(plan.slo.budgeting)
        self.when, self.start, self.window = _began(plan.slo.window, plan.at)
        self.begins, self.boundary = ledger.begins, ledger.closed_until
        # Events since the last closed bucket.
        self.open = None if plan.open is None else fresh.get(Duration(plan.open * 1_000))
        self.known = self._known()

    def _known(self) -> RangeCounts:
        """The window up to the last closed bucket."""
        if self.timeslices is None or self.start >= self.boundary:
            return self.ledger.counts_between(self.start, self.boundary)
        return self.ledger.slices_between(self.timeslices, self.start, self.boundary)

    def covered_seconds(self) -> int:
        """How many seconds of the window have data."""
        closed = int(self.known.covered * max(0, self.boundary - self.start))
        if self.open is None:
            return closed
        return closed + self.plan.at - max(self.start, self.boundary)

    def reading(self, release_starts: frozenset[datetime]) -> Reading:
        known = self.known
        made = Reading(
            at=self.when,
            objective=self.slo.objective,
            window=self.window,
            window_counts=self._whole(known),
            burn_windows=self._burn_window_counts(),
            unit=_unit(self.slo),
            traffic=self._events(self.start) if self.timeslices else None,
            coverage=known.covered,
            bad_since=self.bad_since(release_starts),
        )
        told = forecast(made, self.slo.window, self.ledger.hours(self.start, self.timeslices))
        return made if told is NO_FORECAST else replace(made, forecast=told)

    def so_far(self, reading: Reading) -> Reading:
        """What is known during backfill, as if the rest had no errors.

        Of 9 bad in 1,000 events of a known third, 9 in 3,000 are reported: a hold on these would be
        a hold on the whole window too.
        """
        later = [duration for duration in self.plan.burn_windows if duration.seconds > BURN_SECONDS]
        burn_windows = {span: self._burn_window_so_far(span) for span in later} | dict(
            reading.burn_windows
        )
        whole = reading.window_counts
        if not isinstance(self.slo.budgeting, Timeslices):
            whole = _projected(whole, self.known.queried)
        return replace(
            reading, window_counts=whole, burn_windows=burn_windows, forecast=NO_FORECAST
        )

    def _burn_window_so_far(self, span: Duration) -> EventCounts:
        start = self.plan.at - int(span.seconds)
        counts = self.ledger.counts_between(start, self.boundary)
        events = counts.plus(self.open)
        if self.timeslices is None or span.seconds < self.timeslices.seconds:
            return _projected(events, counts.queried)
        counts = self.ledger.slices_between(self.timeslices, start, self.boundary)
        return replace(_projected(counts.events, counts.queried), events=events.bad)

    def bad_since(self, release_starts: frozenset[datetime]) -> dict[datetime, Decimal]:
        """How many events in the window were bad since each of these moments, where known."""
        found = {
            started_at: self._bad_since(int(started_at.timestamp()))
            for started_at in release_starts
        }
        return {started_at: bad for started_at, bad in found.items() if bad is not None}

    def _bad_since(self, moment: int) -> Decimal | None:
        """A bucket that the moment cuts is prorated by the share after it, as are open events.

        A time slice that it cuts is not counted.
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
        """Open events; of a calendar period that began among them, the share since then."""
        if self.open is None or start <= self.boundary:
            return self.open
        bad, total = (self._share_after(start, one) for one in (self.open.bad, self.open.total))
        return EventCounts(bad, total)

    def _share_after(self, start: int, number: Decimal) -> Decimal:
        """Of 26 events in 13 open minutes, of which the last 3 are after ``start``: 6."""
        if start <= self.boundary:
            return number
        return number * (self.plan.at - start) / (self.plan.at - self.boundary)

    def _whole(self, known: RangeCounts) -> EventCounts:
        if self.timeslices is None:
            return known.plus(self._open_after(self.start))
        if isinstance(self.slo.budgeting, Timeslices):
            return EventCounts(known.events.bad, self.window.seconds / self.timeslices.seconds)
        return known.events

    def _burn_window_counts(self) -> dict[Duration, EventCounts]:
        """The counts of each burn window that has data."""
        burn_windows = {
            span: count for span, count in self.fresh.items() if span in self.plan.burn_windows
        }
        for span in self.plan.ranges.kept:
            events = self._events(self.plan.at - span.milliseconds // 1_000)
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
        """Events since ``start``; None if nothing is known of them."""
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
        """Closed slices, and open events as one more, so that an outage counts before it ends."""
        start = self.plan.at - int(span.seconds)
        counts = self.ledger.slices_between(timeslices, start, self.boundary)
        bad, slices, now = counts.events.bad, counts.events.total, self.open
        if timeslices.is_counted(now):
            bad, slices = bad + timeslices.bad(now), slices + 1
        return EventCounts(bad, slices, events.bad)


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
    """Counts of the queried share, with as many events in the rest, none of them bad."""
    return EventCounts(count.bad, count.total / asked) if asked else EventCounts(_NONE, _NONE)


def _whole_minutes(seconds: int) -> str:
    """Whole minutes, so that the message does not change every round."""
    return str(Duration.of_seconds(seconds // 60 * 60))

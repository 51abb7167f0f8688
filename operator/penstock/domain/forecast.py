"""When an error budget is exhausted, or back, at the current burn rate."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from penstock.domain.budget import exhausted_in
from penstock.domain.evidence import NO_FORECAST, EventCounts, Forecast, Reading
from penstock.domain.quantities import ONE, Duration
from penstock.domain.window import CalendarWindow, Window

BURN_WINDOWS = (Duration.parse("1h"), Duration.parse("6h"))


def forecast(reading: Reading, window: Window, oldest: Iterable[tuple[int, Decimal]]) -> Forecast:
    """The forecast of a budget.

    Args:
        reading: the budget now.
        window: the SLO's window.
        oldest: the hours of the window, oldest first: end in seconds since the epoch, and bad
            events.
    """
    whole = reading.window_counts
    if whole.total <= 0:
        return NO_FORECAST
    if _burns_at_least_evenly(reading, whole):
        return Forecast(recovers_at=_recovers_at(reading, window, oldest))
    at = _exhausted_at(reading, window)
    return NO_FORECAST if at is None else Forecast(exhausted_at=at)


def _exhausted_at(reading: Reading, window: Window) -> datetime | None:
    """At the faster of the burn rates over 1h and 6h: left x W / r from now.

    40% left of 30d at burn 2: in 6d. A rolling window that burns at 1 or less is never exhausted,
    as what leaves it makes up for what comes; a calendar one only if it is before its end.
    """
    calendar = isinstance(window, CalendarWindow)
    burn_windows = [
        count for burn_window in BURN_WINDOWS if (count := reading.events(burn_window)) is not None
    ]
    # So it is with nearly every SLO in every round: no burn rate needs to be worked out.
    if not calendar and not any(_burns_at_least_evenly(reading, count) for count in burn_windows):
        return None
    left = reading.remaining
    burn = max(
        [burn for burn_window in BURN_WINDOWS if (burn := reading.burn(burn_window)) is not None],
        default=None,
    )
    if left is None or burn is None or (burn.value <= ONE and not calendar):
        return None
    span = exhausted_in(left, burn, reading.window)
    if span is None:
        return None
    at = reading.at + timedelta(milliseconds=span.milliseconds)
    return at if not calendar or at < window.end(reading.at) else None


def _burns_at_least_evenly(reading: Reading, count: EventCounts) -> bool:
    """Whether at least as many are bad as the budget allows: 10 of 10,000 at 99.9%."""
    return count.bad >= reading.objective.budget * count.total


def _recovers_at(
    reading: Reading, window: Window, oldest: Iterable[tuple[int, Decimal]]
) -> datetime | None:
    """A calendar budget is whole at its next period; a rolling one when enough has left the window.

    With 1,500 bad where 1,000 are allowed, and 200 bad in each of the oldest hours, the third hour
    has to leave: 900 are fewer than 1,000, and something is left.
    """
    if isinstance(window, CalendarWindow):
        return window.end(reading.at)
    bad, allowed = reading.window_counts.bad, reading.objective.budget * reading.window_counts.total
    for end, gone in oldest:
        bad -= gone
        if bad < allowed:
            return datetime.fromtimestamp(end, UTC) + timedelta(
                milliseconds=reading.window.milliseconds
            )
    return None

"""When a budget is exhausted, or back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from penstock.domain.evidence import EventCounts, Forecast, Reading
from penstock.domain.forecast import BURN_WINDOWS, forecast
from penstock.domain.quantities import Duration, Objective
from penstock.domain.window import CalendarWindow, Period, RollingWindow, Window, length

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MONTH = RollingWindow(Duration.parse("30d"))
CALENDAR = CalendarWindow(Period.MONTH, ZoneInfo("Europe/Berlin"), "Europe/Berlin")
TOTAL = Decimal(1_000_000)


def reading(bad: int, burn_1h: str = "0", burn_6h: str = "0", window: Window = MONTH) -> Reading:
    burns = (Decimal(burn_1h), Decimal(burn_6h))
    burn_windows = {
        burn_window: EventCounts(burn * 10, Decimal(10_000))
        for burn_window, burn in zip(BURN_WINDOWS, burns, strict=True)
    }
    whole = EventCounts(Decimal(bad), TOTAL)
    return Reading(NOW, Objective.parse("99.9%"), length(window, NOW), whole, burn_windows)


def hours(*bad: int) -> list[tuple[int, Decimal]]:
    """Ends of hours from the window's start on."""
    first = int((NOW - timedelta(days=30)).timestamp()) // 3_600
    return [((first + nth + 1) * 3_600, Decimal(one)) for nth, one in enumerate(bad)]


def test_at_twice_the_even_burn_forty_percent_of_a_month_last_six_days() -> None:
    assert forecast(reading(600, "2"), MONTH, []).exhausted_at == NOW + timedelta(days=6)


def test_the_faster_of_two_burn_rates_counts() -> None:
    assert forecast(reading(600, "1", "2"), MONTH, []).exhausted_at == NOW + timedelta(days=6)


@pytest.mark.parametrize("burn", ["0", "0.5", "1"])
def test_a_rolling_budget_that_is_spent_evenly_is_never_exhausted(burn: str) -> None:
    assert forecast(reading(600, burn), MONTH, []) == Forecast()


def test_a_calendar_budget_may_be_exhausted_by_an_even_burn_before_its_end() -> None:
    near = forecast(reading(900, "1", window=CALENDAR), CALENDAR, [])
    assert near.exhausted_at == NOW + timedelta(days=3)
    assert forecast(reading(100, "1", window=CALENDAR), CALENDAR, []) == Forecast()


def test_a_spent_calendar_budget_is_back_with_the_next_period() -> None:
    found = forecast(reading(1_500, window=CALENDAR), CALENDAR, [])
    assert found == Forecast(recovers_at=datetime(2026, 11, 30, 23, tzinfo=UTC))


def test_a_spent_rolling_budget_is_back_when_enough_has_left_the_window() -> None:
    found = forecast(reading(1_500), MONTH, hours(200, 200, 200, 200))
    assert found.recovers_at == NOW + timedelta(hours=3)


def test_a_budget_spent_to_the_last_event_needs_one_to_leave() -> None:
    assert forecast(reading(1_000), MONTH, hours(0, 1, 5)).recovers_at == NOW + timedelta(hours=2)


def test_what_never_leaves_far_enough_is_not_forecast() -> None:
    assert forecast(reading(1_500), MONTH, hours(1, 1)) == Forecast()


def test_without_events_nothing_is_forecast() -> None:
    none = Reading(
        NOW, Objective.parse("99.9%"), Duration.parse("30d"), EventCounts(TOTAL * 0, TOTAL * 0)
    )
    assert forecast(none, MONTH, []) == Forecast()

"""Where rolling and calendar windows begin and end, also across daylight saving."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from penstock.domain.quantities import Duration
from penstock.domain.window import CalendarWindow, Period, RollingWindow, length


def calendar(period: str, zone: str) -> CalendarWindow:
    return CalendarWindow(Period(period), ZoneInfo(zone), zone)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("period", "zone", "at", "start", "end"),
    [
        ("Month", "UTC", "2026-02-28T23:59:59+00:00", "2026-02-01", "2026-03-01"),
        ("Month", "UTC", "2028-02-29T12:00:00+00:00", "2028-02-01", "2028-03-01"),
        ("Month", "UTC", "2026-12-31T23:59:59+00:00", "2026-12-01", "2027-01-01"),
        ("Month", "UTC", "2026-03-01T00:00:00+00:00", "2026-03-01", "2026-04-01"),
        ("Week", "UTC", "2026-01-01T12:00:00+00:00", "2025-12-29", "2026-01-05"),
        ("Week", "UTC", "2026-01-05T00:00:00+00:00", "2026-01-05", "2026-01-12"),
        ("Quarter", "UTC", "2026-11-24T10:00:00+00:00", "2026-10-01", "2027-01-01"),
        ("Year", "UTC", "2026-11-24T10:00:00+00:00", "2026-01-01", "2027-01-01"),
        ("Month", "Europe/Berlin", "2026-02-28T23:30:00+00:00", "2026-03-01", "2026-04-01"),
        ("Month", "Asia/Kolkata", "2026-02-28T18:29:59+00:00", "2026-02-01", "2026-03-01"),
        ("Month", "Asia/Kolkata", "2026-02-28T18:30:00+00:00", "2026-03-01", "2026-04-01"),
    ],
)
def test_a_calendar_period_begins_at_midnight_of_its_own_zone(
    period: str, zone: str, at: str, start: str, end: str
) -> None:
    window = calendar(period, zone)
    assert window.start(instant(at)) == datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
    assert window.end(instant(at)) == datetime.fromisoformat(end).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("period", "at", "hours"),
    [
        ("Month", "2026-03-15T12:00:00+00:00", 743),
        ("Month", "2026-10-15T12:00:00+00:00", 745),
        ("Month", "2026-06-15T12:00:00+00:00", 720),
        ("Week", "2026-03-29T12:00:00+00:00", 167),
        ("Week", "2026-10-25T12:00:00+00:00", 169),
        ("Year", "2026-06-15T12:00:00+00:00", 8_760),
    ],
)
def test_daylight_saving_shortens_and_lengthens_a_period(period: str, at: str, hours: int) -> None:
    window = calendar(period, "Europe/Berlin")
    assert length(window, instant(at)) == Duration.of_seconds(hours * 3_600)


def test_a_midnight_that_daylight_saving_skips_is_the_instant_of_the_change() -> None:
    """In Santiago clocks went from 00:00 to 01:00 on Sunday, 1 September 2019."""
    window = calendar("Month", "America/Santiago")
    assert window.end(instant("2019-08-31T12:00:00+00:00")) == instant("2019-09-01T04:00:00+00:00")


def test_a_midnight_that_happens_twice_is_the_first_one() -> None:
    """In Havana clocks went from 01:00 back to 00:00 on Sunday, 1 November 2020."""
    window = calendar("Month", "America/Havana")
    between = instant("2020-11-01T05:30:00+00:00")
    assert window.start(between) == instant("2020-11-01T04:00:00+00:00")


def test_a_rolling_window_is_real_time_also_when_asked_in_local_time() -> None:
    window = RollingWindow(Duration.parse("1d"))
    after_the_change = datetime(2026, 3, 29, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    elapsed = window.end(after_the_change) - window.start(after_the_change)
    assert window.start(after_the_change) == instant("2026-03-28T10:00:00+00:00")
    assert elapsed == timedelta(hours=24)
    assert length(window, after_the_change) == Duration.parse("24h")


def test_windows_print_as_people_call_them() -> None:
    assert str(RollingWindow(Duration.parse("4w"))) == "28d"
    assert str(calendar("Month", "Europe/Berlin")) == "Month (Europe/Berlin)"

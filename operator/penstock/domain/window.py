"""Windows over which an objective is promised: rolling, or calendar periods of a time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from penstock.domain.quantities import Duration


class Period(StrEnum):
    """A calendar period; it begins at midnight of the window's own time zone."""

    WEEK = "Week"
    MONTH = "Month"
    QUARTER = "Quarter"
    YEAR = "Year"


@dataclass(frozen=True, slots=True)
class RollingWindow:
    """The time of this length before each instant."""

    duration: Duration

    def start(self, at: datetime) -> datetime:
        """The instant, in UTC, at which the window that ends at ``at`` began.

        In UTC before anything is taken away: subtraction in a zone with daylight saving would be of
        wall-clock time.
        """
        return at.astimezone(UTC) - timedelta(milliseconds=self.duration.milliseconds)

    def end(self, at: datetime) -> datetime:
        """A rolling window always ends now."""
        return at.astimezone(UTC)

    def __str__(self) -> str:
        return str(self.duration)


@dataclass(frozen=True, slots=True)
class CalendarWindow:
    """The week (from Monday), month, quarter or year that an instant lies in.

    The zone comes in resolved: reading the zone database is input, and the core does none.
    """

    period: Period
    zone: tzinfo
    zone_name: str

    def start(self, at: datetime) -> datetime:
        """The instant, in UTC, at which the period around ``at`` began."""
        return self._midnight(*self._first_day(at, 0))

    def end(self, at: datetime) -> datetime:
        """The instant, in UTC, at which the period around ``at`` ends and the next begins."""
        return self._midnight(*self._first_day(at, 1))

    def _first_day(self, at: datetime, ahead: int) -> tuple[int, int, int]:
        local = at.astimezone(self.zone)
        if self.period is Period.WEEK:
            monday = local.date() - timedelta(days=local.weekday()) + timedelta(weeks=ahead)
            return monday.year, monday.month, monday.day
        months = {Period.MONTH: 1, Period.QUARTER: 3, Period.YEAR: 12}[self.period]
        index = (local.month - 1) // months * months + ahead * months
        return local.year + index // 12, index % 12 + 1, 1

    def _midnight(self, year: int, month: int, day: int) -> datetime:
        return datetime(year, month, day, tzinfo=self.zone).astimezone(UTC)

    def __str__(self) -> str:
        return f"{self.period} ({self.zone_name})"


Window = RollingWindow | CalendarWindow


def length(window: Window, at: datetime) -> Duration:
    """How long the window around ``at`` is in real time.

    March 2026 in Europe/Berlin is 743 h: 31 days less the hour that daylight saving takes.
    """
    if isinstance(window, RollingWindow):
        return window.duration
    span = window.end(at) - window.start(at)
    return Duration(span // timedelta(milliseconds=1))

"""The summary of an SLO's own status, for people."""

from __future__ import annotations

from datetime import datetime

from penstock.domain.evidence import CountUnit, Forecast, Reading
from penstock.domain.quantities import Objective
from penstock.domain.window import Window
from penstock.domain.wording import LONGEST, cut, moment, one_line, percent


def summary(
    name: str, objective: Objective, window: Window, reading: Reading | None, detail: str
) -> str:
    """The summary of one SLO's own status, on one line of at most 1,024 characters."""
    promise = f"{objective} over {window}"
    if reading is None or reading.remaining is None:
        return cut(one_line(f"{name} ({promise}) has no budget figure: {detail}"), LONGEST)
    left = percent(reading.remaining.value)
    parts = [
        f"{name} ({promise}) has {left} of its error budget left: {_counted(reading)}",
        _forecast(reading.forecast, reading.at),
        detail,
    ]
    return cut(one_line("; ".join(part for part in parts if part)), LONGEST)


def _counted(reading: Reading) -> str:
    """What the budget was measured by."""
    bad, total = reading.window_counts.bad, reading.window_counts.total
    if reading.unit is CountUnit.SHARES:
        return f"a mean share of {percent(bad / total)} bad"
    return f"{int(bad)} bad of {int(total)} {reading.unit}"


def _forecast(forecast: Forecast, now: datetime) -> str:
    if forecast.exhausted_at is not None:
        return f"exhausted about {moment(forecast.exhausted_at, now)} at the current burn rate"
    if forecast.recovers_at is not None:
        at = moment(forecast.recovers_at, now)
        return f"some is left again about {at} without more errors"
    return ""

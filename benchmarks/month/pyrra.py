"""The shapes of Pyrra's rules: `increase` over the window, and burn windows that scale with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from benchmarks.month.asking import Client
from benchmarks.month.data import BUCKET, DAY, Month
from benchmarks.month.promises import METRIC, Promise
from benchmarks.month.reading import Evaluation, Reading, metered
from benchmarks.month.served import Served

FRACTIONS = (8_064, 1_344, 672, 336, 112, 28, 7)
"""Of the window: 5m, 30m, 1h, 2h, 6h, 1d and 4d of four weeks."""


def burn_windows(days: int) -> list[str]:
    """Rounded to a minute, as Pyrra does; 4w gives 5m, 30m, 1h, 2h, 6h, 1d (1440m), 4d (5760m)."""
    whole = timedelta(days=days) / timedelta(minutes=1)
    return [f"{max(1, round(whole / part))}m" for part in FRACTIONS]


@dataclass(frozen=True)
class Pyrra:
    """One run of the rules that Pyrra writes: seven burn rates and the increase over the window."""

    name: str = "Pyrra: its 7 burn rates and the increase over the window"

    def evaluate(
        self, server: Served, month: Month, promises: Sequence[Promise], at: int
    ) -> Evaluation:
        """Eight requests for each objective; in Pyrra each is a rule."""
        readings = {}
        with metered(server) as meter:
            client = Client(server.url, meter.tally)
            for one in promises:
                burns = {
                    window: client.number(
                        f"sum(rate({one.bad}[{window}])) / sum(rate({one.total}[{window}]))", at
                    )
                    for window in burn_windows(month.window_days)
                }
                rows = client.instant(f"sum by (code) (increase({one.total}[{month.window}]))", at)
                readings[one.name] = _read(one, [(row["code"], n) for row, n in rows], burns)
            client.close()
        return Evaluation(self.name, readings, meter.cost(len(promises)), "per run of the rules")


@dataclass(frozen=True)
class Slices:
    """The sum of increases over slices of the window: with 5m Pyrra's PerformanceOverAccuracy.

    There the slices are recorded each 30 s; here a range query gives the same numbers.
    """

    name: str = "Pyrra, PerformanceOverAccuracy: sum of increase[5m]"

    def evaluate(
        self, server: Served, month: Month, promises: Sequence[Promise], at: int
    ) -> Evaluation:
        """One range query for each service; objectives over whole services alone."""
        readings = {}
        start = at - month.window_days * DAY + BUCKET
        with metered(server) as meter:
            client = Client(server.url, meter.tally)
            for one in promises:
                asked = f'sum by (code) (increase({METRIC}{{service="{one.service}"}}[5m]))'
                rows = client.range(asked, start, at, BUCKET)
                sums = [(row["code"], sum(n for _, n in points)) for row, points in rows]
                readings[one.name] = _read(one, sums, {})
            client.close()
        return Evaluation(self.name, readings, meter.cost(len(promises)), "once for all slices")


def _read(
    promise: Promise, by_code: Sequence[tuple[str, float]], burns: dict[str, float | None]
) -> Reading:
    bad = sum(number for code, number in by_code if promise.is_bad(code))
    return Reading.counted(bad, sum(number for _, number in by_code), burns)

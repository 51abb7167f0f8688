"""Twelve situations that a bucket of five minutes can be in, on a real Prometheus: counted exactly?

They are those of the contract tests (`support.situations`), written with real stale markers. The
twelfth, an old process that is scraped for the first time, nobody can know.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.month.tables import aligned
from penstock.engine.promql.counting import plain_increase
from support.situations import BUCKET, BY, METRIC, TWELVE, Situation, closing, counted, play

Counted = Mapping[str, Decimal]


def measure() -> list[Figure]:
    """The table is printed; the figures are how many are exact, and how far off the others are."""
    with (
        tempfile.TemporaryDirectory() as folder,
        play(TWELVE, watched=True).served(Path(folder)) as url,
    ):
        ours, naive = counted(url, closing()), counted(url, plain_increase(METRIC, BY, BUCKET))
    print(f"\n{_table(ours, naive)}\n", flush=True)
    return figures(ours, naive)


def figures(ours: Counted, naive: Counted) -> list[Figure]:
    """What each of the twelve was counted as, judged."""
    name, number = "plain increase", len(TWELVE)
    return [
        Figure(
            f"buckets counted exactly, of {number} situations",
            exact(ours),
            number - 1,
            name,
            exact(naive),
            at_least=True,
        ),
        Figure("worst of the situations, % off", worst(ours), 15, name, worst(naive)),
    ]


def exact(found: Counted) -> int:
    """How many of the twelve are right to the event."""
    return sum(percent_off(one, found.get(name)) == 0 for name, one in TWELVE.items())


def worst(found: Counted) -> float:
    """How far off the worst of the twelve is, in percent of its events."""
    return max(percent_off(one, found.get(name)) for name, one in TWELVE.items())


def percent_off(one: Situation, value: Decimal | None) -> float:
    """Events too many or too few: 20 of 200 are 10; all where there is no answer.

    Where nothing happened, no answer is right, and one event too many is 100.
    """
    found = Decimal(0) if value is None else value
    return 100 * abs(float(found) - one.true) / max(one.true, 1)


def _table(ours: Counted, naive: Counted) -> str:
    rows = [["situation", "true", "ours", "plain increase"]]
    for name, one in TWELVE.items():
        told = (_told(found.get(name)) for found in (ours, naive))
        rows.append([name, str(one.true), *told])
    return aligned(rows)


def _told(value: Decimal | None) -> str:
    return "none" if value is None else f"{value:.1f}".removesuffix(".0")

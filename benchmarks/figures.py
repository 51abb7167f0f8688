"""What a benchmark gives: a figure, its bar, and the baseline that it is to be read beside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        name: what was measured, with its unit.
        ours: what we took.
        bar: the most it may be, or the least; None where it only informs.
        baseline: what it is compared with, by name.
        theirs: what that took in the same run; None where there is no number.
        at_least: the bar is the least that it may be.
    """

    name: str
    ours: float
    bar: float | None
    baseline: str
    theirs: float | None = None
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the bar is kept."""
        if self.bar is None:
            return True
        return self.ours >= self.bar if self.at_least else self.ours <= self.bar


def table(figures: Iterable[Figure]) -> str:
    """All figures, as people read them."""
    rows = [("figure", "ours", "bar", "", "baseline", "theirs", "ratio")]
    for one in figures:
        ratio = f"{one.ours / one.theirs:.2f}" if one.theirs else ""
        rows.append(
            (
                one.name,
                f"{one.ours:.3g}",
                "" if one.bar is None else f"{'>=' if one.at_least else '<='} {one.bar:g}",
                "" if one.bar is None else ("kept" if one.holds else "MISSED"),
                one.baseline,
                "" if one.theirs is None else f"{one.theirs:.3g}",
                ratio,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all does not exceed; of 20 values, 0.99 is the largest."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

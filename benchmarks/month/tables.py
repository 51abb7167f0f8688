"""How far off each method is, by class of traffic, and what it took: tables for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from benchmarks.month.data import Count
from benchmarks.month.promises import SPENT, Promise
from benchmarks.month.reading import Evaluation, Number, Reading, finite

FAR = 10.0
"""Budget points by which nobody would accept to be misled."""

Measure = Callable[[Reading, Count], float | None]


def percent_off(found: Number | None, true: int) -> float | None:
    """Of a count: +1.0 where 101 were found of 100; None without an answer or anything to find."""
    known = finite(found)
    return None if known is None or not true else 100.0 * (known - true) / true


def errors_off(reading: Reading, true: Count) -> float | None:
    """Errors found, in percent of the true ones."""
    return percent_off(reading.bad, true.bad)


def totals_off(reading: Reading, true: Count) -> float | None:
    """Events found, in percent of the true ones."""
    return percent_off(reading.total, true.total)


def points_off(reading: Reading, true: Count) -> float | None:
    """Points of budget shown too many, where 20 of 100 are truly left: +2.0 for 22 points shown.

    None where nothing ever failed: there is no budget of which 80 points are spent.
    """
    ratio = finite(reading.ratio)
    if ratio is None or not true.bad:
        return None
    shown = 1.0 - float(SPENT) * ratio / (true.bad / true.total)
    return 100.0 * (shown - (1.0 - float(SPENT)))


def exact(reading: Reading, true: Count) -> bool:
    """Whether both counts are the true ones, to the last event."""
    return reading.bad == true.bad and reading.total == true.total


def by_class(
    title: str,
    measure: Measure,
    promises: Sequence[Promise],
    truths: Mapping[str, Count],
    evaluations: Iterable[Evaluation],
) -> str:
    """A row for each method, a column for each class: median (the worst)."""
    kinds = list(dict.fromkeys(one.kind for one in promises))
    numbers = {kind: sum(one.kind == kind for one in promises) for kind in kinds}
    rows = [[title, *(f"{kind} {numbers[kind]}" for kind in kinds)]]
    for evaluation in evaluations:
        cells = []
        for kind in kinds:
            names = [o.name for o in promises if o.kind == kind and o.name in evaluation.readings]
            found = [measure(evaluation.readings[name], truths[name]) for name in names]
            cells.append(_cell([one for one in found if one is not None]))
        rows.append([evaluation.method, *cells])
    return aligned(rows)


def _cell(found: Sequence[float]) -> str:
    if not found:
        return "-"
    return f"{_signed(median(found))} ({_signed(max(found, key=abs))})"


def _signed(number: float) -> str:
    """Zero only if it is."""
    if number == 0:
        return "0"
    return f"{number:+.2f}" if abs(number) >= 0.005 else f"{number:+.0e}"


def verdicts(
    promises: Sequence[Promise], truths: Mapping[str, Count], evaluations: Iterable[Evaluation]
) -> str:
    """How many objectives have no value, are far off, or are exact to the event."""
    rows = [["objectives", "asked", "no value", f"> {FAR:g} points off", "exact"]]
    for one in evaluations:
        asked = [promise.name for promise in promises if promise.name in one.readings]
        numbers = (len(asked), *judged(one, truths))
        rows.append([one.method, *map(str, numbers)])
    return aligned(rows)


def judged(evaluation: Evaluation, truths: Mapping[str, Count]) -> tuple[int, int, int]:
    """Objectives without a value although there was traffic, far off, exact."""
    told = [(reading, truths[name]) for name, reading in evaluation.readings.items()]
    valueless = sum(finite(reading.ratio) is None for reading, true in told if true.total)
    points = [points_off(reading, true) for reading, true in told]
    far = sum(one is not None and abs(one) > FAR for one in points)
    return valueless, far, sum(exact(reading, true) for reading, true in told)


def costs(evaluations: Iterable[Evaluation]) -> str:
    """What one evaluation took, per objective."""
    head = ["per objective and evaluation", "objectives", "requests", "samples", "peak"]
    rows = [[*head, "server CPU ms", "client CPU ms", "server MiB", "s in all", ""]]
    for one in evaluations:
        cost = one.cost
        rows.append(
            [
                one.method,
                str(cost.objectives),
                f"{cost.each(cost.requests):.3g}",
                f"{cost.each(cost.samples):,.0f}" if cost.samples else "not told",
                f"{cost.peak:,}" if cost.samples else "",
                f"{1e3 * cost.each(cost.server_cpu):.2f}",
                f"{1e3 * cost.each(cost.client_cpu):.3f}",
                f"{cost.server_mib:.0f}",
                f"{cost.seconds:.1f}",
                one.note,
            ]
        )
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """In columns, the first to the left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *rest = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)

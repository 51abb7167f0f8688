"""The figures that a month gives of our engine: a bar and a baseline of the same run for each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from benchmarks.figures import Figure
from benchmarks.month.data import Count
from benchmarks.month.promises import Promise
from benchmarks.month.reading import Evaluation, Reading
from benchmarks.month.tables import FAR, errors_off, judged, points_off, totals_off

Off = Callable[[Reading, Count], float]

CRASHING, GAPPY = "crashy", "gappy"
"""Classes in which a scrape cannot have seen everything."""


def of_costs(ours: Evaluation, naive: Evaluation, sloth: Evaluation) -> list[Figure]:
    """Samples per evaluation of one objective, as ratios."""
    samples = ours.cost.each(ours.cost.samples)
    return [
        Figure(
            f"samples per evaluation, {name} : ours",
            other.cost.each(other.cost.samples) / max(samples, 1),
            bar,
            f"{name}, samples",
            other.cost.each(other.cost.samples),
            at_least=True,
        )
        for name, other, bar in (("naive", naive, 1_000), ("Sloth", sloth, 100))
    ]


def of_exactness(
    ours: Evaluation, naive: Evaluation, promises: Sequence[Promise], truths: Mapping[str, Count]
) -> list[Figure]:
    """Events, budget points and answers, against the truth."""
    kinds = {one.kind for one in promises}
    seen, many = kinds - {CRASHING, GAPPY}, f"{len(promises)} SLOs"

    def worst(off: Off, of: Evaluation, among: set[str]) -> float:
        names = [one.name for one in promises if one.kind in among]
        return max((off(of.readings[name], truths[name]) for name in names), default=0.0)

    figures = [
        Figure(f"{many}: {what}", worst(off, ours, among), bar, "naive", worst(off, naive, among))
        for what, off, among, bar in (
            ("events off, no outage, no crash", _events, seen, 0.0),
            ("events or errors off with crashes, %", _percent, {CRASHING}, 0.05),
            ("worst budget error without outages, points", _points, kinds - {GAPPY}, 0.05),
            ("worst budget error, points", _points, kinds, 0.5),
        )
    ]
    without, far, _ = judged(ours, truths)
    others_without, others_far, _ = judged(naive, truths)
    return [
        *figures,
        Figure(f"{many}: without a value", without, 0, "naive", others_without),
        Figure(f"{many}: > {FAR:g} points off", far, 0, "naive", others_far),
    ]


def of_fleet(ours: Evaluation, bare: Evaluation, library: Evaluation) -> list[Figure]:
    """One cycle for a thousand objectives of one shape."""
    return [
        Figure(
            "server CPU, one request per SLO and window : ours",
            bare.cost.server_cpu / max(ours.cost.server_cpu, 0.01),
            20,
            f"{bare.method}, s",
            bare.cost.server_cpu,
            at_least=True,
        ),
        # Who asks for ratios has numbers then; budgets, forecasts and evidence are ours alone.
        Figure(
            "client CPU to ask and read, one request per SLO and window : ours",
            library.cost.client_cpu / max((ours.asking or ours.cost).client_cpu, 0.001),
            100,
            f"{library.method}, s",
            library.cost.client_cpu,
            at_least=True,
        ),
        Figure(
            "client CPU, the same : ours with all that is told of each SLO",
            library.cost.client_cpu / max(ours.cost.client_cpu, 0.001),
            None,
            f"{library.method}, s",
            library.cost.client_cpu,
            at_least=True,
        ),
    ]


def of_requests(ours: Evaluation, how: str, bar: int) -> list[Figure]:
    """What a thousand objectives take in a cycle, beside it once in five minutes, and in memory."""
    thousand, upkeep = ours.cost.objectives / 1_000, ours.upkeep or ours.cost
    cycle = ours.cost.requests / thousand
    return [
        Figure(f"requests per 1,000 SLOs and cycle, {how}", cycle, bar, "windows of each", 8_000),
        Figure(
            f"requests per 1,000 SLOs, a close and two readings again, {how}",
            upkeep.requests / thousand,
            3 * cycle,
            "a cycle's",
            cycle,
        ),
        Figure(
            f"bytes of an SLO's ledger in memory, {how}",
            ours.kept_bytes,
            32_000,
            "a dict of each bucket",
            302_000,
        ),
    ]


def _events(reading: Reading, true: Count) -> float:
    """By how many events a count is off; no answer is infinitely far off."""
    pairs = ((reading.bad, true.bad), (reading.total, true.total))
    return max(math.inf if found is None else abs(float(found) - right) for found, right in pairs)


def _percent(reading: Reading, true: Count) -> float:
    off = [errors_off(reading, true) if true.bad else 0.0]
    off += [totals_off(reading, true) if true.total else 0.0]
    return max(math.inf if one is None else abs(one) for one in off)


def _points(reading: Reading, true: Count) -> float:
    off = points_off(reading, true) if true.bad else 0.0
    return math.inf if off is None else abs(off)

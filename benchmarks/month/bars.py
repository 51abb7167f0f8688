"""The figures that a month gives of our engine, each with its bar and a baseline of the same run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.figures import Figure
from benchmarks.month.data import Count
from benchmarks.month.promises import Promise
from benchmarks.month.reading import Evaluation
from benchmarks.month.tables import errors_off, judged, points_off, totals_off

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
    ours: Evaluation,
    naive: Evaluation,
    promises: Sequence[Promise],
    truths: Mapping[str, Count],
) -> list[Figure]:
    """Events, budget points and answers, against the truth."""
    many = f"{len(promises)} SLOs"
    return [
        _events(
            f"{many}: events or errors off, no outage, no crash", ours, naive, promises, truths
        ),
        _percent(f"{many}: errors or events off with crashes, %", ours, naive, promises, truths),
        _points(
            f"{many}: worst budget error, no outage, points", 0.05, ours, naive, promises, truths
        ),
        _points(
            f"{many}: worst budget error, all, points", 0.5, ours, naive, promises, truths, GAPPY
        ),
        *(
            Figure(f"{many}: {what}", one, 0, "naive", other)
            for what, one, other in zip(
                ("without a value", "> 10 points off"),
                judged(ours, truths)[:2],
                judged(naive, truths)[:2],
                strict=True,
            )
        ),
    ]


def of_fleet(ours: Evaluation, bare: Evaluation, library: Evaluation) -> list[Figure]:
    """One cycle for a thousand objectives of one shape."""
    thousand = ours.cost.objectives / 1_000
    return [
        Figure(
            "requests per 1,000 SLOs and cycle, one shape",
            ours.cost.requests / thousand,
            4,
            bare.method,
            bare.cost.requests / thousand,
        ),
        Figure(
            "server CPU, one request per SLO and window : ours",
            bare.cost.server_cpu / max(ours.cost.server_cpu, 0.01),
            20,
            f"{bare.method}, s",
            bare.cost.server_cpu,
            at_least=True,
        ),
        Figure(
            "client CPU, one request per SLO and window : ours",
            library.cost.client_cpu / max(ours.cost.client_cpu, 0.001),
            100,
            f"{library.method}, s",
            library.cost.client_cpu,
            at_least=True,
        ),
    ]


def _events(
    name: str,
    ours: Evaluation,
    naive: Evaluation,
    promises: Sequence[Promise],
    truths: Mapping[str, Count],
) -> Figure:
    """The most events by which a count is off; whole classes of traffic allow none."""

    def worst(of: Evaluation) -> float:
        off = [0.0]
        for one in promises:
            if one.kind not in (CRASHING, GAPPY):
                reading, true = of.readings[one.name], truths[one.name]
                for found, right in ((reading.bad, true.bad), (reading.total, true.total)):
                    off.append(float("inf") if found is None else abs(float(found) - right))
        return max(off)

    return Figure(name, worst(ours), 0, "naive", worst(naive))


def _percent(
    name: str,
    ours: Evaluation,
    naive: Evaluation,
    promises: Sequence[Promise],
    truths: Mapping[str, Count],
) -> Figure:
    def worst(of: Evaluation) -> float:
        off = [
            measure(of.readings[one.name], truths[one.name])
            for one in promises
            if one.kind == CRASHING and truths[one.name].bad
            for measure in (errors_off, totals_off)
        ]
        return max((float("inf") if one is None else abs(one) for one in off), default=0.0)

    return Figure(name, worst(ours), 0.05, "naive", worst(naive))


def _points(
    name: str,
    bar: float,
    ours: Evaluation,
    naive: Evaluation,
    promises: Sequence[Promise],
    truths: Mapping[str, Count],
    *also: str,
) -> Figure:
    def worst(of: Evaluation) -> float:
        off = [
            points_off(of.readings[one.name], truths[one.name])
            for one in promises
            if (one.kind != GAPPY or one.kind in also) and truths[one.name].bad
        ]
        return max((float("inf") if one is None else abs(one) for one in off), default=0.0)

    return Figure(name, worst(ours), bar, "naive", worst(naive))

"""Runs every way of reading budgets on one month, and prints how far off each is and what it took.

Ours reads the services' budgets as an operator that was always there, those of the thousand with
selectors of their own as one that is new, and the fleet's as one cycle.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from benchmarks.figures import Figure
from benchmarks.month import bars, promises, tables
from benchmarks.month.changes import of_changes
from benchmarks.month.data import Month
from benchmarks.month.generated import Size, month
from benchmarks.month.naive import Fleet, Naive, NaiveCounts
from benchmarks.month.ours import Ours, of_engine
from benchmarks.month.pyrra import Pyrra, Slices
from benchmarks.month.reading import Evaluation, Method, least
from benchmarks.month.served import Served, served
from benchmarks.month.sloth import RecordedSloth, Sloth
from benchmarks.seed import seed

RECORDED = ("steady00", "medium00", "lowlazy00", "batch00")
"""Recording one service's month takes promtool some 15 seconds: these have to do."""
EACH_OF_DISTINCT = 20
ROUNDS = 3
SIX_HOURS = "6h"


def measure() -> list[Figure]:
    """The tables are printed as soon as they are known; the figures are those of ours."""
    with month(seed("this month"), size(), print) as made:
        with served(made) as server:
            figures = _services(server, made, Ours())
            figures += of_engine(made, server, promises.of_services(made), made.end)
            figures += of_changes(made, server)
            figures += _distinct(server, made, Ours("ours, backfilled", backfilled=True))
            figures += _fleet(server, made)
        with served(made) as server:
            _recorded(server, made)
    return figures


def size() -> Size:
    """A smaller one for trials: `DAYS=2 SERVICES=8 FLEET=50`."""
    usual = Size()
    return Size(
        days=int(os.environ.get("DAYS") or usual.days),
        services=int(os.environ.get("SERVICES") or usual.services),
        fleet=int(os.environ.get("FLEET") or usual.fleet),
    )


def _services(server: Served, made: Month, ours: Method) -> list[Figure]:
    asked = promises.of_services(made)
    true = promises.truths(made, asked)
    counts, naive, sloth = NaiveCounts(), Naive(), Sloth()
    methods: list[Method] = [counts, naive, Slices(), sloth, Pyrra()]
    methods.append(ours)
    found = {one.name: _evaluated(one, server, made, asked) for one in methods}
    print(f"\n{len(asked)} services, {made.window}: median (worst)\n")
    counted = [found[one.name] for one in methods if one not in (naive, sloth)]
    print(tables.by_class("errors, % off", tables.errors_off, asked, true, counted), "\n")
    print(tables.by_class("events, % off", tables.totals_off, asked, true, counted), "\n")
    print("budget points shown too many, of 20 that are left\n")
    print(tables.by_class("points", tables.points_off, asked, true, found.values()), "\n")
    print(tables.verdicts(asked, true, found.values()), "\n")
    print(tables.costs(found.values()), flush=True)
    told = found[ours.name]
    figures = bars.of_costs(told, found[naive.name], found[sloth.name])
    return figures + bars.of_exactness(told, found[counts.name], asked, true)


def _distinct(server: Served, made: Month, ours: Method) -> list[Figure]:
    """The naive query is counted for all, but paid for by one in twenty: a month takes long."""
    asked = promises.distinct(made)
    true = promises.truths(made, asked)
    counts = _evaluated(NaiveCounts(), server, made, asked)
    paid = _evaluated(Naive(), server, made, asked[::EACH_OF_DISTINCT])
    found = [counts, _evaluated(ours, server, made, asked)]
    print(f"\n{len(asked)} SLOs with selectors of their own: budget points shown too many\n")
    print(tables.by_class("points", tables.points_off, asked, true, found), "\n")
    print(tables.verdicts(asked, true, found), "\n")
    print(f"what it takes: the naive one for each {EACH_OF_DISTINCT}th\n")
    print(tables.costs([paid, *found]), flush=True)
    return bars.of_exactness(found[-1], counts, asked, true)


def _fleet(server: Served, made: Month) -> list[Figure]:
    asked = promises.of_fleet(made)
    if not asked:
        return []
    bare, library = Fleet(library=False), Fleet(library=True)
    shared = Ours("ours, a cycle", backfilled=True, window=SIX_HOURS)
    apart = Ours("ours, a cycle, nothing shared", backfilled=True, window=SIX_HOURS)
    methods: list[Method] = [bare, library, shared]
    # In turns, so that whatever else the machine does hits all alike.
    rounds = [[_evaluated(one, server, made, asked) for one in methods] for _ in range(ROUNDS)]
    found = [least(same) for same in zip(*rounds, strict=True)]
    found.append(_evaluated(apart, server, made, promises.apart(made)))
    print(f"\n{len(asked)} services of 4 series each\n")
    print(tables.costs(found), flush=True)
    return [
        *bars.of_requests(found[2], "one shape", 4),
        *bars.of_requests(found[3], "nothing shared", 40),
        *bars.of_fleet(found[2], found[0], found[1]),
    ]


def _recorded(server: Served, made: Month) -> None:
    asked = [one for one in promises.of_services(made) if one.name in RECORDED]
    true = promises.truths(made, asked)
    found = [_evaluated(RecordedSloth(), server, made, asked)]
    print(f"\nSloth's series really recorded, for {', '.join(one.name for one in asked)} alone\n")
    print(tables.by_class("points", tables.points_off, asked, true, found), "\n")
    print(tables.verdicts(asked, true, found), "\n")
    print(tables.costs(found), flush=True)


def _evaluated(
    method: Method, server: Served, made: Month, asked: Sequence[promises.Promise]
) -> Evaluation:
    found = method.evaluate(server, made, asked, made.end)
    print(f"  {method.name}: {found.cost.objectives} SLOs, {found.cost.seconds:.0f} s", flush=True)
    return found

"""What changes cost: a restart, another objective, window or policy, and an SLO that is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmarks.figures import Figure
from benchmarks.month import promises
from benchmarks.month.data import Month
from benchmarks.month.ours import LOOKS, Engine, fill, slo, slos
from benchmarks.month.promises import METRIC, QUIET
from benchmarks.month.served import Served
from penstock.domain.ledger_codec import decode, encode
from penstock.domain.quantities import Duration, Objective
from penstock.domain.slo import Slo
from penstock.domain.window import RollingWindow

WINDOW, SHORTER = "6h", "3h"
LOOKS_OF_ANOTHER_POLICY = LOOKS | {Duration.parse("15m"), Duration.parse("4h")}
BATCH = 250
REFUSED = "5{1001}"
"""A regular expression that RE2 repeats too often for: a server refuses any query with it."""


def of_changes(made: Month, server: Served) -> list[Figure]:
    """All of them, when the month ends."""
    at = made.end // 1_000
    return [*_of_ledgers(made, server, at), *_of_a_refusal(made, server, at)]


def _of_ledgers(made: Month, server: Served, at: int) -> list[Figure]:
    """Samples beside those of a cycle, of every service's ledger."""
    asked = slos(made, promises.of_services(made), WINDOW)
    with Engine(server.url, asked) as engine:
        anew = _samples(engine, lambda: fill(engine, at, 0))
        cycle = _samples(engine, lambda: _evaluated(engine, at))
        kept = {tracked.key.digest: encode(tracked.ledger) for tracked in engine.book}
        changed = {
            "another objective": _changed(engine, at, [_with_objective(slo) for slo in asked]),
            "a shorter window": _changed(engine, at, [_with_window(slo) for slo in asked]),
            "another policy": _changed(engine, at, asked, LOOKS_OF_ANOTHER_POLICY),
        }
    with Engine(server.url, asked) as restarted:
        taken_up = {name: decode(data) for name, data in kept.items()}
        restarted.library.kept.update({name: slo for name, slo in taken_up.items() if slo})
        again = _samples(restarted, lambda: _evaluated(restarted, at))
    return [
        Figure("samples read again, a restart", again - cycle, 0, "without a snapshot", anew),
        *(
            Figure(f"samples read again, {what}", samples - cycle, 0, "a cycle", cycle)
            for what, samples in changed.items()
        ),
    ]


def _of_a_refusal(made: Month, server: Served, at: int) -> list[Figure]:
    """One of a full batch has a query that the server refuses; the others are none the worse."""
    good = slos(made, promises.of_fleet(made)[:BATCH], WINDOW)
    if not good:
        return []
    number, place = len(good), made.seed % len(good)
    with Engine(server.url, good) as engine:
        engine.measure(at)
        usual = _requests(engine, lambda: engine.measure(at))
        engine.slos = [*good[:place], _refused(good[place].ref.name), *good[place + 1 :]]
        before = engine.counts.requests
        found = engine.measure(at)
        requests = engine.counts.requests - before
    told = sum(evidence.reading is not None for evidence in found.values())
    name = f"one bad SLO among {number}"
    return [
        Figure(f"{name}: others not evaluated", number - 1 - told, 0, "one query", number - 1),
        Figure(f"{name}: requests more", requests - usual, 16, "each asked alone", number),
    ]


def _changed(
    engine: Engine, at: int, slos: Sequence[Slo], burn_windows: frozenset[Duration] = LOOKS
) -> int:
    engine.slos = slos
    return _samples(engine, lambda: _evaluated(engine, at, burn_windows))


def _evaluated(engine: Engine, at: int, burn_windows: frozenset[Duration] = LOOKS) -> None:
    """One cycle, and all upkeep that it finds due."""
    engine.measure(at, looks=burn_windows)
    while engine.keep_up(at):
        continue


def _samples(engine: Engine, what: Callable[[], object]) -> int:
    before = engine.counts.samples
    what()
    return engine.counts.samples - before


def _requests(engine: Engine, what: Callable[[], object]) -> int:
    before = engine.counts.requests
    what()
    return engine.counts.requests - before


def _with_objective(slo: Slo) -> Slo:
    return replace(slo, objective=Objective.parse("98.7%"))


def _with_window(slo: Slo) -> Slo:
    return replace(slo, window=RollingWindow(Duration.parse(SHORTER)))


def _refused(name: str) -> Slo:
    total = f'{METRIC}{{service="{name}"}}'
    return slo(name, f'{METRIC}{{service="{name}",code=~"{REFUSED}"}}', total, QUIET, WINDOW)

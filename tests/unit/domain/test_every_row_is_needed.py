"""Each row of the truth table is needed, where it stands, as it is: a wrong one fails a test.

So does each wrong comparison in what judges, remembers, follows and acts. What survives changes
nothing that can be seen, and says here why.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from types import ModuleType

import pytest

from penstock.domain import (
    conditions,
    deadlines,
    decide,
    effective_policy,
    external_resume,
    gate,
    memory,
    release_tracking,
    thresholds,
)
from support.mutants import Check, checks, killer, mutants, planted, unchanged

TABLES = ("GATE_RULES", "RELEASE_RULES")
ROWS = [(table, row) for table in TABLES for row in range(len(getattr(decide, table)))]

OF_ROWS = ("test_decide", "test_thresholds", "test_memory")
TESTED_BY: dict[ModuleType, tuple[str, ...]] = {
    decide: OF_ROWS,
    thresholds: OF_ROWS,
    memory: OF_ROWS,
    effective_policy: ("test_effective_policy",),
    release_tracking: ("test_release_tracking", "test_gate"),
    gate: ("test_gate",),
    external_resume: ("test_gate",),
    deadlines: ("test_deadlines",),
    conditions: ("test_conditions",),
}
NAMES = {module: module.__name__.rpartition(".")[2] for module in TESTED_BY}

EQUIVALENT = {
    "decide: unknown_rule: 0 -> 1": "for the type checker alone: the default outage has a keepLast",
    "thresholds: _badness: 9 -> 10": "any rank behind the four that cross is as good as another",
    "effective_policy: _unknown: written.then or default.then or UnknownThen.HOLD -> "
    "written.then or default.then": "for the type checker alone: both defaults say what then",
    "effective_policy: _unknown: 0 -> 1": "for the type checker: both defaults have a keepLast",
    "effective_policy: _errors_window: 1 -> 2": "the first pair has the shortest long window",
    "effective_policy: default_burn_rules: 1 -> 2": (
        "no window is so short that a part of it is under 2 ms"
    ),
    "gate: _after_decision: release is not None and release.verdict is Verdict.HOLD and "
    "(release.reason in HOLD_CAUSES) -> release is not None and release.reason in HOLD_CAUSES": (
        "whatever is for a cause is a hold"
    ),
    "gate: _after_decision: release is not None and release.verdict is Verdict.HOLD and "
    "(release.reason in HOLD_CAUSES) -> "
    "release is not None and release.verdict is Verdict.HOLD": (
        "a release is held without a cause only while the gate is shut, and settles as that does"
    ),
    "gate: _with_release_reason: state.release is None or decisions.release is None -> "
    "state.release is None and decisions.release is None": (
        "there is an answer about a release where there is one, and only there"
    ),
    "external_resume: detect_external_resume: "
    "not hold.active or workload.held_by_us or (not workload.exists) -> "
    "not hold.active or workload.held_by_us": ("what is missing is held by nobody already"),
    "external_resume: detect_external_resume: False -> True": (
        "whether it is active is read back in the same step"
    ),
}


@cache
def killers_of(*names: str) -> Sequence[tuple[str, Check]]:
    return checks(*names)


@pytest.mark.parametrize("module", TESTED_BY, ids=NAMES.get)
def test_what_is_planted_unchanged_passes(module: ModuleType) -> None:
    killers = killers_of(*TESTED_BY[module])
    assert killer(killers) is None
    with planted(unchanged(module)):
        assert killer(killers) is None


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_without_a_row_a_test_fails(monkeypatch: pytest.MonkeyPatch, table: str, row: int) -> None:
    rules = getattr(decide, table)
    monkeypatch.setattr(decide, table, (*rules[:row], *rules[row + 1 :]))
    assert killer(killers_of(*OF_ROWS)), f"nothing tests {table}[{row}]"


@pytest.mark.parametrize(("table", "row"), [(t, r) for t, r in ROWS if r])
def test_with_two_rows_exchanged_a_test_fails(
    monkeypatch: pytest.MonkeyPatch, table: str, row: int
) -> None:
    rules = getattr(decide, table)
    swapped = (*rules[: row - 1], rules[row], rules[row - 1], *rules[row + 1 :])
    monkeypatch.setattr(decide, table, swapped)
    assert killer(killers_of(*OF_ROWS)), f"nothing tests that {table}[{row - 1}] comes first"


@pytest.mark.slow
@pytest.mark.parametrize("module", TESTED_BY, ids=NAMES.get)
def test_a_wrong_comparison_anywhere_fails_a_test(module: ModuleType) -> None:
    survivors = set()
    for mutant in mutants(module):
        with planted(mutant):
            if killer(killers_of(*TESTED_BY[module])) is None:
                survivors.add(str(mutant))
    assert survivors == {name for name in EQUIVALENT if name.startswith(f"{NAMES[module]}: ")}

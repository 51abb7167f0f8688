"""Each row of the truth table is needed, where it stands, as it is: a wrong one fails a test.

What survives changes nothing that can be seen, and says here why.
"""

from __future__ import annotations

import pytest

from penstock.domain import decide, judge, memory
from support.row_mutants import checks, killer, mutants, planted, restored, unchanged

TABLES = ("GATE_RULES", "RELEASE_RULES")
ROWS = [(table, row) for table in TABLES for row in range(len(getattr(decide, table)))]

MODULES = (decide, judge, memory)
NAMES = [module.__name__.rpartition(".")[2] for module in MODULES]

EQUIVALENT = {
    "decide: _terms: 0 -> 1": "for the type checker alone: the default outage has a keepLast",
    "judge: _badness: 9 -> 10": "any rank behind the four that cross is as good as another",
}


@pytest.fixture(scope="module")
def tests():
    return checks()


def test_the_rows_as_they_are_pass(tests) -> None:
    assert killer(tests) is None
    assert len(tests) > 200


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_what_is_planted_unchanged_passes(tests, module) -> None:
    with planted(unchanged(module)):
        assert killer(tests) is None


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_without_a_row_a_test_fails(tests, table: str, row: int) -> None:
    rules = getattr(decide, table)
    with restored():
        setattr(decide, table, (*rules[:row], *rules[row + 1 :]))
        assert killer(tests), f"nothing tests {table}[{row}]"


@pytest.mark.parametrize(("table", "row"), [(t, r) for t, r in ROWS if r])
def test_with_two_rows_exchanged_a_test_fails(tests, table: str, row: int) -> None:
    rules = getattr(decide, table)
    with restored():
        swapped = (*rules[: row - 1], rules[row], rules[row - 1], *rules[row + 1 :])
        setattr(decide, table, swapped)
        assert killer(tests), f"nothing tests that {table}[{row - 1}] comes before [{row}]"


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_a_wrong_comparison_anywhere_fails_a_test(tests, module) -> None:
    survivors = []
    for mutant in mutants(module):
        with planted(mutant):
            if killer(tests) is None:
                survivors.append(str(mutant))
    told = [name for name in EQUIVALENT if name.startswith(module.__name__.rpartition(".")[2])]
    assert sorted(survivors) == sorted(told)

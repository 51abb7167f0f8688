"""How the twelve situations are judged; that they are counted so has tests of its own."""

from __future__ import annotations

from decimal import Decimal

import pytest
from benchmarks.situations import figures, percent_off

from support.situations import TWELVE, Situation

TRUTH = {name: Decimal(one.true) for name, one in TWELVE.items()}
OLD_PROCESS = "old process scraped for the first time"


def situation(true: int) -> Situation:
    return Situation(true, lambda _: 0)


@pytest.mark.parametrize(
    ("true", "found", "off"),
    [(200, 220, 10), (200, 180, 10), (200, None, 100), (0, None, 0), (0, 40, 4_000)],
)
def test_a_situation_is_off_by_events_too_many_or_too_few(true, found, off):
    value = None if found is None else Decimal(found)
    assert percent_off(situation(true), value) == pytest.approx(off)


def test_who_counts_all_but_one_exactly_and_that_one_nearly_keeps_both_bars():
    nearly = TRUTH | {OLD_PROCESS: Decimal("200.7")}
    assert [(one.ours, one.holds) for one in figures(nearly, {})] == [
        (11, True),
        (pytest.approx(11.5), True),
    ]


def test_two_that_are_wrong_miss_the_bar():
    wrong = TRUTH | {"steady": Decimal(399), OLD_PROCESS: Decimal(180 * 2)}
    assert not any(one.holds for one in figures(wrong, {}))

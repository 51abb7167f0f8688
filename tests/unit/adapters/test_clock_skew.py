"""When a server's clock and ours differ, and when they are compared again."""

from __future__ import annotations

import pytest

from penstock.adapters.clock_skew import AGAIN, EVERY, JUMP, TOLERANCE, ClockCheck, skew


@pytest.mark.parametrize(
    ("theirs", "found"),
    [(107.0, 6.6), (98.0, -2.0), (100.0, 0.0), (100.3, 0.0), (100.4, 0.0), (100.5, 0.1)],
)
def test_what_the_way_may_explain_is_no_skew(theirs, found):
    assert skew(100.0, 100.4, theirs) == pytest.approx(found)


def test_a_slow_answer_is_no_skew():
    assert skew(100.0, 130.0, 100.1) == 0
    assert skew(100.0, 130.0, 129.9) == 0


@pytest.mark.parametrize(
    ("found", "agrees"),
    [(0, True), (TOLERANCE, True), (-TOLERANCE, True), (5.01, False), (-5.01, False)],
)
def test_five_seconds_are_borne(found, agrees):
    check = ClockCheck()
    check.compared(10, 1_000, found)
    assert check.agrees is agrees


def test_it_is_compared_at_first_then_seldom_and_often_while_they_differ():
    check = ClockCheck()
    assert check.is_due(10, 1_000)
    check.compared(10, 1_000, 0)
    assert not check.is_due(9 + EVERY, 999 + EVERY)
    assert check.is_due(10 + EVERY, 1_000 + EVERY)
    assert check.is_due(71, 1_061, every=60)
    check.compared(10, 1_000, 7)
    assert not check.is_due(9 + AGAIN, 999 + AGAIN)
    assert check.is_due(10 + AGAIN, 1_000 + AGAIN)


@pytest.mark.parametrize("jump", [JUMP + 0.1, -JUMP - 0.1])
def test_our_own_clock_that_was_set_is_a_reason_to_compare(jump):
    check = ClockCheck()
    check.compared(10, 1_000, 0)
    assert check.is_due(11, 1_001 + jump)
    assert not check.is_due(11, 1_001.5)

"""How far off a reading is: the arithmetic of the benchmark's tables, and which bar is kept."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from benchmarks.figures import Figure, table
from benchmarks.month import bars
from benchmarks.month.data import Count
from benchmarks.month.promises import Promise, objective
from benchmarks.month.pyrra import burn_windows
from benchmarks.month.reading import Cost, Evaluation, Reading
from benchmarks.month.tables import errors_off, judged, points_off

TRUE = Count(bad=80, total=100_000)
COST = Cost(1, 1, 1, 1, 0.0, 0.0, 0.0, 0.0)


def test_half_of_the_errors_found_shows_forty_points_too_many():
    reading = Reading.counted(40, 100_000)
    assert errors_off(reading, TRUE) == -50
    assert points_off(reading, TRUE) == pytest.approx(40)


def test_the_truth_itself_is_nowhere_off():
    reading = Reading.counted(Decimal(80), Decimal(100_000))
    assert points_off(reading, TRUE) == pytest.approx(0)
    assert judged(Evaluation("m", {"a": reading}, COST), {"a": TRUE}) == (0, 0, 1)


@pytest.mark.parametrize("ratio", [None, float("nan"), float("inf")])
def test_no_number_is_no_value(ratio):
    assert points_off(Reading(ratio), TRUE) is None
    assert judged(Evaluation("m", {"a": Reading(ratio)}, COST), {"a": TRUE}) == (1, 0, 0)


def test_without_traffic_no_value_is_right():
    assert judged(Evaluation("m", {"a": Reading(None)}, COST), {"a": Count(0, 0)}) == (0, 0, 0)


def test_the_objective_is_one_of_which_80_of_100_points_are_spent():
    assert objective(TRUE) == "99.9%"
    assert objective(Count(4, 10_000)) == "99.95%"
    assert objective(Count(0, 10)) == "99.9%"


def test_selectors_are_as_people_write_them():
    one = Promise("a", "shop", "steady", (("service", "=", "shop"), ("method", "!~", "P.+")))
    assert one.total == 'http_requests_total{service="shop",method!~"P.+"}'
    assert one.bad == 'http_requests_total{service="shop",method!~"P.+",code=~"5.."}'
    assert one.takes({"service": "shop", "method": "GET"})
    assert not one.takes({"service": "shop", "method": "POST"})
    assert one.is_bad("503")
    assert not one.is_bad("5030")


def test_pyrras_windows_scale_with_the_objectives():
    assert burn_windows(28) == ["5m", "30m", "60m", "120m", "360m", "1440m", "5760m"]


@pytest.mark.parametrize(
    ("at_least", "ours", "kept"), [(True, 9, False), (True, 10, True), (False, 11, False)]
)
def test_a_bar_is_the_most_or_the_least(at_least, ours, kept):
    one = Figure("f", ours, 10, "b", at_least=at_least)
    assert one.holds is kept
    assert (">= 10" if at_least else "<= 10") in table([one])


def promised(bad: float, total: float) -> list[Figure]:
    """What we are held to, for one service whose scrapes saw everything."""
    ours = Evaluation("ours", {"a": Reading.counted(bad, total)}, COST)
    naive = Evaluation("naive", {"a": Reading.counted(60, 100_000)}, COST)
    one = Promise("a", "a", "steady", ())
    return bars.of_exactness(ours, naive, [one], {"a": TRUE})


def test_a_method_that_is_right_keeps_every_bar():
    assert all(figure.holds for figure in promised(80, 100_000))


def test_one_event_too_many_misses_the_bar_of_exactness_alone():
    missed = [figure for figure in promised(80, 100_001) if not figure.holds]
    assert [(figure.ours, figure.theirs) for figure in missed] == [(1, 20)]


def test_a_tenth_of_the_errors_missed_is_eight_points_and_misses_three_bars():
    missed = [figure for figure in promised(72, 100_000) if not figure.holds]
    assert [round(figure.ours, 6) for figure in missed] == [8, 8, 8]


def test_no_answer_is_infinitely_far_off():
    ours = Evaluation("ours", {"a": Reading(None)}, COST)
    one = Promise("a", "a", "steady", ())
    figures = bars.of_exactness(ours, ours, [one], {"a": TRUE})
    assert [figure.ours for figure in figures if not figure.holds] == [math.inf] * 3 + [1]

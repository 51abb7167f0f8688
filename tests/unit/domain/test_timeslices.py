"""Budgets of time slices."""

from __future__ import annotations

from decimal import Decimal

import pytest

from penstock.domain.evidence import EventCounts
from penstock.domain.quantities import Duration, Percentage
from penstock.domain.slo import Budgeting, Occurrences, RatioTimeslices, Timeslices
from penstock.domain.timeslices import TimesliceRule, bucket_seconds, count_slices, timeslice_rule

TARGET = Decimal("0.99")


def count(bad: int, total: int) -> EventCounts:
    return EventCounts(Decimal(bad), Decimal(total))


def timeslices(length: str) -> Timeslices:
    return Timeslices(Duration.parse(length), Percentage.parse("99%"))


@pytest.mark.parametrize(
    ("length", "grain"),
    [("1m", 60), ("90s", 90), ("5m", 300), ("6m", 60), ("15m", 300), ("7m30s", 150), ("1h", 300)],
)
def test_buckets_are_of_five_minutes_unless_slices_need_shorter_ones(
    length: str, grain: int
) -> None:
    assert bucket_seconds(timeslices(length)) == grain
    assert 3_600 % grain == 0


def test_occurrences_are_not_sliced() -> None:
    assert timeslice_rule(Occurrences()) is None
    assert bucket_seconds(Occurrences()) == 300


@pytest.mark.parametrize(
    ("budgeting", "expected"),
    [
        (timeslices("5m"), TimesliceRule(300, TARGET)),
        (RatioTimeslices(Duration.parse("1m")), TimesliceRule(60, None)),
    ],
)
def test_a_method_says_how_time_is_sliced(budgeting: Budgeting, expected: TimesliceRule) -> None:
    assert timeslice_rule(budgeting) == expected


@pytest.mark.parametrize(
    ("events", "bad"),
    [
        (count(1, 100), 0),
        (count(2, 100), 1),
        (count(0, 0), 0),
        (None, 0),
        (count(100, 100), 1),
    ],
)
def test_a_slice_is_bad_as_a_whole_under_its_target(events: EventCounts | None, bad: int) -> None:
    assert TimesliceRule(300, TARGET).bad(events) == bad


def test_without_a_target_a_slice_is_as_bad_as_its_share() -> None:
    assert TimesliceRule(300, None).bad(count(3, 100)) == Decimal("0.03")


def test_an_empty_slice_is_good_or_left_out() -> None:
    parts = [count(1, 10), None, count(0, 0), count(0, 10)]
    assert count_slices(TimesliceRule(300, TARGET), parts, 300) == count(1, 4)
    assert count_slices(TimesliceRule(300, None), parts, 300) == EventCounts(
        Decimal("0.1"), Decimal(2)
    )


def test_a_slice_may_be_several_buckets() -> None:
    parts = [count(0, 10)] * 11 + [count(10, 100)]
    assert count_slices(TimesliceRule(1_800, TARGET), parts, 300) == count(1, 2)
    assert count_slices(TimesliceRule(3_600, TARGET), parts, 300) == count(1, 1)


def test_buckets_that_make_no_whole_slice_are_left_out() -> None:
    assert count_slices(TimesliceRule(900, TARGET), [count(5, 10)] * 4, 300) == count(1, 1)

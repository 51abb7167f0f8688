"""Counters of what a ledger has counted, and what they prove."""

from __future__ import annotations

from decimal import Decimal

import pytest

from penstock.domain.bucket_ring import BucketState
from penstock.domain.evidence import EventCounts
from penstock.domain.exported_counters import (
    GRACE,
    CounterSamples,
    CounterTotals,
    boundary_at,
    count_final_hours,
    final_until,
    hours_from_counters,
    seen_at,
)
from penstock.domain.ledger import HOUR, Ledger

T0 = 500_000 * HOUR
FIRST = T0 // HOUR


def count(bad: int | str, total: int | str) -> EventCounts:
    return EventCounts(Decimal(bad), Decimal(total))


def ledger(*hours: EventCounts | None, state: BucketState = BucketState.SEALED) -> Ledger:
    made = Ledger(300, 24 * HOUR)
    for number, count in enumerate(hours, FIRST):
        made.coarse.put(number, count, state)
    return made


def at(hours: int, minutes: int = 0) -> int:
    return T0 + hours * HOUR + minutes * 60


def test_an_hour_is_final_two_hours_after_its_end() -> None:
    assert final_until(at(3)) == at(1)
    assert final_until(at(3) - 1) == at(0)


def test_counters_begin_with_the_last_final_hour() -> None:
    found = count_final_hours(None, ledger(count(1, 10), count(2, 20)), 0, at(4, 5))
    assert found == CounterTotals(at(1), at(2), count(2, 20))


def test_they_grow_hour_by_hour() -> None:
    book = ledger(count(1, 10), count(2, 20), count(4, 40), count(8, 80))
    found = count_final_hours(None, book, 0, at(3))
    for hour in (3, 4, 6):
        found = count_final_hours(found, book, 0, at(hour, 30))
    assert found == CounterTotals(at(0), at(4), count(15, 150))


@pytest.mark.parametrize("stage", [BucketState.APPROXIMATE, BucketState.CLOSED, BucketState.REREAD])
def test_an_hour_that_may_change_is_not_counted(stage: BucketState) -> None:
    book = ledger(count(1, 10))
    former = count_final_hours(None, book, 0, at(3))
    book.coarse.put(FIRST + 1, count(2, 20), stage)
    assert count_final_hours(None, book, 0, at(4)) is None
    assert count_final_hours(former, book, 0, at(4)) == former
    book.coarse.put(FIRST + 1, count(3, 30), BucketState.SEALED)
    assert count_final_hours(former, book, 0, at(4)) == CounterTotals(at(0), at(2), count(4, 40))


def test_an_hour_without_data_ends_them_and_one_without_events_does_not() -> None:
    book = ledger(count(1, 10), count(0, 0), None, count(8, 80))
    found = count_final_hours(None, book, 0, at(3))
    found = count_final_hours(found, book, 0, at(4))
    assert found == CounterTotals(at(0), at(2), count(1, 10))
    assert count_final_hours(found, book, 0, at(5)) is None
    assert count_final_hours(None, book, 0, at(6)) == CounterTotals(at(3), at(4), count(8, 80))


def test_of_a_ledger_begun_afresh_new_hours_alone_are_counted() -> None:
    book = ledger(count(1, 10), count(2, 20))
    assert count_final_hours(None, book, at(1), at(3, 10)) is None
    assert count_final_hours(None, book, at(1), at(4)) == CounterTotals(at(1), at(2), count(2, 20))


def test_they_are_current_while_the_time_says_how_far_they_go() -> None:
    found = CounterTotals(at(0), at(2), count(1, 10))
    assert not found.is_current(at(4) - 1)
    assert found.is_current(at(4))
    assert found.is_current(at(5) + GRACE - 1)
    assert not found.is_current(at(5) + GRACE)


def test_when_they_are_seen_says_how_far_they_went() -> None:
    assert boundary_at(seen_at(at(7))) == at(7)


def test_an_hour_is_proven_by_two_numbers_in_a_row_or_by_the_first() -> None:
    said = {at(1): count(1, 10), at(2): count(3, 30), at(4): count(8, 80), at(5): count(9, 90)}
    assert hours_from_counters([CounterSamples(at(0), said)]) == {
        FIRST: count(1, 10),
        FIRST + 1: count(2, 20),
        FIRST + 4: count(1, 10),
    }


@pytest.mark.parametrize(
    "said",
    [
        {at(1): count(5, 10), at(2): count(4, 20)},
        {at(1): count(5, 10), at(2): count(5, 9)},
        {at(1): count(5, 10), at(2): count(25, 20)},
        {at(1): count(11, 10)},
        {at(1): count(-1, 10)},
        {at(1) + 1: count(1, 10)},
        {at(0): count(1, 10)},
    ],
)
def test_counters_that_say_what_cannot_be_prove_nothing(said: dict[int, EventCounts]) -> None:
    after = {at(6): count(100, 1_000), at(7): count(100, 1_001)}
    assert hours_from_counters([CounterSamples(at(0), {**said, **after})]) == {}


BEFORE = CounterSamples(at(0), {at(1): count(1, 10)})
UNSEEN_AT_FIRST = CounterSamples(at(0), {at(2): count(3, 30), at(3): count(6, 60)})


def test_of_the_first_two_hours_seen_at_once_the_second_is_what_others_leave_of_them() -> None:
    found = hours_from_counters([UNSEEN_AT_FIRST, BEFORE])
    assert found == {FIRST: count(1, 10), FIRST + 1: count(2, 20), FIRST + 2: count(3, 30)}
    assert hours_from_counters([UNSEEN_AT_FIRST]) == {FIRST + 2: count(3, 30)}


@pytest.mark.parametrize("first", [count(4, 10), count(1, 31), count(3, 1)])
def test_two_hours_that_others_contradict_prove_neither(first: EventCounts) -> None:
    found = hours_from_counters([UNSEEN_AT_FIRST, CounterSamples(at(0), {at(1): first})])
    assert FIRST + 1 not in found


def test_a_second_hour_that_two_report_differently_is_not_known() -> None:
    other = CounterSamples(at(1), {at(2): count(2, 21)})
    assert FIRST + 1 not in hours_from_counters([UNSEEN_AT_FIRST, BEFORE, other])
    third = CounterSamples(at(1), {at(2): count(2, 22)})
    assert FIRST + 1 not in hours_from_counters([UNSEEN_AT_FIRST, BEFORE, other, third])


def test_what_two_report_differently_is_not_known() -> None:
    samples = CounterSamples(at(0), {at(1): count(1, 10), at(2): count(2, 20)})
    other = CounterSamples(at(1), {at(2): count(1, 11), at(3): count(2, 21)})
    assert hours_from_counters([samples, other]) == {FIRST: count(1, 10), FIRST + 2: count(1, 10)}
    assert hours_from_counters([samples, samples]) == hours_from_counters([samples])


def test_fractions_come_back_without_the_noise_of_running_sums() -> None:
    said = {at(1): count("0.1", "0.30000000000000004"), at(2): count("0.3", "0.6000000000000001")}
    found = hours_from_counters([CounterSamples(at(0), said)])
    assert found[FIRST + 1] == count("0.2", "0.3")

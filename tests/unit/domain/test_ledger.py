"""Ledgers: closing, hours, windows, what is due next."""

from __future__ import annotations

from decimal import Decimal

import pytest

from penstock.domain.bucket_ring import BucketState
from penstock.domain.evidence import EventCounts
from penstock.domain.ledger import HOUR, REREAD_AFTER, SEAL_AFTER, Ledger
from penstock.domain.timeslices import TimesliceRule

DAY = 24 * HOUR
T0 = 500_000 * HOUR
FIVE = 300
SLICES = TimesliceRule(1_800, Decimal("0.99"))


def count(bad: int, total: int) -> EventCounts:
    return EventCounts(Decimal(bad), Decimal(total))


def filled(hours: int = 3, resolution: int = FIVE) -> Ledger:
    """Ten events in each bucket, of which one is bad."""
    ledger = Ledger(resolution, 30 * DAY)
    ledger.begin(T0)
    for end in range(T0 + resolution, T0 + hours * HOUR + 1, resolution):
        ledger.close(end, count(1, 10))
    return ledger


def filled_in(ledger: Ledger, start: int) -> list[int]:
    """The hours that it wants, in the order in which it wants them."""
    found = []
    while (hour := ledger.to_backfill(start)) is not None:
        found.append(hour)
        ledger.backfill(hour, [count(1, 60)], BucketState.APPROXIMATE)
    return found


def test_closing_advances_up_to_the_first_gap() -> None:
    ledger = filled(hours=1)
    assert ledger.closed_until == T0 + HOUR
    ledger.close(T0 + HOUR + 2 * FIVE, count(1, 10))
    assert ledger.closed_until == T0 + HOUR
    ledger.close(T0 + HOUR + FIVE, count(1, 10))
    assert ledger.closed_until == T0 + HOUR + 2 * FIVE


def test_what_is_to_close_is_all_up_to_the_border() -> None:
    ledger = filled(hours=1)
    assert ledger.to_close(T0 + HOUR) is None
    assert ledger.to_close(T0 + HOUR + FIVE) == (T0 + HOUR + FIVE, T0 + HOUR + FIVE)
    assert ledger.to_close(T0 + 2 * HOUR) == (T0 + HOUR + FIVE, T0 + 2 * HOUR)


def test_an_hour_is_the_sum_of_its_buckets() -> None:
    ledger = filled(hours=2)
    assert ledger.coarse.count(T0 // HOUR) == count(12, 120)
    assert ledger.coarse.state(T0 // HOUR + 1) is BucketState.CLOSED


def test_a_bucket_that_is_read_again_changes_its_hour() -> None:
    ledger = filled(hours=2)
    ledger.close(T0 + FIVE, count(5, 20), BucketState.REREAD)
    assert ledger.coarse.count(T0 // HOUR) == count(16, 130)
    assert ledger.coarse.state(T0 // HOUR) is BucketState.CLOSED


def test_a_window_is_the_sum_of_what_lies_in_it() -> None:
    ledger = filled(hours=3)
    found = ledger.counts_between(T0 + HOUR, T0 + 3 * HOUR)
    assert found.events == count(24, 240)
    assert (found.covered, found.queried) == (1, 1)


def test_the_bucket_that_a_window_cuts_counts_by_its_share() -> None:
    found = filled(hours=1).counts_between(T0 + 60, T0 + HOUR)
    assert found.events == EventCounts(Decimal("11.8"), Decimal(118))


def test_the_hour_that_a_window_cuts_counts_by_its_share_where_buckets_are_gone() -> None:
    ledger = filled(hours=2)
    ledger.backfill(T0 // HOUR - 1, [count(60, 600)], BucketState.APPROXIMATE)
    found = ledger.counts_between(T0 - 1_200, T0 + 2 * HOUR)
    assert found.events == count(24 + 20, 240 + 200)


def test_a_range_that_was_never_queried_is_reported() -> None:
    found = filled(hours=1).counts_between(T0 - HOUR, T0 + HOUR)
    assert found.queried == Decimal("0.5")
    assert found.events == count(12, 120)


def test_a_range_of_nothing_is_asked_for_and_not_covered() -> None:
    ledger = filled(hours=1)
    for end in range(T0 + HOUR + FIVE, T0 + 2 * HOUR + 1, FIVE):
        ledger.close(end, None)
    found = ledger.counts_between(T0, T0 + 2 * HOUR)
    assert (found.queried, found.covered) == (1, Decimal("0.5"))


@pytest.mark.parametrize(
    ("age", "stage"),
    [
        (60, BucketState.CLOSED),
        (REREAD_AFTER, BucketState.REREAD),
        (SEAL_AFTER - 1, BucketState.REREAD),
        (SEAL_AFTER, BucketState.SEALED),
    ],
)
def test_how_far_a_bucket_can_be_relied_on_depends_on_when_it_is_read(
    age: int, stage: BucketState
) -> None:
    assert filled().next_state(T0 + HOUR, T0 + HOUR + age) is stage


def test_a_bucket_is_read_again_after_ten_minutes_and_after_an_hour_and_then_never() -> None:
    ledger = Ledger(FIVE, 30 * DAY)
    ledger.begin(T0)
    end = T0 + FIVE
    ledger.close(end, count(1, 10))
    assert ledger.to_reread(end + REREAD_AFTER - 1) == []
    for age in (REREAD_AFTER, SEAL_AFTER):
        assert ledger.to_reread(end + age) == [end]
        ledger.close(end, count(1, 10), ledger.next_state(end, end + age))
        assert ledger.to_reread(end + age) == []
    assert ledger.to_reread(end + DAY) == []


def test_plain_figures_never_replace_exact_ones() -> None:
    ledger = filled(hours=1)
    ledger.close(T0 + FIVE, count(0, 0), BucketState.APPROXIMATE)
    ledger.backfill(T0 // HOUR, [count(0, 0)], BucketState.APPROXIMATE)
    assert ledger.coarse.count(T0 // HOUR) == count(12, 120)


def test_a_longer_window_keeps_what_is_there_and_wants_more() -> None:
    ledger = filled(hours=3)
    before = len(filled_in(ledger, T0 - 30 * DAY))
    ledger.extend_retention(90 * DAY)
    assert ledger.counts_between(T0, T0 + 3 * HOUR).events == count(36, 360)
    assert before == 720
    assert len(filled_in(ledger, T0 - 90 * DAY)) == 2_160 - 720


def test_the_past_is_filled_in_from_the_newest_hour_on() -> None:
    ledger = filled(hours=1)
    assert filled_in(ledger, T0 - DAY) == [T0 // HOUR - 1 - nth for nth in range(24)]
    assert ledger.to_backfill(T0 - DAY) is None
    assert ledger.to_refine(T0 - DAY) == T0 // HOUR - 1
    ledger.backfill(T0 // HOUR - 1, [count(1, 61)], BucketState.SEALED)
    assert ledger.to_refine(T0 - DAY) == T0 // HOUR - 2


def test_hours_of_nothing_are_filled_in_and_not_refined() -> None:
    ledger = filled(hours=1)
    ledger.backfill(T0 // HOUR - 1, [None], BucketState.APPROXIMATE)
    assert ledger.to_backfill(T0 - HOUR) is None
    assert ledger.to_refine(T0 - HOUR) is None


class TestGap:
    def ledger(self, empty: int) -> tuple[Ledger, int]:
        """An hour of data, so many empty buckets, and one with data; and its end."""
        ledger = filled(hours=1)
        for nth in range(1, empty + 1):
            ledger.close(T0 + HOUR + nth * FIVE, None)
        end = T0 + HOUR + (empty + 1) * FIVE
        ledger.close(end, count(1, 10))
        return ledger, end

    @pytest.mark.parametrize("empty", [1, 12, 30])
    def test_a_gap_is_found(self, empty: int) -> None:
        ledger, end = self.ledger(empty=empty)
        assert ledger.gap_before(end) == (T0 + HOUR, end)

    def test_where_nothing_is_missing_there_is_none(self) -> None:
        ledger, end = self.ledger(empty=0)
        assert ledger.gap_before(end) is None

    def test_nothing_before_the_first_data_is_no_gap(self) -> None:
        ledger = Ledger(FIVE, 30 * DAY)
        ledger.begin(T0)
        for nth in range(1, 20):
            ledger.close(T0 + nth * FIVE, None)
        ledger.close(T0 + 20 * FIVE, count(1, 10))
        assert ledger.gap_before(T0 + 20 * FIVE) is None

    def test_a_repaired_gap_is_covered_and_found_no_more(self) -> None:
        ledger, end = self.ledger(empty=20)
        ledger.repair_gap(T0 + HOUR, end, count(30, 300))
        assert ledger.gap_before(end) is None
        found = ledger.counts_between(T0, end)
        assert found.covered == 1
        assert found.events == count(12 + 30, 120 + 300)
        assert ledger.fine.state(end // FIVE - 1) is BucketState.SEALED


class TestSlices:
    def test_slices_of_an_hour_are_kept_with_it(self) -> None:
        ledger = filled(hours=2)
        ledger.add_timeslices(SLICES)
        assert ledger.slices[SLICES].count(T0 // HOUR) == count(2, 2)

    def test_slices_of_a_window_come_from_hours_and_what_is_newer(self) -> None:
        ledger = filled(hours=2)
        ledger.add_timeslices(SLICES)
        for hour in range(T0 // HOUR - 30, T0 // HOUR):
            ledger.backfill(hour, [count(0, 10)] * 12, BucketState.APPROXIMATE)
        for nth in range(1, 8):
            ledger.close(T0 + 2 * HOUR + nth * FIVE, count(1, 10))
        found = ledger.slices_between(SLICES, T0 - 30 * HOUR, T0 + 2 * HOUR + 7 * FIVE)
        assert found.events == count(5, 65)
        assert found.covered == 1

    def test_a_slice_that_is_not_over_is_not_judged(self) -> None:
        ledger = filled(hours=1)
        ledger.add_timeslices(SLICES)
        found = ledger.slices_between(SLICES, T0, T0 + 1_900)
        assert found.events == count(1, 1)

    def test_a_past_that_was_filled_in_by_whole_hours_lacks_slices(self) -> None:
        ledger = filled(hours=1)
        ledger.backfill(T0 // HOUR - 1, [count(0, 60)], BucketState.APPROXIMATE)
        ledger.add_timeslices(SLICES)
        assert ledger.to_backfill(T0 - HOUR) == T0 // HOUR - 1
        ledger.backfill(T0 // HOUR - 1, [count(1, 5)] * 12, BucketState.APPROXIMATE)
        assert ledger.to_backfill(T0 - HOUR) is None


def test_hours_in_a_row_that_were_never_queried_are_found() -> None:
    ledger = Ledger(300, 24 * HOUR)
    first = T0 // HOUR
    ledger.backfill(first + 2, [None], BucketState.APPROXIMATE)
    ledger.backfill(first + 6, [None], BucketState.SEALED)
    assert ledger.unknown_up_to(first + 5, first) == first + 3
    assert ledger.unknown_up_to(first + 5, first + 4) == first + 4
    assert ledger.unknown_up_to(first + 1, first) == first

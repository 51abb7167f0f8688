"""Rings of stretches: sums, stages, holes, both ends."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest

from penstock.domain.bucket_ring import BucketRing, BucketState
from penstock.domain.evidence import EventCounts


def count(bad: int, total: int) -> EventCounts:
    return EventCounts(Decimal(bad), Decimal(total))


@pytest.fixture
def ring() -> BucketRing:
    made = BucketRing(300, 10)
    for number in range(100, 105):
        made.put(number, count(number - 100, 10), BucketState.CLOSED)
    return made


def test_the_sum_of_a_run_is_that_of_its_buckets(ring: BucketRing) -> None:
    assert ring.sums(101, 104) == count(1 + 2 + 3, 30)


def test_a_sum_beyond_both_ends_counts_what_is_kept(ring: BucketRing) -> None:
    assert ring.sums(0, 1_000) == count(10, 50)
    assert ring.sums(200, 300) == ring.sums(0, 50) == count(0, 0)


def test_what_is_written_again_replaces_what_was_there(ring: BucketRing) -> None:
    ring.put(102, count(7, 20), BucketState.SEALED)
    assert ring.count(102) == count(7, 20)
    assert ring.sums(100, 105) == count(15, 60)
    assert ring.state(102) is BucketState.SEALED


def test_older_buckets_are_put_before_the_oldest(ring: BucketRing) -> None:
    ring.put(97, count(5, 5), BucketState.APPROXIMATE)
    assert (ring.first, ring.end) == (97, 105)
    assert ring.state(98) is BucketState.UNKNOWN
    assert ring.sums(97, 105) == count(15, 55)


def test_the_oldest_make_room_for_the_newest(ring: BucketRing) -> None:
    ring.put(112, count(1, 1), BucketState.CLOSED)
    assert (ring.first, ring.end) == (103, 113)
    assert ring.sums(0, 200) == count(3 + 4 + 1, 21)


def test_a_jump_further_than_all_that_is_kept_leaves_it_alone(ring: BucketRing) -> None:
    ring.put(1_000_000_000, count(1, 2), BucketState.CLOSED)
    assert len(ring) == 10
    assert ring.sums(0, 2_000_000_000) == count(1, 2)


def test_what_is_older_than_all_that_may_be_kept_is_left_out(ring: BucketRing) -> None:
    ring.put(94, count(9, 9), BucketState.SEALED)
    assert ring.sums(0, 200) == count(10, 50)


def test_nothing_there_is_known_and_covers_nothing(ring: BucketRing) -> None:
    ring.put(105, None, BucketState.CLOSED)
    assert (ring.known(100, 106), ring.covered(100, 106)) == (6, 5)
    assert ring.is_empty(105)
    assert ring.count(105) is None


def test_no_events_are_events_that_are_known(ring: BucketRing) -> None:
    ring.put(105, count(0, 0), BucketState.CLOSED)
    assert ring.count(105) == count(0, 0)
    assert ring.covered(100, 106) == 6


def test_a_repaired_bucket_is_covered(ring: BucketRing) -> None:
    ring.put(105, None, BucketState.CLOSED)
    ring.repair_gap(105, 106)
    assert ring.covered(105, 106) == 1
    assert ring.count(105) is None


def test_never_queried_is_neither_known_nor_empty(ring: BucketRing) -> None:
    assert ring.state(99) is BucketState.UNKNOWN
    assert ring.known(0, 100) == 0
    assert ring.count(99) is None


def test_buckets_are_found_by_their_state(ring: BucketRing) -> None:
    ring.put(103, count(0, 1), BucketState.REREAD)
    assert list(ring.in_state(BucketState.REREAD, 0, 200)) == [103]
    assert list(ring.in_state(BucketState.CLOSED, 0, 103)) == [100, 101, 102]


def test_fractions_come_back_without_the_noise_of_binary_numbers() -> None:
    ring = BucketRing(300, 10)
    for number in range(10):
        ring.put(number, EventCounts(Decimal("0.1"), Decimal("0.3")), BucketState.CLOSED)
    assert ring.sums(0, 10) == EventCounts(Decimal("1.0"), Decimal("3.0"))


@pytest.mark.parametrize("mark", [5, 0x40, 0xFF, -1])
def test_a_mark_that_there_is_not_is_refused(ring: BucketRing, mark: int) -> None:
    with pytest.raises(ValueError, match="no mark"):
        ring.put_with_flags(101, count(0, 0), mark)


def test_fractions_that_were_put_and_replaced_leave_nothing_behind():
    """As a past that is read by plain increase, and then exactly."""
    ring, guess = BucketRing(3_600, 1_000), Random(1)
    for number in reversed(range(720)):
        guessed = EventCounts(Decimal(5), Decimal(f"{2_000_000 + guess.random():.9f}"))
        ring.put(number, guessed, BucketState.APPROXIMATE)
    for number in reversed(range(720)):
        ring.put(number, count(5, 2_000_000), BucketState.SEALED)
    assert ring.sums(0, 720) == count(3_600, 1_440_000_000)

"""Laws of the ledger, beside sums over plain dictionaries."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.bucket_ring import BucketRing, BucketState
from penstock.domain.evidence import EventCounts
from penstock.domain.ledger import HOUR, Ledger
from penstock.domain.ledger_codec import decode, encode
from penstock.domain.timeslices import TimesliceRule

T0 = 500_000 * HOUR
FIVE = 300
events = st.integers(0, 10**9)
counts = st.builds(
    lambda bad, more: EventCounts(Decimal(bad), Decimal(bad + more)), st.integers(0, 10**6), events
)
maybe = st.one_of(st.none(), counts)


@given(
    writes=st.lists(st.tuples(st.integers(0, 60), maybe, st.sampled_from(list(BucketState)[1:]))),
    begin=st.integers(-5, 70),
    end=st.integers(-5, 70),
)
def test_a_ring_sums_what_was_written_last(
    writes: list[tuple[int, EventCounts | None, BucketState]], begin: int, end: int
) -> None:
    ring, plain = BucketRing(FIVE, 100), dict[int, EventCounts | None]()
    for number, count, stage in writes:
        ring.put(number, count, stage)
        plain[number] = count
    inside = [one for number, one in plain.items() if begin <= number < end and one]
    expected = EventCounts(
        sum((c.bad for c in inside), Decimal(0)), sum((c.total for c in inside), Decimal(0))
    )
    assert ring.sums(begin, end) == expected
    assert ring.covered(begin, end) == len(inside)
    assert ring.known(begin, end) == sum(begin <= number < end for number in plain)


@given(
    buckets=st.lists(maybe, min_size=1, max_size=12 * 30),
    start=st.integers(0, 12 * 30),
    order=st.randoms(use_true_random=False),
)
def test_a_window_is_the_same_in_whatever_order_its_buckets_were_read(
    buckets: list[EventCounts | None], start: int, order: object
) -> None:
    ledger = Ledger(FIVE, 30 * 24 * HOUR)
    ledger.begin(T0)
    numbered = list(enumerate(buckets, 1))
    order.shuffle(numbered)  # type: ignore[attr-defined]
    for nth, count in numbered:
        ledger.close(T0 + nth * FIVE, count)
    assert ledger.closed_until == T0 + len(buckets) * FIVE
    begin = min(start, len(buckets))
    inside = [one for one in buckets[begin:] if one]
    found = ledger.counts_between(T0 + begin * FIVE, T0 + len(buckets) * FIVE)
    # Where the fine ring is too short, the hour that the window cuts counts by its share.
    if len(buckets) <= 26 * 12 or begin % 12 == 0:
        assert found.events.bad == sum((one.bad for one in inside), Decimal(0))
        assert found.events.total == sum((one.total for one in inside), Decimal(0))
    assert 0 <= found.covered <= found.queried <= 1


@given(buckets=st.lists(maybe, min_size=24, max_size=120), target=st.sampled_from(["0.9", "0.999"]))
def test_slices_of_hours_and_of_buckets_are_the_same(
    buckets: list[EventCounts | None], target: str
) -> None:
    slicing = TimesliceRule(900, Decimal(target))
    ledger = Ledger(FIVE, 30 * 24 * HOUR)
    ledger.add_timeslices(slicing)
    ledger.begin(T0)
    for nth, count in enumerate(buckets, 1):
        ledger.close(T0 + nth * FIVE, count)
    whole = len(buckets) // 12 * 12
    fine = ledger.slices_between(slicing, T0, T0 + whole * FIVE)
    hours = ledger.slices[slicing].sums(T0 // HOUR, T0 // HOUR + whole // 12)
    assert fine.events == hours


@given(
    hours=st.lists(maybe, max_size=50), buckets=st.lists(maybe, max_size=90), share=st.booleans()
)
def test_a_snapshot_is_the_ledger(
    hours: list[EventCounts | None], buckets: list[EventCounts | None], share: bool
) -> None:
    ledger = Ledger(FIVE, 30 * 24 * HOUR)
    ledger.begin(T0)
    for nth, count in enumerate(hours):
        if count and share:
            count = EventCounts(count.bad / 8, count.total / 8)
        ledger.backfill(T0 // HOUR - 1 - nth, [count], BucketState.APPROXIMATE)
    for nth, count in enumerate(buckets, 1):
        ledger.close(T0 + nth * FIVE, count)
    found = decode(encode(ledger))
    assert found is not None
    assert found.closed_until == ledger.closed_until
    for ours, theirs in ((ledger.coarse, found.coarse),):
        for number in range(ours.first, ours.end):
            assert ours.flags(number) == theirs.flags(number)
            assert ours.sums(number, number + 1) == theirs.sums(number, number + 1)

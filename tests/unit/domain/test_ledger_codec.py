"""A ledger as bytes and back."""

from __future__ import annotations

import random
import zlib
from decimal import Decimal

import pytest

from penstock.domain.bucket_ring import BucketState
from penstock.domain.evidence import EventCounts
from penstock.domain.ledger import HOUR, Ledger
from penstock.domain.ledger_codec import FINE_SECONDS, decode, encode
from penstock.domain.timeslices import TimesliceRule

T0 = 500_000 * HOUR
MONTH = 30 * 24 * HOUR
BAR = 6_000  # bytes an SLO


def busy(fraction: Decimal = Decimal(1)) -> Ledger:
    """A month of a service with some ten requests a second, one in a thousand bad."""
    draw = random.Random(7)
    ledger = Ledger(300, MONTH)
    ledger.add_timeslices(TimesliceRule(300, Decimal("0.99")))
    ledger.begin(T0)
    for hour in range(T0 // HOUR - 720, T0 // HOUR):
        total = draw.randint(30_000, 42_000)
        ledger.backfill(
            hour,
            [EventCounts(draw.randint(0, 80) * fraction, Decimal(total))],
            BucketState.APPROXIMATE,
        )
    for end in range(T0 + 300, T0 + 24 * HOUR + 1, 300):
        ledger.close(
            end, EventCounts(draw.randint(0, 9) * fraction, Decimal(draw.randint(2_500, 3_500)))
        )
    ledger.close(T0 + 24 * HOUR + 300, None)
    return ledger


@pytest.mark.parametrize("fraction", [Decimal(1), Decimal("0.125")])
def test_a_ledger_comes_back_as_it_was(fraction: Decimal) -> None:
    ledger = busy(fraction)
    found = decode(encode(ledger))
    assert found is not None
    assert (found.resolution, found.retention, found.closed_until) == (
        300,
        MONTH,
        ledger.closed_until,
    )
    for ours, theirs in (
        (ledger.coarse, found.coarse),
        *zip(ledger.slices.values(), found.slices.values(), strict=True),
    ):
        assert (ours.first, ours.end) == (theirs.first, theirs.end)
        for number in range(ours.first, ours.end):
            assert ours.flags(number) == theirs.flags(number)
            assert ours.sums(number, number + 1) == theirs.sums(number, number + 1)
    assert found.slices.keys() == ledger.slices.keys()


def test_the_fine_buckets_that_burn_rates_need_come_back_too() -> None:
    ledger = busy()
    found = decode(encode(ledger))
    assert found is not None
    end = ledger.closed_until
    assert found.knows(end - FINE_SECONDS + 300, end)
    assert found.counts_between(end - 6 * HOUR, end) == ledger.counts_between(end - 6 * HOUR, end)


def test_a_month_fits_into_the_room_that_it_may_take() -> None:
    assert len(encode(busy())) <= BAR


def test_bytes_that_are_no_ledger_are_none() -> None:
    data = encode(busy())
    plain = zlib.decompress(data)
    for wrong in (
        b"",
        b"\x00" * 40,
        data[:-20],
        zlib.compress(b""),
        zlib.compress(plain[: len(plain) // 2]),
        zlib.compress(b"\x7f" + plain[1:]),
        zlib.compress(b"\xff" * 4_000),
    ):
        assert decode(wrong) is None


def test_damaged_bytes_cost_no_more_than_a_ledger() -> None:
    plain = zlib.decompress(encode(busy()))
    draw = random.Random(11)
    for _ in range(300):
        damaged = bytearray(plain)
        for _ in range(3):
            damaged[draw.randrange(40 if draw.random() < 0.5 else len(plain))] = draw.randrange(256)
        ledger = decode(zlib.compress(bytes(damaged)))
        assert ledger is None or len(ledger.coarse) <= ledger.coarse.capacity

"""A ledger as bytes, small enough for 150 of them in a ConfigMap, and back.

Hours of the whole window and the fine buckets that burn rates need, as compressed varints of their
differences. The format may change with any version: unknown bytes do not make a ledger, and the
past is read again.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from decimal import Decimal
from itertools import accumulate

from penstock.domain.bucket_ring import BucketRing
from penstock.domain.evidence import EventCounts
from penstock.domain.ledger import HOUR, Ledger
from penstock.domain.timeslices import TimesliceRule

VERSION = 1
FINE_SECONDS = 7 * HOUR
LARGEST = 1 << 20
_FRACTIONS = 1_000  # thousandths of an event, where extrapolation or probes give fractions


def encode(ledger: Ledger) -> bytes:
    """A snapshot: what is known now; ``decode`` is its inverse, but for older fine buckets."""
    out = _Writer()
    for number in (
        VERSION,
        ledger.resolution,
        ledger.retention,
        ledger.closed_until,
        len(ledger.slices),
    ):
        out.number(number)
    _write_ring(out, ledger.coarse, ledger.coarse.first)
    _write_ring(out, ledger.fine, ledger.fine.end - FINE_SECONDS // ledger.resolution)
    for timeslices, ring in ledger.slices.items():
        out.number(timeslices.seconds)
        out.number(-1 if timeslices.target is None else int(timeslices.target * 10**9))
        _write_ring(out, ring, ring.first)
    return zlib.compress(bytes(out.data), 9)


def decode(data: bytes) -> Ledger | None:
    """The ledger in a snapshot; None if these bytes are none of this version."""
    try:
        plain = zlib.decompressobj().decompress(data, LARGEST)
        numbers = _numbers(plain)
        version, resolution, retention, closed_until, rules = (next(numbers) for _ in range(5))
        if version != VERSION or not 0 < resolution <= HOUR or HOUR % resolution or retention <= 0:
            return None
        ledger = Ledger(resolution, retention)
        _read_ring(numbers, ledger.coarse)
        _read_ring(numbers, ledger.fine)
        for _ in range(rules):
            seconds, target = next(numbers), next(numbers)
            timeslices = TimesliceRule(seconds, None if target < 0 else Decimal(target) / 10**9)
            ring = ledger.slices[timeslices] = BucketRing(HOUR, ledger.coarse.capacity)
            _read_ring(numbers, ring)
        ledger.begin(closed_until)
    except (zlib.error, ValueError, OverflowError):
        return None
    return ledger


def _write_ring(out: _Writer, ring: BucketRing, first: int) -> None:
    first = max(first, ring.first)
    out.number(first)
    out.number(ring.end - first)
    counts = [ring.sums(number, number + 1) for number in range(first, ring.end)]
    scale = 1 if all(_is_whole(count) for count in counts) else _FRACTIONS
    out.number(scale)
    for number in range(first, ring.end):
        out.number(ring.flags(number))
    for column in ([count.bad for count in counts], [count.total for count in counts]):
        former = 0
        for value in column:
            scaled = int((value * scale).to_integral_value())
            out.number(scaled - former)
            former = scaled


def _read_ring(numbers: Iterator[int], ring: BucketRing) -> None:
    first, size = next(numbers), next(numbers)
    if not 0 <= size <= LARGEST:
        raise ValueError("a ring of no possible size")
    scale = next(numbers)
    if scale not in (1, _FRACTIONS):
        raise ValueError("a ring of no possible scale")
    marks = [next(numbers) for _ in range(size)]
    columns = [list(accumulate(next(numbers) for _ in range(size))) for _ in range(2)]
    for number, (mark, bad, total) in enumerate(zip(marks, *columns, strict=True), first):
        ring.put_with_flags(number, EventCounts(Decimal(bad) / scale, Decimal(total) / scale), mark)


def _is_whole(count: EventCounts) -> bool:
    return count.bad % 1 == 0 and count.total % 1 == 0


class _Writer:
    """Whole numbers of either sign in seven bits a byte, the sign in the lowest."""

    def __init__(self) -> None:
        self.data = bytearray()

    def number(self, value: int) -> None:
        rest = value * 2 if value >= 0 else -value * 2 - 1
        while rest > 0x7F:
            self.data.append(rest & 0x7F | 0x80)
            rest >>= 7
        self.data.append(rest)


def _numbers(data: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > 70:
            raise ValueError("a number of no possible length")
        if byte < 0x80:
            yield -(value + 1 >> 1) if value & 1 else value >> 1
            value = shift = 0
    raise ValueError("the numbers end too early")

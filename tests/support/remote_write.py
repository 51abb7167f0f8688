"""Samples with real stale markers, as a scrape leaves them, sent to a Prometheus by remote write.

promtool makes blocks from text, and text has no stale marker. Prometheus' own protocol has one: it
sends protobuf messages in Snappy's block format, of which stored literals are enough.

The messages are those of ``prompb/remote.proto`` and ``prompb/types.proto``; the fields' numbers
stand beside the fields.
"""

from __future__ import annotations

import http.client
import itertools
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache, lru_cache
from urllib.parse import urlsplit

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""Not a number, and of just these bits: the series has ended here."""

RECEIVER = "--web.enable-remote-write-receiver"

_VARINT, _FIXED64, _BYTES = 0, 1, 2
_STORED = 63 << 2  # a literal whose length stands in the next four bytes


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample; the time is in milliseconds since the epoch."""

    at: int
    value: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """A sample of a native histogram whose buckets are powers of two, without gaps from the first.

    Attributes:
        at: milliseconds since the epoch.
        first: the exponent of the first bucket's upper bound.
        counts: how many observations are in each bucket.
    """

    at: int
    first: int
    counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class Series:
    """A series and the samples of it that are written at once."""

    labels: Mapping[str, str]
    samples: Sequence[Sample | Histogram]


def send(url: str, series: Iterable[Series]) -> None:
    """Write samples; those of one series must be in order of time.

    Raises:
        AssertionError: the server did not take them all, with its own words.
    """
    address = urlsplit(url)
    assert address.hostname is not None
    headers = {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    with closing(http.client.HTTPConnection(address.hostname, address.port, timeout=60)) as server:
        server.request("POST", "/api/v1/write", stored(write_request(series)), headers)
        answer = server.getresponse()
        said = answer.read().decode()
        assert answer.status == http.HTTPStatus.NO_CONTENT, f"{answer.status}: {said}"


def stored(content: bytes) -> bytes:
    """Snappy's block format without compression: the length, then everything as one literal."""
    assert content
    return b"".join(
        [_varint(len(content)), bytes([_STORED]), (len(content) - 1).to_bytes(4, "little"), content]
    )


def write_request(series: Iterable[Series]) -> bytes:
    """The message ``prometheus.WriteRequest``."""
    return b"".join(_message(1, b"".join(_time_series(one))) for one in series)


def _time_series(one: Series) -> Iterator[bytes]:
    for name, value in sorted(one.labels.items()):
        yield _message(1, _message(1, name.encode()) + _message(2, value.encode()))
    for sample in one.samples:
        if isinstance(sample, Histogram):
            yield _message(4, _histogram(sample))
        else:
            yield _message(2, _double(1, sample.value) + _whole(2, sample.at))


def _histogram(one: Histogram) -> bytes:
    span = _whole(1, _zigzag(one.first)) + _whole(2, len(one.counts))
    deltas = [new - old for old, new in itertools.pairwise([0, *one.counts])]
    return b"".join(
        [
            _whole(1, sum(one.counts)),
            _double(3, 0.0),  # the sum of what was observed
            _whole(4, _zigzag(0)),  # the schema: one bucket for each power of two
            _double(5, 1e-9),  # the zero bucket's width
            _whole(6, 0),  # ... and its count
            _message(11, span),
            _message(12, b"".join(_varint(_zigzag(delta)) for delta in deltas)),
            _whole(15, one.at),
        ]
    )


def _message(field: int, content: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(content)) + content


def _double(field: int, value: float) -> bytes:
    return _key(field, _FIXED64) + struct.pack("<d", value)


def _whole(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _varint(value)


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


@cache
def _key(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


@lru_cache(maxsize=4_096)
def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)

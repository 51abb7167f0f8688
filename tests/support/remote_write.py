"""Samples with real stale markers, as a scrape leaves them, sent to a Prometheus by remote write.

promtool makes blocks from text, and text has no stale marker. Prometheus' own protocol has one: it
sends protobuf messages in Snappy's block format, of which stored literals are enough.

The messages are those of ``prompb/remote.proto`` and ``prompb/types.proto``; the fields' numbers
stand beside the fields.
"""

from __future__ import annotations

import http.client
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
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
class Series:
    """A series and the samples of it that are written at once."""

    labels: Mapping[str, str]
    samples: Sequence[Sample]


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
        value = _key(1, _FIXED64) + struct.pack("<d", sample.value)
        yield _message(2, value + _key(2, _VARINT) + _varint(sample.at))


def _message(field: int, content: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(content)) + content


def _key(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)

"""The sample application: a small web service that fails and waits exactly as its environment says.

One file that needs nothing but Python 3.11 and its standard library, so that the test bed can run
it with any interpreter and the same file makes a container image. It owns no state beyond its
counters and offers no way to change its behaviour while it runs: a bad version is a *release* with
another environment, as it is in life, and never a switch that somebody turns from outside.

Errors are spread evenly instead of drawn at random: of n requests exactly floor(n x ERROR_RATIO)
fail, so that a test can compare numbers and a demonstration looks the same each time.

    GET /          200 or, as ERROR_RATIO says, 500; after LATENCY_MS
    GET /healthz   200 while the process serves, whatever the ratio: a bad version is healthy
    GET /metrics   http_requests_total, http_request_duration_seconds, process_start_time_seconds

Metrics come in Prometheus' text format, or for whom that is the first choice in its protobuf
format: only there the durations are a native histogram too, beside the one with classic buckets.
Probes and scrapes are not counted: they would make traffic where there is none.
"""

from __future__ import annotations

import http
import http.server
import ipaddress
import os
import re
import signal
import socket
import struct
import sys
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from math import ceil, log2

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram in seconds; 0.3 is the threshold that the examples promise."""

SCHEMA = 3  # the native histogram has 2 ** 3 buckets for each doubling, which are 9% wide
SHORTEST = 2.0**-20  # durations up to this one, a microsecond, are in the first of them
DRAIN_SECONDS = 0.5  # how long requests may still take after SIGTERM
IDLE_SECONDS = 60  # a kept-alive connection is closed after this time without a request

NAME = (
    "[A-Za-z0-9][A-Za-z0-9._-]{0,62}",
    "1 to 63 letters, digits, dots, dashes and underscores, beginning with a letter or digit",
)
RATIO = (r"(0(\.[0-9]{1,9})?|1(\.0{1,9})?)", "a decimal from 0 to 1, such as 0.05 for 5%")

TOTAL, DURATION = "http_requests_total", "http_request_duration_seconds"
STARTED = "process_start_time_seconds"
PLAIN = "text/plain; charset=utf-8"
METRICS = "text/plain; version=0.0.4; charset=utf-8"
PROTO = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


class WrongSetting(Exception):
    """An environment variable that cannot be used; says which, why and what would be right."""


@dataclass(frozen=True)
class Settings:
    """What the environment says."""

    service: str
    version: str
    bind: str
    port: int
    error_ratio: Fraction
    latency: float

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Read the settings, or raise `WrongSetting` for the first that is wrong."""
        return cls(
            service=_text(environment, "SERVICE", "sample", *NAME),
            version=_text(environment, "VERSION", "dev", *NAME),
            bind=_address(environment, "BIND", "0.0.0.0"),
            port=_whole(environment, "PORT", "8080", 65535),
            error_ratio=Fraction(_text(environment, "ERROR_RATIO", "0", *RATIO)),
            latency=_whole(environment, "LATENCY_MS", "0", 60_000) / 1000,
        )


def _text(environment: Mapping[str, str], key: str, default: str, form: str, remedy: str) -> str:
    text = environment.get(key, default)
    if not re.fullmatch(form, text):
        raise WrongSetting(f"{key} is {text[:40]!r}: use {remedy}.")
    return text


def _address(environment: Mapping[str, str], key: str, default: str) -> str:
    text = environment.get(key, default)
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise WrongSetting(f"{key} is {text[:40]!r}: use an IP address, such as 0.0.0.0.") from None


def _whole(environment: Mapping[str, str], key: str, default: str, most: int) -> int:
    remedy = f"a whole number from 0 to {most}"
    number = int(_text(environment, key, default, "[0-9]{1,9}", remedy))
    if number > most:
        raise WrongSetting(f"{key} is {number}: use {remedy}.")
    return number


class Meter:
    """Decides which requests fail, and counts what was answered."""

    def __init__(self, settings: Settings) -> None:
        self._ratio = settings.error_ratio
        self._labels = {"service": settings.service, "version": settings.version}
        self._started = time.time()
        self._lock = threading.Lock()
        self._asked = 0
        # Both from the start: increase() never sees the first error of a series born with it.
        self._answered = Counter({200: 0, 500: 0})
        self._fitting = [0] * (len(BUCKETS) + 1)
        self._native: Counter[int] = Counter()  # by the power of 2 ** (1/8) at the bucket's end
        self._seconds = 0.0

    def next_fails(self) -> bool:
        """Whether the next request is one that fails."""
        with self._lock:
            before = int(self._asked * self._ratio)
            self._asked += 1
            return int(self._asked * self._ratio) > before

    def answered(self, code: int, seconds: float) -> None:
        """Count one answer."""
        with self._lock:
            self._answered[code] += 1
            self._fitting[bisect_left(BUCKETS, seconds)] += 1
            self._native[ceil(log2(max(seconds, SHORTEST)) * 2**SCHEMA)] += 1
            self._seconds += seconds

    def text(self) -> bytes:
        """All counters in Prometheus' text format, as of one instant."""
        labels = ",".join(f'{name}="{value}"' for name, value in self._labels.items())
        with self._lock:
            answered = sorted(self._answered.items())
            fitting = list(zip((*BUCKETS, "+Inf"), accumulate(self._fitting), strict=True))
            lines = [
                f"# HELP {TOTAL} Requests answered, by status code.",
                f"# TYPE {TOTAL} counter",
                *(f'{TOTAL}{{{labels},code="{code}"}} {n}' for code, n in answered),
                f"# HELP {DURATION} Time from a request's arrival to its answer.",
                f"# TYPE {DURATION} histogram",
                *(f'{DURATION}_bucket{{{labels},le="{bound}"}} {n}' for bound, n in fitting),
                f"{DURATION}_sum{{{labels}}} {self._seconds!r}",
                f"{DURATION}_count{{{labels}}} {fitting[-1][1]}",
                f"# HELP {STARTED} When the process began, in seconds since 1970.",
                f"# TYPE {STARTED} gauge",
                f"{STARTED} {self._started:.3f}",
            ]
        return "\n".join([*lines, ""]).encode()

    def protobuf(self) -> bytes:
        """The same as messages of client_model's metrics.proto, whose field numbers these are."""
        with self._lock:
            requests = [
                _labels({**self._labels, "code": str(code)}) + _field(3, _field(1, float(n)))
                for code, n in sorted(self._answered.items())
            ]
            durations = _labels(self._labels) + _field(7, self._histogram())
        started = _family(STARTED, 1, _field(2, _field(1, self._started)))
        return _family(TOTAL, 0, *requests) + _family(DURATION, 4, durations) + started

    def _histogram(self) -> bytes:
        """With classic buckets, and with native ones: all from the first to the last in use."""
        classic = zip(BUCKETS, accumulate(self._fitting), strict=False)
        ends = range(min(self._native, default=0), max(self._native, default=-1) + 1)
        native = pairwise([0, *(self._native[end] for end in ends)])
        parts = [
            _field(1, sum(self._fitting)) + _field(2, self._seconds),
            *(_field(3, _field(1, n) + _field(2, bound)) for bound, n in classic),
            _field(5, _signed(SCHEMA)) + _field(6, SHORTEST / 2),
            _field(12, _field(1, _signed(ends.start)) + _field(2, len(ends))),
            *(_field(13, _signed(n - before)) for before, n in native),
        ]
        return b"".join(parts)


def _family(name: str, kind: int, *metrics: bytes) -> bytes:
    family = b"".join([_field(1, name), _field(3, kind), *(_field(4, one) for one in metrics)])
    return _varint(len(family)) + family


def _labels(labels: Mapping[str, str]) -> bytes:
    return b"".join(_field(1, _field(1, name) + _field(2, value)) for name, value in labels.items())


def _field(number: int, value: bytes | str | int | float) -> bytes:
    """A field of a protobuf message: an integer, a double, a text or a message."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    if isinstance(value, float):
        return _varint(number << 3 | 1) + struct.pack("<d", value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _signed(number: int) -> int:
    return number * 2 if number >= 0 else -number * 2 - 1


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


class Answering(http.server.BaseHTTPRequestHandler):
    """One connection."""

    server: SampleServer
    protocol_version = "HTTP/1.1"  # connections stay open between requests
    timeout = IDLE_SECONDS
    wbufsize = -1  # one packet for head and body
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer GET and HEAD."""
        with self.server.under_way:
            path = self.path.partition("?")[0]
            if path == "/healthz":
                self._answer(200, b"ok\n")
            elif path == "/metrics":
                self._measure()
            else:
                self._serve(path)

    do_HEAD = do_GET  # noqa: N815  http.server looks for this name

    def _serve(self, path: str) -> None:
        start = time.perf_counter()
        code = self._work() if path == "/" else 404
        self.server.meter.answered(code, time.perf_counter() - start)
        settings = self.server.settings
        phrase = http.HTTPStatus(code).phrase
        self._answer(code, f"{settings.service} {settings.version}: {phrase}\n".encode())

    def _measure(self) -> None:
        first_choice = self.headers.get("Accept", "").partition(",")[0].replace(" ", "")
        meter, proto = self.server.meter, first_choice.startswith(PROTO)
        self._answer(200, meter.protobuf() if proto else meter.text(), PROTO if proto else METRICS)

    def _work(self) -> int:
        time.sleep(self.server.settings.latency)
        return 500 if self.server.meter.next_fails() else 200

    def _answer(self, code: int, body: bytes, kind: str = PLAIN) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Say nothing of single requests: the metrics do, and a log of them would grow forever."""


class UnderWay:
    """Counts the requests that have arrived and are not answered yet."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        self._add(1)

    def __exit__(self, *_: object) -> None:
        self._add(-1)

    def wait_for_none(self, seconds: float) -> None:
        """Return when all are answered, or after this time."""
        with self._changed:
            self._changed.wait_for(lambda: self._count == 0, seconds)

    def _add(self, number: int) -> None:
        with self._changed:
            self._count += number
            self._changed.notify_all()


class SampleServer(http.server.ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.meter = Meter(settings)
        self.under_way = UnderWay()
        if ":" in settings.bind:
            self.address_family = socket.AF_INET6
        super().__init__((settings.bind, settings.port), Answering)

    def server_bind(self) -> None:
        """Bind without the look-up of a name for the address, which can take seconds."""
        super(http.server.HTTPServer, self).server_bind()
        self.server_name, self.server_port = self.settings.bind, self.socket.getsockname()[1]

    def handle_error(self, *_: object) -> None:
        """Say nothing when a client leaves in the middle of an answer."""


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or ctrl-C, then let requests in progress finish for a moment."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # Raising out of the handler ends the wait for connections at once, without polling.
        signal.signal(number, lambda *_: sys.exit(0))
    with SampleServer(settings) as server:
        host = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
        where = f"http://{host}:{server.server_port}"
        print(f"{settings.service} {settings.version} on {where}", flush=True)
        try:
            server.serve_forever(poll_interval=3600)
        finally:
            server.socket.close()
            server.under_way.wait_for_none(DRAIN_SECONDS)


def main() -> int:
    """Exit code 0 when asked to stop, 1 when the port is taken, 2 for a wrong environment."""
    try:
        settings = Settings.read(os.environ)
    except WrongSetting as error:
        print(error, file=sys.stderr)
        return 2
    try:
        serve(settings)
    except OSError as error:
        print(f"Cannot listen on {settings.bind} port {settings.port}: {error}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

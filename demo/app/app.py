"""The sample application: a small web service that fails and waits exactly as its environment says.

One file that needs nothing but Python 3.11 and its standard library, so that the test bed can run
it with any interpreter and the same file makes a container image. It owns no state beyond its
counters and offers no way to change its behaviour while it runs: a bad version is a *release* with
another environment, as it is in life, and never a switch that somebody turns from outside.

Errors are spread evenly instead of drawn at random: of n requests exactly floor(n x ERROR_RATIO)
fail, so that a test can compare numbers and a demonstration looks the same each time.

    GET /          200 or, as ERROR_RATIO says, 500; after LATENCY_MS
    GET /healthz   200 while the process serves, whatever the ratio: a bad version is healthy
    GET /metrics   Prometheus text format: http_requests_total, http_request_duration_seconds

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
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram in seconds; 0.3 is the threshold that the examples promise."""

DRAIN_SECONDS = 0.5
"""How long requests under way may go on after SIGTERM."""

IDLE_SECONDS = 60
"""A kept-alive connection is closed after so long without a request."""

PLAIN = "text/plain; charset=utf-8"
METRICS = "text/plain; version=0.0.4; charset=utf-8"


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
            service=_name(environment, "SERVICE", "sample"),
            version=_name(environment, "VERSION", "dev"),
            bind=_address(environment, "BIND", "0.0.0.0"),
            port=_whole(environment, "PORT", "8080", 65535),
            error_ratio=_ratio(environment, "ERROR_RATIO", "0"),
            latency=_whole(environment, "LATENCY_MS", "0", 60_000) / 1000,
        )


def _name(environment: Mapping[str, str], key: str, default: str) -> str:
    text = environment.get(key, default)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", text):
        raise WrongSetting(
            f"{key} is {text[:40]!r}: use 1 to 63 letters, digits, dots, dashes and underscores, "
            "beginning with a letter or digit."
        )
    return text


def _address(environment: Mapping[str, str], key: str, default: str) -> str:
    text = environment.get(key, default)
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise WrongSetting(f"{key} is {text[:40]!r}: use an IP address, such as 0.0.0.0.") from None


def _whole(environment: Mapping[str, str], key: str, default: str, most: int) -> int:
    text = environment.get(key, default)
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) > most:
        raise WrongSetting(f"{key} is {text[:40]!r}: use a whole number from 0 to {most}.")
    return int(text)


def _ratio(environment: Mapping[str, str], key: str, default: str) -> Fraction:
    text = environment.get(key, default)
    if not re.fullmatch(r"(0(\.[0-9]{1,9})?|1(\.0{1,9})?)", text):
        raise WrongSetting(
            f"{key} is {text[:40]!r}: use a decimal from 0 to 1, such as 0.05 for 5 %."
        )
    return Fraction(text)


class Meter:
    """Decides which requests fail, and counts what was answered."""

    def __init__(self, settings: Settings) -> None:
        self._ratio = settings.error_ratio
        self._labels = f'service="{settings.service}",version="{settings.version}"'
        self._lock = threading.Lock()
        self._asked = 0
        # Both are there from the start: increase() never sees the first error of a series that is
        # born with it.
        self._answered = {200: 0, 500: 0}
        self._fitting = [0] * (len(BUCKETS) + 1)
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
            self._answered[code] = self._answered.get(code, 0) + 1
            self._fitting[bisect_left(BUCKETS, seconds)] += 1
            self._seconds += seconds

    def text(self) -> str:
        """All counters in Prometheus' text format, as of one instant."""
        with self._lock:
            answered, fitting = dict(self._answered), list(accumulate(self._fitting))
            seconds = self._seconds
        name = "http_request_duration_seconds"
        lines = [
            "# HELP http_requests_total Requests answered, by status code.",
            "# TYPE http_requests_total counter",
            *(
                f'http_requests_total{{{self._labels},code="{code}"}} {count}'
                for code, count in sorted(answered.items())
            ),
            f"# HELP {name} Time from a request's arrival to its answer.",
            f"# TYPE {name} histogram",
            *(
                f'{name}_bucket{{{self._labels},le="{bound}"}} {count}'
                for bound, count in zip((*BUCKETS, "+Inf"), fitting, strict=True)
            ),
            f"{name}_sum{{{self._labels}}} {seconds!r}",
            f"{name}_count{{{self._labels}}} {fitting[-1]}",
        ]
        return "\n".join(lines) + "\n"


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
                self._answer(200, "ok\n")
            elif path == "/metrics":
                self._answer(200, self.server.meter.text(), METRICS)
            else:
                self._serve(path)

    do_HEAD = do_GET  # noqa: N815  http.server looks for this name

    def _serve(self, path: str) -> None:
        start = time.perf_counter()
        code = self._work() if path == "/" else 404
        self.server.meter.answered(code, time.perf_counter() - start)
        settings = self.server.settings
        phrase = http.HTTPStatus(code).phrase
        self._answer(code, f"{settings.service} {settings.version}: {phrase}\n")

    def _work(self) -> int:
        time.sleep(self.server.settings.latency)
        return 500 if self.server.meter.next_fails() else 200

    def _answer(self, code: int, text: str, kind: str = PLAIN) -> None:
        body = text.encode()
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
        """Return when all are answered, or after so long."""
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
    """Serve until SIGTERM or ctrl-C, then let requests under way finish for a moment."""
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

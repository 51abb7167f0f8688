"""The sample application, as a process of its own: what tests and the demonstration release."""

from __future__ import annotations

import http.client
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path

import pytest

from support.sample import APP, COMMAND, Sample, sample


def refusal(environment: Mapping[str, str]) -> str:
    """What the application says instead of starting."""
    done = subprocess.run(COMMAND, capture_output=True, text=True, env=environment, timeout=30)
    assert done.returncode == 2, done
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize(
    ("ratio", "failed"), [("0", 0), ("0.1", 20), ("0.333", 66), ("0.005", 1), ("1", 200)]
)
def test_exactly_the_given_share_of_requests_fails(ratio: str, failed: int) -> None:
    with sample(ERROR_RATIO=ratio) as app:
        assert app.codes(200)[500] == failed


def test_errors_are_spread_evenly() -> None:
    with sample(ERROR_RATIO="0.1") as app:
        assert [app.codes(10)[500] for _ in range(5)] == [1] * 5


def test_a_version_that_fails_all_requests_is_healthy_nevertheless() -> None:
    with sample(ERROR_RATIO="1") as app:
        assert app.get("/healthz") == (200, "ok\n")


def test_requests_are_counted_by_code_with_service_and_version() -> None:
    with sample(ERROR_RATIO="0.25", SERVICE="checkout", VERSION="1.4.0") as app:
        app.codes(8)
        metrics = app.metrics()
    labels = 'service="checkout",version="1.4.0"'
    assert metrics[f'http_requests_total{{{labels},code="200"}}'] == 6
    assert metrics[f'http_requests_total{{{labels},code="500"}}'] == 2


def test_the_series_of_errors_exists_before_the_first_error() -> None:
    with sample() as app:
        assert app.metrics()['http_requests_total{service="sample",version="dev",code="500"}'] == 0


def test_probes_and_scrapes_are_not_counted() -> None:
    with sample() as app:
        app.codes(3, "/healthz")
        app.codes(3, "/metrics")
        counts = [v for k, v in app.metrics().items() if k.startswith("http_requests_total")]
    assert counts == [0, 0]


def test_an_unknown_path_is_a_404_and_no_server_error() -> None:
    with sample(ERROR_RATIO="1") as app:
        assert app.codes(3, "/no/such/page") == {404: 3}
        metrics = app.metrics()
    assert metrics['http_requests_total{service="sample",version="dev",code="404"}'] == 3
    assert metrics['http_requests_total{service="sample",version="dev",code="500"}'] == 0


def test_the_buckets_grow_and_end_with_the_count_of_all_requests() -> None:
    with sample() as app:
        app.codes(25)
        app.codes(5, "/unknown")
        metrics = app.metrics()
    buckets = {
        match[1]: value
        for name, value in metrics.items()
        if (match := re.search(r'_bucket{.*le="([^"]+)"', name))
    }
    counted = sum(v for k, v in metrics.items() if k.startswith("http_requests_total"))
    count = metrics['http_request_duration_seconds_count{service="sample",version="dev"}']
    assert list(buckets.values()) == sorted(buckets.values())
    assert "0.3" in buckets
    assert buckets["+Inf"] == count == counted == 30


def test_the_latency_of_the_environment_is_what_the_histogram_shows() -> None:
    with sample(LATENCY_MS="310") as app:
        app.codes(2)
        metrics = app.metrics()
    labels = 'service="sample",version="dev"'
    assert metrics[f'http_request_duration_seconds_bucket{{{labels},le="0.3"}}'] == 0
    assert metrics[f'http_request_duration_seconds_bucket{{{labels},le="+Inf"}}'] == 2
    assert metrics[f"http_request_duration_seconds_sum{{{labels}}}"] >= 0.62


Fields = Mapping[int, list[int | bytes]]
"""A protobuf message: the values of each field, doubles and messages as bytes."""


def varint(content: bytes, at: int) -> tuple[int, int]:
    """A number, and where the next thing begins."""
    end = next(end for end in range(at, len(content)) if content[end] < 0x80) + 1
    return sum((byte & 0x7F) << 7 * n for n, byte in enumerate(content[at:end])), end


def fields(content: bytes) -> Fields:
    found: dict[int, list[int | bytes]] = defaultdict(list)
    at = 0
    while at < len(content):
        key, at = varint(content, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(content, at)
            found[key >> 3].append(value)
            continue
        size, at = (8, at) if kind == 1 else varint(content, at)
        assert kind in {1, 2}, kind
        found[key >> 3].append(content[at : at + size])
        at += size
    return found


def families(content: bytes) -> dict[str, Fields]:
    """The messages MetricFamily of a delimited stream, by name."""
    found = {}
    at = 0
    while at < len(content):
        size, at = varint(content, at)
        family = fields(content[at : at + size])
        found[family[1][0].decode()] = family
        at += size
    return found


def double(value: int | bytes) -> float:
    return struct.unpack("<d", value)[0]


def signed(value: int | bytes) -> int:
    return value >> 1 if value % 2 == 0 else -(value >> 1) - 1


def labels(metric: Fields) -> dict[str, str]:
    pairs = map(fields, metric[1])
    return {pair[1][0].decode(): pair[2][0].decode() for pair in pairs}


def in_protobuf(app: Sample) -> dict[str, Fields]:
    app.connection.request("GET", "/metrics", headers={"Accept": PROMETHEUS})
    response = app.connection.getresponse()
    assert response.headers["Content-Type"] == PROTOBUF
    return families(response.read())


PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)
OPEN_METRICS = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5"
PROMETHEUS = f"{PROTOBUF};q=0.6,{OPEN_METRICS},text/plain;version=0.0.4;q=0.2,*/*;q=0.1"


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/html,application/xhtml+xml,*/*;q=0.8",
        f"{OPEN_METRICS},{PROTOBUF};q=0.4",
        "application/vnd.google.protobuf",
        "application/vnd.google.protobuf;proto=another.Message;encoding=delimited",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
    ],
)
def test_whoever_does_not_prefer_protobuf_gets_text(accept: str) -> None:
    with sample() as app:
        app.connection.request("GET", "/metrics", headers={"Accept": accept} if accept else {})
        response = app.connection.getresponse()
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert response.read().startswith(b"# HELP http_requests_total ")


@pytest.mark.parametrize("accept", [PROTOBUF, PROTOBUF.replace(";", "; "), PROMETHEUS])
def test_whoever_prefers_protobuf_gets_it(accept: str) -> None:
    with sample() as app:
        app.connection.request("GET", "/metrics", headers={"Accept": accept})
        response = app.connection.getresponse()
        assert response.headers["Content-Type"] == PROTOBUF
        assert set(families(response.read())) == {
            "http_requests_total",
            "http_request_duration_seconds",
            "process_start_time_seconds",
        }


def test_protobuf_says_the_same_as_text() -> None:
    with sample(ERROR_RATIO="0.25", SERVICE="checkout", VERSION="1.4.0") as app:
        app.codes(300)
        text, found = app.metrics(), in_protobuf(app)
    of_all = {"service": "checkout", "version": "1.4.0"}
    counters = [fields(metric) for metric in found["http_requests_total"][4]]
    assert found["http_requests_total"][3] == [0]
    for counter, code in zip(counters, ("200", "500"), strict=True):
        assert labels(counter) == {**of_all, "code": code}
        written = f'http_requests_total{{service="checkout",version="1.4.0",code="{code}"}}'
        assert double(fields(counter[3][0])[1][0]) == text[written]
    assert found["http_request_duration_seconds"][3] == [4]
    metric = fields(found["http_request_duration_seconds"][4][0])
    assert labels(metric) == of_all
    histogram = fields(metric[7][0])
    name = 'http_request_duration_seconds_{}{{service="checkout",version="1.4.0"{}}}'
    assert histogram[1] == [text[name.format("count", "")]] == [300]
    assert double(histogram[2][0]) == text[name.format("sum", "")]
    for bucket in map(fields, histogram[3]):
        bound = f',le="{double(bucket[2][0])}"'
        assert bucket[1][0] == text[name.format("bucket", bound)]
    assert len(histogram[3]) == len([key for key in text if "_bucket" in key]) - 1  # but for +Inf
    started = double(fields(fields(found["process_start_time_seconds"][4][0])[2][0])[1][0])
    assert started == pytest.approx(text["process_start_time_seconds"], abs=0.001)
    assert 0 <= time.time() - started < 60


def native(app: Sample) -> dict[float, int]:
    """The upper bounds of the native buckets, and how many requests are in each."""
    metric = fields(in_protobuf(app)["http_request_duration_seconds"][4][0])
    histogram = fields(metric[7][0])
    assert signed(histogram[5][0]) == 3
    assert double(histogram[6][0]) > 0
    span = fields(histogram[12][0])
    counts = list(accumulate(map(signed, histogram[13])))
    assert span[2] == [len(counts)]
    first = signed(span[1][0])
    return {2 ** (end / 8): count for end, count in enumerate(counts, first) if count}


def test_the_native_histogram_has_each_request_in_a_narrow_bucket() -> None:
    with sample(LATENCY_MS="100") as app:
        app.codes(3)
        app.codes(40, "/unknown")
        buckets = native(app)
    assert sum(buckets.values()) == 43
    slow = {bound: count for bound, count in buckets.items() if bound > 0.1}
    assert sum(slow.values()) >= 3
    assert min(slow) < 0.1 * 2 ** (2 / 8)


def test_before_the_first_request_the_histogram_is_native_already() -> None:
    with sample() as app:
        assert native(app) == {}


def test_a_connection_serves_many_requests_and_head_has_no_body() -> None:
    with sample() as app:
        app.connection.connect()
        socket = app.connection.sock
        assert app.get("/", "HEAD") == (200, "")
        assert app.get("/?item=1") == (200, "sample dev: OK\n")
        assert app.connection.sock is socket


def test_200_requests_of_20_clients_are_all_answered_while_each_takes_a_tenth_of_a_second() -> None:
    answers: Counter[int] = Counter()

    def ask(port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        for _ in range(10):
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            answers[response.status] += 1
        connection.close()

    with sample(LATENCY_MS="100") as app:
        start = time.monotonic()
        clients = [threading.Thread(target=ask, args=(app.port,)) for _ in range(20)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        took = time.monotonic() - start
    assert answers == {200: 200}
    assert took < 10  # one after the other they would take 20


def seconds_from_sigterm_to_the_end() -> float:
    with sample(LATENCY_MS="30000") as app:
        app.connection.request("GET", "/")
        time.sleep(0.3)
        start = time.monotonic()
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(20) == 0
        return time.monotonic() - start


def test_sigterm_ends_it_under_a_second_with_requests_in_progress() -> None:
    # The best of some: on a busy machine a process may wait for its turn longer than that.
    assert any(seconds_from_sigterm_to_the_end() < 1 for _ in range(5))


def test_a_request_that_is_nearly_done_is_answered_after_sigterm() -> None:
    with sample(LATENCY_MS="300") as app:
        app.connection.request("GET", "/")
        time.sleep(0.15)
        app.process.send_signal(signal.SIGTERM)
        assert app.connection.getresponse().status == 200
        assert app.process.wait(20) == 0


def test_sigterm_ends_it_with_idle_connections() -> None:
    with sample() as app:
        app.codes(1)
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(20) == 0


def test_it_says_where_it_serves() -> None:
    with sample(SERVICE="checkout", VERSION="2.0") as app:
        assert app.greeting == f"checkout 2.0 on http://127.0.0.1:{app.port}\n"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ERROR_RATIO", "1.5"),
        ("ERROR_RATIO", "10%"),
        ("ERROR_RATIO", "-0.1"),
        ("ERROR_RATIO", "nan"),
        ("ERROR_RATIO", "1e-3"),
        ("ERROR_RATIO", "٠.٥"),
        ("ERROR_RATIO", ""),
        ("LATENCY_MS", "fast"),
        ("LATENCY_MS", "1.5"),
        ("LATENCY_MS", "9" * 5000),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("BIND", "localhost"),
        ("SERVICE", 'a"b'),
        ("SERVICE", ""),
        ("VERSION", "1 2"),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(variable: str, value: str) -> None:
    said = refusal({variable: value})
    assert said.startswith(f"{variable} is ")
    assert said.count("\n") == 1
    assert said.endswith(".\n")


def test_a_taken_port_is_one_sentence() -> None:
    with sample() as app:
        done = subprocess.run(
            COMMAND,
            capture_output=True,
            text=True,
            env={"BIND": "127.0.0.1", "PORT": str(app.port)},
            timeout=30,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Cannot listen on 127.0.0.1 port {app.port}: ")
    assert done.stderr.count("\n") == 1


def test_it_needs_nothing_but_the_interpreter(tmp_path: Path) -> None:
    alone = tmp_path / "app.py"
    alone.write_bytes(APP.read_bytes())
    alone.chmod(0o444)
    before = list(tmp_path.iterdir())
    command = [sys.executable, "-I", "-S", str(alone)]
    environment = {"BIND": "127.0.0.1", "PORT": "0"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path
    ) as process:
        app = Sample(process)
        assert app.get("/")[0] == 200
        app.connection.close()
        process.terminate()
    assert list(tmp_path.iterdir()) == before

"""Faults between the adapter and a real Prometheus: the right evidence each, and no harm to others.

Numbers F1 to F14 are the rows of the reliability table; each test goes through the fault proxy.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from penstock.adapters.backpressure import FAILURES_TO_OPEN, SHORTEST_BREAK, WELL_SECONDS
from penstock.adapters.prometheus_session import LARGEST_ANSWER
from penstock.adapters.source_client import AT_ONCE, OVERLOADED_DETAIL, THREADS
from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.metrics_source import Header, MetricsSource
from penstock.domain.slo import Slo
from support import draws
from support.clocks import MovedClock
from support.history import NOW, History
from support.indicators import ratio
from support.measuring import TRIAL, Meter, slo, source
from testbed.fault_actions import (
    Act,
    Cut,
    Delay,
    Drop,
    Garble,
    HangAfterHeaders,
    ReplaceBody,
    SlowBody,
    Status,
    prometheus_error,
)
from testbed.fault_plan import First, Match, Nth, Plan, Rule
from testbed.proxy import FaultProxy

pytestmark = pytest.mark.servers

MANY = 80
BATCHES = 4
PATIENCE = 30.0
QUESTIONS = "shop_total"  # and not the trial, by which a link begins
OUTAGES = {
    EvidenceKind.UNREACHABLE,
    EvidenceKind.MALFORMED,
    EvidenceKind.UNAUTHORIZED,
    EvidenceKind.REJECTED,
    EvidenceKind.PARTIAL,
}
BUSY = prometheus_error(503, "timeout", "query timed out in expression evaluation")


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    past = History()
    for n in range(MANY):
        past.steady("shop_total", {"service": f"s{n}", "code": "200"}, step_up=9, start=-3_660)
        past.steady("shop_total", {"service": f"s{n}", "code": "500"}, step_up=1, start=-3_660)
    with past.served(tmp_path_factory.mktemp("past")) as url:
        yield url


@pytest.fixture
def proxy(upstream: str) -> Iterator[FaultProxy]:
    with FaultProxy(upstream) as proxy:
        yield proxy


@pytest.fixture
def clock() -> MovedClock:
    """Breaks are on it: a test that has seen one begin need not wait for its end."""
    return MovedClock()


@pytest.fixture
def meter(clock: MovedClock) -> Iterator[Meter]:
    with Meter(clock) as meter:
        yield meter


def of(service: str = "s1") -> Slo:
    """By a regular expression, so that none is asked by one expression with others."""
    this = f'shop_total{{service=~"{service}"'
    return slo(service, ratio(f'{this},code="500"}}', f"{this}}}"))


ALL = [of(f"s{n}") for n in range(MANY)]


def plan(act: Act, **match: object) -> Plan:
    return Plan((Rule(Match(**match), act),), seed=7)  # type: ignore[arg-type]


def burn(evidence: Evidence) -> float:
    assert evidence.kind is EvidenceKind.FRESH, evidence
    assert evidence.reading is not None
    return float(evidence.reading.window_counts.bad / evidence.reading.window_counts.total)


def is_right(evidence: Evidence) -> bool:
    return burn(evidence) == pytest.approx(0.1, rel=1e-9)


def until_right(meter: Meter, proxy: FaultProxy, where: MetricsSource | None = None) -> None:
    """Ticks, as the engine makes them, until the source is believed again."""
    where = where or source(proxy.url, timeout="2s")

    def is_believed() -> bool:
        if meter.one(where, of(), NOW).kind is EvidenceKind.FRESH:
            return True
        assert isinstance(meter.clock, MovedClock)
        meter.clock.move(SHORTEST_BREAK)
        return False

    proxy.wait(is_believed, PATIENCE)


def answer(rows: list[tuple[dict[str, str], object]], kind: str = "vector", **more: object) -> str:
    result = [{"metric": labels, "value": [1, value]} for labels, value in rows]
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}, **more})


def replaced(body: str) -> ReplaceBody:
    return ReplaceBody(body, content_type="application/json")


FAULTS: dict[str, tuple[Act, EvidenceKind, str]] = {
    "F2 503": (Status(503), EvidenceKind.UNREACHABLE, "503 Service Unavailable"),
    "F2 500": (
        prometheus_error(500, "internal"),
        EvidenceKind.UNREACHABLE,
        "500 Internal Server Error",
    ),
    "F2 busy": (BUSY, EvidenceKind.UNREACHABLE, "query timed out in expression evaluation"),
    "F4 slow body": (SlowBody(1), EvidenceKind.UNREACHABLE, "timed out after 1 s"),
    "F4 slow": (Delay(29), EvidenceKind.UNREACHABLE, "timed out after 1 s"),
    "F4 hang in the body": (HangAfterHeaders(), EvidenceKind.UNREACHABLE, "timed out after 1 s"),
    "F5 hang": (Drop(), EvidenceKind.UNREACHABLE, "timed out after 1 s"),
    "F5 cut": (Drop(0), EvidenceKind.UNREACHABLE, "the connection was closed without an answer"),
    "F6 HTML": (
        ReplaceBody("<html><body>Please log in</body></html>"),
        EvidenceKind.MALFORMED,
        "the answer is text/html where JSON was expected",
    ),
    "F6 half a body": (Cut(60), EvidenceKind.MALFORMED, "the answer ends before it is complete"),
    "F6 damaged": (Garble(3), EvidenceKind.MALFORMED, "the answer is damaged"),
    "F6 huge": (
        ReplaceBody(" " * 1024, "application/json", LARGEST_ANSWER // 1024 + 9),
        EvidenceKind.MALFORMED,
        "the answer is longer than 4 MiB",
    ),
    "F6 other JSON": (replaced('{"hello": 1}'), EvidenceKind.MALFORMED, "none of Prometheus"),
    "F6 a list": (replaced("[1, 2]"), EvidenceKind.MALFORMED, "damaged"),
    "F6 deep": (replaced("[" * 100_000), EvidenceKind.MALFORMED, "damaged"),
    "F6 no data": (replaced('{"status": "success"}'), EvidenceKind.MALFORMED, "has no data"),
    "F9 NaN": (
        replaced(answer([({"penstock": "0o3600000"}, "NaN")])),
        EvidenceKind.MALFORMED,
        '"NaN"',
    ),
    "F9 infinite": (
        replaced(answer([({"penstock": "0o3600000"}, "+Inf")])),
        EvidenceKind.MALFORMED,
        '"+Inf"',
    ),
    "F9 negative": (
        replaced(answer([({"penstock": "0o3600000"}, "-3")])),
        EvidenceKind.MALFORMED,
        '"-3"',
    ),
    "F9 no text": (
        replaced(answer([({"penstock": "0o3600000"}, 3)])),
        EvidenceKind.MALFORMED,
        "number",
    ),
    "F10 a matrix": (
        replaced(answer([], "matrix")),
        EvidenceKind.MALFORMED,
        "a matrix where a vector",
    ),
    "F10 a scalar": (
        replaced(answer([], "scalar")),
        EvidenceKind.MALFORMED,
        "a scalar where a vector",
    ),
    "F10 two rows": (
        replaced(answer([({"penstock": "0o3600000"}, "3")] * 2)),
        EvidenceKind.AMBIGUOUS,
        "2 series for good in the last 1h",
    ),
    "F10 foreign row": (
        replaced(answer([({"job": "x"}, "3")])),
        EvidenceKind.MALFORMED,
        "not asked for",
    ),
    "F12 nothing": (replaced(answer([])), EvidenceKind.ABSENT, "no series matches"),
    "F12 warnings": (
        replaced(answer([], warnings=["store 10.0.0.1 is unavailable"])),
        EvidenceKind.PARTIAL,
        "store 10.0.0.1 is unavailable",
    ),
    "F13 401": (Status(401), EvidenceKind.UNAUTHORIZED, "401 Unauthorized"),
    "F13 403": (Status(403), EvidenceKind.UNAUTHORIZED, "403 Forbidden"),
    "F14 429": (Status(429), EvidenceKind.UNREACHABLE, "429 Too Many Requests"),
    "F14 429 later": (
        Status(429, (("Retry-After", "1"),)),
        EvidenceKind.UNREACHABLE,
        "come back in 1 s",
    ),
    "400 of a proxy": (Status(400, body="no"), EvidenceKind.MALFORMED, "not a Prometheus response"),
    "404": (Status(404), EvidenceKind.UNREACHABLE, "check the path in spec.url"),
    "elsewhere": (
        Status(302, (("Location", "http://127.0.0.1:1/"),)),
        EvidenceKind.UNREACHABLE,
        "302 Found: redirected; set spec.url to the final URL",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_evidence_of_its_own_kind_and_passes(meter, proxy, name):
    act, kind, says = FAULTS[name]
    where = source(proxy.url, timeout="1s" if "after 1 s" in says else "10s")
    with proxy.faults(plan(act, query=QUESTIONS)):
        begun = time.monotonic()
        evidence = meter.one(where, of(), NOW)
        took = time.monotonic() - begun
    assert (evidence.kind, says in evidence.detail) == (kind, True), evidence
    assert evidence.reading is None
    assert took < PATIENCE / 2
    until_right(meter, proxy)
    assert is_right(meter.one(source(proxy.url, timeout="2s"), of(), NOW))


def test_f1_a_single_failure_is_made_good_within_the_tick(meter, proxy):
    with proxy.faults(plan(Status(503), when=First(1), query=QUESTIONS)):
        found = meter.all(source(proxy.url), ALL, NOW)
    assert all(map(is_right, found))
    assert meter.tally.requests == {"unreachable": 1, "answered": TRIAL + BATCHES}


def test_f2_a_source_that_fails_is_asked_a_few_times_and_not_once_for_each_slo(meter, proxy):
    meter.one(source(proxy.url), of(), NOW)
    meter.tally.requests.clear()
    with proxy.faults(plan(Status(503))):
        found = meter.all(source(proxy.url), ALL, NOW)
        assert {one.kind for one in found} == {EvidenceKind.UNREACHABLE}
        asked = meter.tally.requests.total()
        assert FAILURES_TO_OPEN <= asked <= FAILURES_TO_OPEN + AT_ONCE
        for _ in range(3):
            found = meter.all(source(proxy.url), ALL, NOW)
            assert {one.detail for one in found} == {"127.0.0.1: 503 Service Unavailable"}
        assert meter.tally.requests.total() - asked <= 3
    until_right(meter, proxy)
    assert all(map(is_right, meter.all(source(proxy.url, timeout="2s"), ALL, NOW)))


def test_f3_a_source_that_is_not_there_yet(meter, proxy):
    proxy.down()
    evidence = meter.one(source(proxy.url), of(), NOW)
    assert evidence == Evidence(EvidenceKind.UNREACHABLE, "127.0.0.1: connection refused")
    proxy.up()
    until_right(meter, proxy)


def test_f3_a_name_that_does_not_resolve(meter):
    evidence = meter.one(source("http://prometheus.invalid:9090", timeout="20s"), of(), NOW)
    assert evidence == Evidence(
        EvidenceKind.UNREACHABLE, "prometheus.invalid: the name does not resolve"
    )


def test_f3_addresses_that_nobody_can_ask(meter, upstream):
    for url in ("http://[::1", "http://127.0.0.1:0", "http://a..b:1", f"{upstream}/%zz/nowhere"):
        assert meter.one(source(url, name=url), of(), NOW).kind is EvidenceKind.UNREACHABLE


@pytest.mark.slow
def test_f4_f5_no_thread_is_left_by_fifty_hangs_of_each_sort(meter, proxy):
    before = threading.active_count()
    where = source(proxy.url, timeout="100ms")
    for act in (Drop(), HangAfterHeaders(), SlowBody(1)):
        with proxy.faults(plan(act)):
            for _ in range(50):
                assert meter.one(where, of(), NOW).kind is EvidenceKind.UNREACHABLE
                assert threading.active_count() <= before + THREADS
    proxy.wait(lambda: threading.active_count() <= before, PATIENCE)


@contextmanager
def dripping() -> Iterator[str]:
    """A server that sends its headers byte by byte: each arrives in time, all of them never do."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def drip(client: socket.socket) -> None:
        with client, suppress(OSError):
            for byte in b"HTTP/1.1 200 OK\r\nX-Padding: " + b"a" * 10_000:
                if ended.wait(0.05):
                    return
                client.sendall(bytes([byte]))

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listener.accept()[0],)).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def ours() -> int:
    return sum(thread.name == "penstock-metrics" for thread in threading.enumerate())


def test_f4_headers_that_never_end_are_cut(meter):
    with dripping() as url:
        evidence = meter.one(source(url, timeout="500ms"), of(), NOW)
        assert evidence == Evidence(EvidenceKind.UNREACHABLE, "127.0.0.1: timed out after 0.5 s")
        end = time.monotonic() + PATIENCE
        while ours() and time.monotonic() < end:
            time.sleep(0.02)
        assert ours() == 0


def test_f4_other_sources_are_not_slowed_down(meter, proxy, upstream):
    with proxy.faults(plan(Drop())):
        slow, quick = meter.together(
            [
                (source(proxy.url, name="slow", timeout="5s"), ALL),
                (source(upstream, name="quick", timeout="5s"), ALL),
            ],
            NOW,
        )
    assert {one.kind for one in slow[1]} == {EvidenceKind.UNREACHABLE}
    assert all(map(is_right, quick[1]))
    assert quick[0] < slow[0]


def test_f5_a_source_that_hangs_costs_one_time_limit_and_then_one_request_a_tick(
    meter, proxy, clock
):
    where = source(proxy.url, timeout="1s")
    meter.one(where, of(), NOW)
    meter.tally.requests.clear()
    before = len(proxy.log)
    with proxy.faults(plan(Drop())):
        begun = time.monotonic()
        meter.all(where, ALL, NOW)
        assert time.monotonic() - begun < PATIENCE / 3
        assert meter.tally.requests == {"timeout": BATCHES}
        clock.move(SHORTEST_BREAK)
        meter.all(where, ALL, NOW)
        assert meter.tally.requests == {"timeout": BATCHES + 1}
        assert len(proxy.log) == before + BATCHES + 1


def test_f5_a_source_that_hangs_from_the_start_costs_one_request_a_tick(meter, proxy):
    where = source(proxy.url, timeout="1s")
    with proxy.faults(plan(Drop())):
        meter.all(where, ALL, NOW)
        assert meter.tally.requests == {"timeout": 1}


def test_f7_a_query_that_is_refused_by_name_is_found_by_halving(meter, proxy):
    refused = prometheus_error(422, "execution", 'it says "too much" for s17')
    with proxy.faults(plan(refused, query='service=~"s17"')):
        found = meter.all(source(proxy.url), ALL, NOW)
    assert [n for n, one in enumerate(found) if one.kind is not EvidenceKind.FRESH] == [17]
    assert found[17] == Evidence(
        EvidenceKind.REJECTED, '127.0.0.1: query rejected: it says "too much" for s17'
    )
    assert meter.tally.requests.total() <= BATCHES + 2 + 2 * 5


def test_f7_a_server_that_refuses_everything_is_not_asked_about_each_slo(meter, proxy):
    with proxy.faults(plan(prometheus_error(400, "bad_data", "no"))):
        found = meter.all(source(proxy.url), ALL, NOW)
    assert {one.kind for one in found} == {EvidenceKind.MALFORMED}
    assert "it rejects even vector(time())" in found[0].detail
    assert meter.tally.requests.total() <= BATCHES + 2


def test_f12_rows_that_are_missing_concern_their_own_slo(meter, proxy, upstream):
    rows = [({"penstock": f"1{leg}"}, "4") for leg in ("o3600000", "o300000", "o1800000", "age")]
    with proxy.faults(plan(replaced(answer(rows)), query=QUESTIONS)):
        found = meter.all(source(proxy.url), ALL[:3], NOW)
    assert [one.kind for one in found] == [
        EvidenceKind.ABSENT,
        EvidenceKind.FRESH,
        EvidenceKind.ABSENT,
    ]


def test_f12_a_warning_about_one_query_costs_nobody_else(meter, proxy):
    warned = replaced(answer([], warnings=["PromQL warning: encountered a mix (1:5)"]))
    with proxy.faults(plan(warned, query='service=~"s17"')):
        found = meter.all(source(proxy.url), ALL, NOW)
        assert [n for n, one in enumerate(found) if one.kind is not EvidenceKind.FRESH] == [17]
        assert found[17].kind is EvidenceKind.PARTIAL
        meter.tally.requests.clear()
        meter.all(source(proxy.url), ALL, NOW)
    assert meter.tally.requests == {"answered": BATCHES, "partial": 1}


def test_f12_a_warning_about_the_server_is_everybodys(meter, proxy):
    down = replaced(answer([], warnings=["a store is down"]))
    with proxy.faults(plan(down, query=QUESTIONS)):
        found = meter.all(source(proxy.url), ALL, NOW)
    assert {one.kind for one in found} == {EvidenceKind.PARTIAL}
    assert meter.tally.requests == {"answered": TRIAL, "partial": BATCHES}


def test_f12_infos_are_not_warnings(meter, proxy):
    rows = [({"penstock": f"0{leg}"}, "4") for leg in ("o3600000", "o300000", "o1800000", "age")]
    with proxy.faults(
        plan(replaced(answer(rows, infos=["PromQL info: no counter"])), query=QUESTIONS)
    ):
        assert meter.one(source(proxy.url), of(), NOW).kind is EvidenceKind.FRESH


def test_f13_what_is_confidential_is_in_no_detail(meter, proxy, caplog):
    secret = "tenant-4711-token"
    headers = (Header("X-Scope-OrgID", secret),)
    told = prometheus_error(422, "execution", f"org {secret} has\nno such thing" + "!" * 9_000)
    for act in (told, Status(403, body=secret), ReplaceBody(secret), Status(500, body=secret)):
        with proxy.faults(plan(act)), caplog.at_level("DEBUG"):
            evidence = meter.one(source(proxy.url, name=repr(act)[:9], headers=headers), of(), NOW)
        assert evidence.kind in OUTAGES
        assert secret not in evidence.detail
        assert "\n" not in evidence.detail
        assert len(evidence.detail) <= 400
    assert secret not in caplog.text


def test_f13_open_headers_are_sent_and_those_that_matter_are_ours(meter, proxy):
    headers = (Header("X-Scope-OrgID", "team-a"), Header("content-type", "text/plain"))
    assert is_right(meter.one(source(proxy.url, headers=headers), of(), NOW))
    assert proxy.log[-1].query == ""  # the query is in the body
    assert proxy.log[-1].user_agent.startswith("penstock/")


@pytest.mark.parametrize("status", [429, 503])
def test_f14_retry_after_is_honoured(meter, proxy, status):
    wait = 2
    with proxy.faults(plan(Status(status, (("Retry-After", str(wait)),)), when=First(1))):
        begun = time.monotonic()
        evidence = meter.one(source(proxy.url), of(), NOW)
        assert evidence.kind is EvidenceKind.UNREACHABLE
        while meter.one(source(proxy.url), of(), NOW).kind is not EvidenceKind.FRESH:
            assert time.monotonic() - begun < PATIENCE
            time.sleep(0.05)
    assert time.monotonic() - begun >= wait
    refused, trial, real = proxy.log[:3]
    assert (trial.at - refused.at).total_seconds() >= wait
    assert (refused.status, trial.status, real.status) == (status, 200, 200)


@pytest.mark.parametrize("status", [429, 503])
def test_f14_a_source_with_too_much_to_do_is_spared_until_it_has_been_well_for_a_minute(
    meter, proxy, clock, status
):
    where = source(proxy.url)
    assert not meter.metrics.is_overloaded(where)
    with proxy.faults(plan(Status(status), query=QUESTIONS)):
        assert meter.one(where, of(), NOW).kind is EvidenceKind.UNREACHABLE
        assert meter.metrics.is_overloaded(where)
        assert meter.look(where).detail.endswith(OVERLOADED_DETAIL)
    until_right(meter, proxy, where)
    assert meter.look(where).detail == f"it answers again; {OVERLOADED_DETAIL}"
    clock.move(WELL_SECONDS)
    assert meter.one(where, of(), NOW).kind is EvidenceKind.FRESH
    assert not meter.metrics.is_overloaded(where)
    assert meter.look(where).detail == ""


def test_f14_a_query_that_is_too_dear_does_not_make_its_source_an_overloaded_one(meter, proxy):
    """The SLOs of everybody else would pay for it."""
    where = source(proxy.url)
    with proxy.faults(plan(BUSY, query='service=~"s17"')):
        for _ in range(6):
            meter.all(where, ALL[:20], NOW)
    assert not meter.metrics.is_overloaded(where)


def test_f14_a_query_that_is_too_dear_is_queried_separately_from_then_on(meter, proxy):
    with proxy.faults(plan(BUSY, query='service=~"s17"')):
        for _ in range(6):
            found = meter.all(source(proxy.url), ALL, NOW)
    assert [n for n, one in enumerate(found) if one.kind is not EvidenceKind.FRESH] == [17]
    assert "query timed out" in found[17].detail


def test_connections_are_kept_and_a_lost_one_is_replaced(meter, proxy):
    for _ in range(10):
        assert is_right(meter.one(source(proxy.url), of(), NOW))
    proxy.down()
    proxy.up()
    assert is_right(meter.one(source(proxy.url), of(), NOW))


def test_a_changed_source_is_asked_again_at_once(meter, proxy, upstream):
    proxy.down()
    assert meter.one(source(proxy.url), of(), NOW).kind is EvidenceKind.UNREACHABLE
    assert is_right(meter.one(source(upstream), of(), NOW))


def test_f12_a_partial_answer_concerns_its_batch_alone(meter, proxy):
    with proxy.faults(plan(replaced(answer([], warnings=["late"])), when=Nth(2), query=QUESTIONS)):
        found = meter.all(source(proxy.url), ALL, NOW)
    assert [one.kind for one in found].count(EvidenceKind.PARTIAL) in {25, 5}
    assert {one.kind for one in found} == {EvidenceKind.PARTIAL, EvidenceKind.FRESH}


def ends_well(meter: Meter, proxy: FaultProxy, tick: Callable[[], list[Evidence]]) -> None:
    proxy.wait(lambda: all(evidence.kind is EvidenceKind.FRESH for evidence in tick()), PATIENCE)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(draws.size(commit=2, full=6)))
def test_whatever_happens_evidence_is_right_or_an_outage(meter, proxy, seed):
    where = source(proxy.url, timeout="1s")

    def tick() -> list[Evidence]:
        return meter.all(where, ALL, NOW)

    with proxy.faults(Plan.random(seed, target="prometheus", seconds=4)):
        end = time.monotonic() + 5
        while time.monotonic() < end:
            for one in tick():
                assert one.kind in OUTAGES or is_right(one), one
            time.sleep(0.1)
    ends_well(meter, proxy, tick)

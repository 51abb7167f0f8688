"""The fault proxy before a small server of the standard library: every fault, one by one."""

import gzip
import http.client
import json
import threading
import time
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from testbed.fault_actions import (
    ApplyThenCut,
    Cut,
    CutThenApply,
    CutWatch,
    Delay,
    Drop,
    EditWatch,
    Garble,
    HangAfterHeaders,
    InjectLine,
    LateAnswer,
    ReplaceBody,
    SlowBody,
    StaleList,
    Status,
    api_error,
    watch_error,
)
from testbed.fault_plan import First, Match, Plan, Rule
from testbed.proxy import FaultProxy

TEXT = json.dumps({"items": ["x" * 50] * 20}).encode()
PATIENCE = 20


class Handler(BaseHTTPRequestHandler):
    """Answers a text; under /watch a stream of the lines that the test puts in."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen.append((self.command, self.path, b""))
        if self.path.startswith("/watch"):
            return self.stream()
        if self.path == "/gzip":
            return self.answer(200, gzip.compress(TEXT), ("Content-Encoding", "gzip"))
        return self.answer(200, TEXT)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.command, self.path, body))
        self.answer(201, body)

    def answer(self, code, body, *headers):
        self.send_response(code)
        for name, value in (("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def stream(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        sent, over = 0, False
        with suppress(OSError):
            while not over and not self.gone():
                over = self.server.over.is_set()
                for line in self.server.lines[sent:]:
                    self.wfile.write(b"%x\r\n%s\n\r\n" % (len(line) + 1, line))
                    sent += 1
                time.sleep(0.01)
            self.wfile.write(b"0\r\n\r\n")
        self.server.ended.set()

    def gone(self):
        self.connection.setblocking(False)
        try:
            return self.connection.recv(1) == b""
        except BlockingIOError:
            return False
        finally:
            self.connection.setblocking(True)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.seen, server.lines = [], []
        server.over, server.ended = threading.Event(), threading.Event()
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(server):
    with FaultProxy(f"http://127.0.0.1:{server.server_port}") as proxy:
        yield proxy


def plan(act, **match):
    return Plan((Rule(Match(**match), act),), seed=11)


def connect(proxy, timeout=PATIENCE):
    return closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=timeout))


def ask(proxy, method="GET", path="/", body=None):
    with connect(proxy) as connection:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()


def watch(proxy, path="/watch?watch=true"):
    """The lines of a watch until it ends, and whether it ended as it should."""
    with connect(proxy) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        try:
            return answer.read().splitlines(), True
        except http.client.IncompleteRead as broken:
            return broken.partial.splitlines(), False


def test_without_a_plan_everything_passes(proxy, server):
    assert ask(proxy) == (200, TEXT)
    large = b"0123456789abcdef" * 200_000
    assert ask(proxy, "POST", "/a", large) == (201, large)
    assert server.seen[1] == ("POST", "/a", large)


def test_paths_and_queries_pass_as_they_were_written(proxy, server):
    target = "/a%2Fb/c%20d//e?x=%7Ba%3D%22b%22%7D&y=1+2&z"
    ask(proxy, "GET", target)
    assert server.seen == [("GET", target, b"")]


def test_a_connection_is_used_again(proxy):
    with connect(proxy) as connection:
        for _ in range(3):
            connection.request("GET", "/")
            assert connection.getresponse().read() == TEXT


def test_what_was_compressed_stays_compressed(proxy):
    status, body = ask(proxy, path="/gzip")
    assert (status, gzip.decompress(body)) == (200, TEXT)


def test_watch_lines_pass_at_once(proxy, server):
    with connect(proxy) as connection:
        connection.request("GET", "/watch?watch=true")
        answer = connection.getresponse()
        for line in (b"one", b"two"):
            server.lines.append(line)
            assert answer.readline() == line + b"\n"
        answer.close()


def test_a_client_that_leaves_ends_the_request_upstream(proxy, server):
    with connect(proxy) as connection:
        connection.request("GET", "/watch?watch=true")
        answer = connection.getresponse()
        answer.close()
    assert server.ended.wait(PATIENCE)
    proxy.wait(lambda: proxy.log[0].ended)


def test_delay_waits_and_then_passes(proxy):
    with proxy.faults(plan(Delay(0.3))):
        begun = time.monotonic()
        assert ask(proxy) == (200, TEXT)
        assert time.monotonic() - begun >= 0.3


def test_status_answers_without_asking_the_server(proxy, server):
    with proxy.faults(plan(api_error(429, retry_after=2))), connect(proxy) as connection:
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Retry-After"]) == (429, "2")
        assert json.loads(answer.read())["reason"] == "TooManyRequests"
    assert server.seen == []


@pytest.mark.parametrize("size", [0, 1, 100])
def test_cut_delivers_just_so_many_bytes(proxy, size):
    with proxy.faults(plan(Cut(size))), pytest.raises(http.client.IncompleteRead) as cut:
        ask(proxy)
    assert cut.value.partial == TEXT[:size]


def test_garble_damages_in_the_same_places_for_the_same_seed(proxy):
    bodies = []
    for seed in (1, 1, 2):
        with proxy.faults(plan(Garble(seed))):
            bodies.append(ask(proxy)[1])
    assert bodies[0] == bodies[1] != bodies[2]
    assert len(bodies[0]) == len(TEXT)
    with pytest.raises(UnicodeDecodeError):
        bodies[0].decode()


def test_drop_never_answers_and_never_forwards(proxy, server):
    with proxy.faults(plan(Drop(0.2))), pytest.raises(http.client.RemoteDisconnected):
        ask(proxy, "POST", "/a", b"x")
    assert server.seen == []
    assert not proxy.recorder.writes()[0].forwarded


def test_apply_then_cut_is_applied_though_nobody_was_notified(proxy, server):
    with proxy.faults(plan(ApplyThenCut())), pytest.raises(http.client.RemoteDisconnected):
        ask(proxy, "POST", "/a", b"x")
    assert server.seen == [("POST", "/a", b"x")]
    assert proxy.recorder.writes()[0].applied


def test_cut_then_apply_comes_after_the_failure(proxy, server):
    with proxy.faults(plan(CutThenApply(0.2))), pytest.raises(http.client.RemoteDisconnected):
        ask(proxy, "POST", "/a", b"x")
    proxy.wait(proxy.recorder.writes)
    assert server.seen == [("POST", "/a", b"x")]


@pytest.mark.parametrize("act", [CutThenApply(10 * PATIENCE), Delay(10 * PATIENCE)])
def test_a_late_request_arrives_when_it_is_let_through(proxy, server, act):
    def post():
        with suppress(http.client.RemoteDisconnected):
            ask(proxy, "POST", "/a", b"x")

    asking = threading.Thread(target=post)
    with proxy.faults(plan(act)) as armed:
        asking.start()
        proxy.wait(lambda: armed.hits)
        assert server.seen == []
        proxy.let_through()
        proxy.wait(lambda: server.seen)
    asking.join()
    assert server.seen == [("POST", "/a", b"x")]


@pytest.mark.parametrize(("method", "answer"), [("GET", (200, TEXT)), ("POST", (201, b"x"))])
def test_a_late_answer_is_made_before_and_arrives_when_it_is_let_through(
    proxy, server, method, answer
):
    answers = []
    body = None if method == "GET" else b"x"
    asking = threading.Thread(target=lambda: answers.append(ask(proxy, method, "/a", body)))
    with proxy.faults(plan(LateAnswer(10 * PATIENCE))):
        asking.start()
        proxy.wait(lambda: server.seen)
        assert answers == []
        proxy.let_through()
        asking.join(PATIENCE)
    assert answers == [answer]


def test_slow_body_arrives_whole_but_late(proxy):
    with proxy.faults(plan(SlowBody(4000))):
        begun = time.monotonic()
        assert ask(proxy) == (200, TEXT)
        assert time.monotonic() - begun >= len(TEXT) / 4000 * 0.9


def test_hang_after_headers_shows_the_status_and_no_body(proxy):
    with proxy.faults(plan(HangAfterHeaders(0.2))), connect(proxy) as connection:
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert answer.status == 200
        with pytest.raises(http.client.IncompleteRead):
            answer.read()


def test_replace_body_answers_something_else_as_often_as_asked(proxy, server):
    with proxy.faults(plan(ReplaceBody("<html>", repeat=1000))), connect(proxy) as connection:
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert answer.headers["Content-Type"] == "text/html"
        assert answer.read() == b"<html>" * 1000
    assert len(server.seen) == 1


def test_stale_list_asks_the_server_for_the_past_but_not_for_later_pages(proxy, server):
    with proxy.faults(plan(StaleList("42"))):
        ask(proxy, path="/pods?limit=5&resourceVersion=0")
        ask(proxy, path="/pods?limit=5&continue=abc")
    past = "/pods?limit=5&resourceVersion=42&resourceVersionMatch=Exact"
    assert [path for _, path, _ in server.seen] == [past, "/pods?limit=5&continue=abc"]


def lines(*names):
    return [json.dumps({"object": {"metadata": {"uid": n[0]}}, "n": n}).encode() for n in names]


@pytest.mark.parametrize(
    ("act", "expected", "whole"),
    [
        (CutWatch(after_lines=2), ["a1", "b1"], False),
        (CutWatch(after_lines=0), [], False),
        (CutWatch(after_seconds=0.5), ["a1", "b1", "b2", "c1"], False),
        (EditWatch('"a1"', "drop"), ["b1", "b2", "c1"], True),
        (EditWatch('"b1"', "twice"), ["a1", "b1", "b1", "b2", "c1"], True),
        (EditWatch('"a1"', "later"), ["b1", "a1", "b2", "c1"], True),
        (EditWatch('"b1"', "later"), ["a1", "b1", "b2", "c1"], True),
        (EditWatch('"b."', "later"), ["a1", "b1", "c1", "b2"], True),
        (EditWatch('"c1"', "later"), ["a1", "b1", "b2", "c1"], True),
    ],
)
def test_a_watch_is_cut_and_edited(proxy, server, act, expected, whole):
    server.lines = lines("a1", "b1", "b2", "c1")
    if whole:
        server.over.set()
    with proxy.faults(plan(act)):
        got, ended_well = watch(proxy)
    assert [json.loads(line)["n"] for line in got] == expected
    assert ended_well is whole


def test_an_error_event_ends_the_watch(proxy, server):
    server.lines = lines("a1", "b1")
    with proxy.faults(plan(watch_error(410, after_lines=1))):
        (first, error), ended_well = watch(proxy)
    assert ended_well
    assert first == server.lines[0]
    assert json.loads(error)["object"]["reason"] == "Expired"


def test_a_garbage_line_comes_between_others(proxy, server):
    server.lines = lines("a1", "b1")
    with proxy.faults(plan(InjectLine("garbage", after_lines=1))), connect(proxy) as connection:
        connection.request("GET", "/watch?watch=true")
        answer = connection.getresponse()
        got = [answer.readline().strip() for _ in range(3)]
        answer.close()
    assert got == [server.lines[0], b"garbage", server.lines[1]]


def test_open_watches_can_be_cut_so_that_they_meet_the_plan(proxy, server):
    with connect(proxy) as connection:
        connection.request("GET", "/watch?watch=true")
        answer = connection.getresponse()
        assert proxy.cut_watches("/other") == 0
        assert proxy.cut_watches("^/watch") == 1
        with pytest.raises(http.client.IncompleteRead):
            answer.read()


def test_down_cuts_and_refuses_and_up_is_on_the_same_port(proxy):
    with connect(proxy) as connection:
        connection.request("GET", "/watch?watch=true")
        answer = connection.getresponse()
        port = proxy.port
        for _ in range(3):
            proxy.down()
            proxy.down()
            with pytest.raises(ConnectionRefusedError):
                ask(proxy)
            proxy.up()
            proxy.up()
            assert ask(proxy) == (200, TEXT)
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            answer.read()
    assert proxy.port == port


@pytest.mark.parametrize("target", ["api", "prometheus"])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_random_plan_did_everything_passes_after_it(proxy, server, target, seed):
    server.lines = lines("a1", "b1")
    with proxy.faults(Plan.random(seed, target=target, rules=8)):
        for path in ("/", "/watch?watch=true", "/") * 2:
            with suppress(OSError, http.client.HTTPException), connect(proxy, 0.2) as connection:
                connection.request("GET", path)
                connection.getresponse().read()
                connection.request("POST", path, b"x")
                connection.getresponse().read()
    assert ask(proxy) == (200, TEXT)
    proxy.wait(lambda: all(exchange.ended for exchange in proxy.log))


def test_a_server_that_is_gone_looks_like_one(proxy, server):
    server.shutdown()
    server.socket.close()
    with pytest.raises(http.client.RemoteDisconnected):
        ask(proxy)
    assert "connection lost" in proxy.log[0].fault


def test_the_log_shows_each_request_and_its_fault(proxy):
    with proxy.faults(plan(Status(503), when=First(1))), connect(proxy) as connection:
        for _ in range(2):
            connection.request("GET", "/a?b=c", headers={"User-Agent": "tester/1"})
            connection.getresponse().read()
    proxy.wait(lambda: all(exchange.ended for exchange in proxy.log))
    first, second = proxy.log
    assert (first.status, first.fault) == (503, "Status(code=503, headers=(), body='')")
    assert (second.status, second.fault, second.size) == (200, "", len(TEXT))
    assert (second.method, second.path, second.query) == ("GET", "/a", "b=c")
    assert second.user_agent == "tester/1"


def test_credentials_are_forwarded_and_not_kept(proxy):
    with connect(proxy) as connection:
        secret = {"Authorization": "Bearer hunter2"}
        connection.request("POST", "/a", b"x", headers=secret)
        connection.getresponse().read()
    assert "hunter2" not in repr(proxy.log) + repr(proxy.recorder.writes())


def test_a_posted_query_is_matched_and_is_no_write(proxy):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    with proxy.faults(plan(Status(422), query="query=up")), connect(proxy) as connection:
        connection.request("POST", "/api/v1/query", b"query=up", headers=form)
        assert connection.getresponse().status == 422
    assert proxy.recorder.writes() == []


def fail_during_faults(proxy):
    with proxy.faults(plan(Status(503))):
        ask(proxy)
        raise AssertionError("as planned")


def fail_after_faults(address):
    with FaultProxy(address) as proxy:
        with proxy.faults(plan(Status(503))):
            ask(proxy)
        raise AssertionError("as planned")


def test_a_test_that_fails_shows_the_plan_with_its_seed_and_what_it_hit(proxy):
    with pytest.raises(AssertionError) as failed:
        fail_during_faults(proxy)
    (note,) = failed.value.__notes__
    assert "seed 11" in note
    assert "rule 1 hit GET /" in note


def test_a_failure_after_the_faults_shows_the_plan_too(server):
    with pytest.raises(AssertionError) as failed:
        fail_after_faults(f"http://127.0.0.1:{server.server_port}")
    assert "seed 11" in failed.value.__notes__[0]


def test_waiting_in_vain_shows_the_last_requests(proxy):
    ask(proxy, path="/seen")
    with pytest.raises(TimeoutError, match="GET /seen: 200"):
        proxy.wait(lambda: False, seconds=0.1)

"""What an answer is, from its status, headers and bytes alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.adapters.http_proxy import HttpProxy
from penstock.adapters.prometheus_response import (
    MOST_QUOTED,
    HttpResponse,
    QueryError,
    QueryOutcome,
    Vector,
    as_matrix,
    as_vector,
    excerpt,
)
from penstock.adapters.prometheus_response import read as read_as

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ROW = {"metric": {"penstock": "0seen"}, "value": [1_795_521_600, "3"]}


def read(status: int, headers: dict[str, str], body: bytes, now: datetime) -> Vector:
    return read_as(as_vector, HttpResponse(status, headers, body), now)


def vector(*rows: object, **more: object) -> bytes:
    data = {"resultType": "vector", "result": list(rows)}
    return json.dumps({"status": "success", "data": data, **more}).encode()


def failure(status: int, body: bytes | str = b"", **headers: str) -> QueryError:
    content = body.encode() if isinstance(body, str) else body
    with pytest.raises(QueryError) as caught:
        read(status, {name.replace("_", "-"): v for name, v in headers.items()}, content, NOW)
    return caught.value


def how_it_failed(status: int, headers: dict[str, str], body: bytes) -> QueryError | None:
    try:
        read(status, headers, body, NOW)
    except QueryError as failed:
        return failed
    return None


def error(kind: str, message: str) -> str:
    return json.dumps({"status": "error", "errorType": kind, "error": message})


def test_rows_warnings_and_cost_of_a_vector():
    data = {
        "resultType": "vector",
        "result": [ROW],
        "stats": {"samples": {"totalQueryableSamples": 42}},
    }
    body = json.dumps({"status": "success", "data": data, "warnings": ["a\nb"], "infos": ["c"]})
    vector = read(200, {}, body.encode(), NOW)
    assert vector.rows == (({"penstock": "0seen"}, "3"),)
    assert vector.warnings == ("a b",)
    assert vector.samples == 42


@pytest.mark.parametrize("stats", [None, 3, {"samples": None}, {"samples": {"x": 1}}])
def test_what_it_cost_may_be_left_out(stats):
    data = {"resultType": "vector", "result": [], "stats": stats}
    body = json.dumps({"status": "success", "data": data}).encode()
    assert read(200, {}, body, NOW).samples == 0


def test_a_histogram_is_no_number_and_concerns_its_row_alone():
    histogram = {"metric": {"penstock": "0seen"}, "histogram": [1, {"count": "3"}]}
    assert read(200, {}, vector(histogram, ROW), NOW).rows[0][1] == "a histogram"


@pytest.mark.parametrize("value", [None, [], [1], [1, 2], [1, "2", 3], "2", {"1": "2"}, [1, None]])
def test_a_value_of_another_shape_is_no_number(value):
    row = {"metric": {}, "value": value}
    assert read(200, {}, vector(row), NOW).rows[0][1] == "no number"


@pytest.mark.parametrize("row", [None, 3, [], {}, {"metric": []}])
def test_a_row_without_labels_is_malformed(row):
    assert failure(200, vector(row)).outcome is QueryOutcome.MALFORMED


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, error("bad_data", "no"), QueryOutcome.REJECTED),
        (400, error("bad_data", "no"), QueryOutcome.REJECTED),
        (422, error("execution", "no"), QueryOutcome.REJECTED),
        (413, "", QueryOutcome.REJECTED),
        (400, "no", QueryOutcome.MALFORMED),
        (401, "", QueryOutcome.UNAUTHORIZED),
        (403, "", QueryOutcome.UNAUTHORIZED),
        (407, "", QueryOutcome.UNAUTHORIZED),
        (511, "", QueryOutcome.UNREACHABLE),
        (429, "", QueryOutcome.THROTTLED),
        (503, error("timeout", "no"), QueryOutcome.OVERLOADED),
        (503, error("unavailable", "no"), QueryOutcome.UNREACHABLE),
        (500, error("internal", "no"), QueryOutcome.UNREACHABLE),
        (599, "", QueryOutcome.UNREACHABLE),
        (301, "", QueryOutcome.UNREACHABLE),
        (404, "", QueryOutcome.UNREACHABLE),
        (204, "", QueryOutcome.UNREACHABLE),
        (200, "", QueryOutcome.MALFORMED),
        (200, "null", QueryOutcome.MALFORMED),
    ],
)
def test_the_outcome_by_status_and_body(status, body, outcome):
    assert failure(status, body).outcome is outcome


def test_prometheus_own_words_are_quoted_in_one_line_of_bounded_length():
    message = failure(400, error("bad_data", "a\n\x1b[31mb\u202e" + "c" * 10_000)).detail
    assert message.startswith("query rejected: a [31mb c")
    assert len(message) <= MOST_QUOTED + 30


def test_a_page_of_somebody_else_is_not_quoted():
    message = failure(200, "<html>secret</html>", Content_Type="text/html; charset=utf-8").detail
    assert message == "the answer is text/html where JSON was expected; check spec.url"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (
            200,
            "the answer is text/html where JSON was expected; check spec.url; it came through the "
            "proxy p:80",
        ),
        (
            302,
            "302 Found, through the proxy p:80: redirected; set spec.url to the final URL",
        ),
        (503, "503 Service Unavailable, through the proxy p:80"),
        (
            511,
            "511 Network Authentication Required, through the proxy p:80: the network requires a "
            "login before it lets requests through; log in there, or allow the source without one",
        ),
    ],
)
def test_what_a_proxy_may_have_answered_instead_of_the_source_names_the_proxy(status, told):
    proxy = HttpProxy("p:80", "HTTP_PROXY")
    answer = HttpResponse(status, {"Content-Type": "text/html"}, b"<html>", proxy)
    with pytest.raises(QueryError) as caught:
        read_as(as_vector, answer, NOW)
    assert caught.value.detail == told


def test_what_prometheus_itself_says_through_a_proxy_does_not_name_it():
    proxy = HttpProxy("p:80", "HTTP_PROXY")
    with pytest.raises(QueryError) as caught:
        read_as(as_vector, HttpResponse(422, {}, error("execution", "no").encode(), proxy), NOW)
    assert caught.value.detail == "query rejected: no"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 5 ", 5.0),
        ("Tue, 24 Nov 2026 12:01:00 GMT", 60.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
        ("9" * 400, 999_999_999.0),
        ("\u0663", None),
    ],
)
def test_when_to_come_back(header, seconds):
    assert failure(429, Retry_After=header).retry_after == seconds


@given(st.integers(100, 599), st.binary(max_size=200), st.text(max_size=20))
def test_no_answer_makes_it_stumble(status, body, header):
    failed = how_it_failed(status, {"Retry-After": header, "Content-Type": header}, body)
    assert failed is not None
    assert failed.detail


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(JSON, JSON, JSON, JSON)
def test_no_shape_of_json_makes_it_stumble(row, result, stats, warnings):
    for rows in (result, [row], [{"metric": row, "value": result}], [{"metric": {}, "value": row}]):
        data = {"resultType": "vector", "result": rows, "stats": stats}
        body = json.dumps({"status": "success", "data": data, "warnings": warnings}).encode()
        failed = how_it_failed(200, {}, body)
        assert failed is None or failed.outcome is QueryOutcome.MALFORMED


def test_an_excerpt_is_one_printable_line():
    assert excerpt("a \t\r\n b\0c") == "a b c"
    assert excerpt("x" * 300).endswith("...")
    assert len(excerpt("x" * 300)) == MOST_QUOTED


def answered(kind: str, result: object, **more: object) -> HttpResponse:
    data = {"resultType": kind, "result": result}
    return HttpResponse(200, {}, json.dumps({"status": "success", "data": data, **more}).encode())


def test_a_range_is_read_row_by_row_with_its_times():
    row = {"metric": {"service": "a"}, "values": [[60, "1"], [120.5, "NaN"]]}
    matrix = read_as(as_matrix, answered("matrix", [row, {"metric": {}}]), NOW)
    assert matrix.rows == (({"service": "a"}, ((60.0, "1"), (120.5, "NaN"))), ({}, ()))


@pytest.mark.parametrize(
    ("shape", "kind", "result"),
    [
        (as_matrix, "matrix", [{"metric": {}, "values": 3}]),
        (as_matrix, "matrix", [{"metric": {}, "values": [[1]]}]),
        (as_matrix, "matrix", [{"metric": {}, "values": [["1", "1"]]}]),
        (as_matrix, "matrix", [{"metric": {}, "values": [[True, "1"]]}]),
        (as_matrix, "vector", []),
        (as_vector, ["a"], []),
        (as_vector, "scalar", [1, "3"]),
    ],
)
def test_another_shape_than_was_asked_for_is_malformed(shape, kind, result):
    with pytest.raises(QueryError) as caught:
        read_as(shape, answered(kind, result), NOW)
    assert caught.value.outcome is QueryOutcome.MALFORMED


@pytest.mark.parametrize("when", ["for (time=1, step=300)", "on the time range (start=1, end=2)"])
def test_a_query_that_victoria_metrics_repeats_is_left_out_of_what_is_wrong_with_it(when):
    query = r"label_replace(sum(m{a=\"b\"}), \"x\")" + "\n" * 300
    said = f'error when executing query="{query}" {when}: unsupported function "f"'
    told = failure(422, error("422", said)).detail
    assert told == 'query rejected: unsupported function "f"'


def test_victoria_metrics_says_in_its_own_way_that_it_is_partial():
    vector = read_as(as_vector, answered("vector", [], isPartial=True), NOW)
    assert vector.warnings == ("a part of the server did not answer",)
    assert read_as(as_vector, answered("vector", [], isPartial=False), NOW).warnings == ()


def test_a_store_of_thanos_that_does_not_answer_is_no_fault_of_the_query():
    message = "expanding series: proxy Series(): rpc error: code = Aborted desc = fetch series"
    assert failure(422, error("execution", message)).outcome is QueryOutcome.PARTIAL


@pytest.mark.parametrize(("status", "too_much"), [(429, True), (503, True), (500, False)])
def test_a_server_with_too_much_to_do_says_so(status, too_much):
    assert failure(status).too_much is too_much

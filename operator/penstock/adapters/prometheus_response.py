"""Decodes answers of the Prometheus query API: their data, or how they failed.

This is pure: it takes an answer. It never quotes a body that it does not understand in what people
see (it may be anybody's page). It quotes Prometheus' own error message, redacted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, TypeVar

from penstock.adapters.http_proxy import HttpProxy, login_required
from penstock.domain.evidence import EvidenceKind

MOST_QUOTED = 256
# VictoriaMetrics repeats the whole query, of many lines, before it says what is wrong with it.
_REPEATED = re.compile(r'error when executing query=".*" (?:for|on the time range) \(.*?\): ', re.S)

Body = dict[str, Any]
_SHAPES = ("vector", "matrix", "scalar", "string")


class QueryOutcome(StrEnum):
    """How a request ended; the values of a metric's label."""

    ANSWERED = "answered"
    PARTIAL = "partial"
    REJECTED = "rejected"
    UNAUTHORIZED = "unauthorized"
    THROTTLED = "throttled"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    MALFORMED = "malformed"
    SKEWED = "skewed"


_KINDS = {
    QueryOutcome.PARTIAL: EvidenceKind.PARTIAL,
    QueryOutcome.REJECTED: EvidenceKind.REJECTED,
    QueryOutcome.UNAUTHORIZED: EvidenceKind.UNAUTHORIZED,
    QueryOutcome.MALFORMED: EvidenceKind.MALFORMED,
    QueryOutcome.SKEWED: EvidenceKind.CLOCK_SKEW,
}
# Failures of a network or a restart, which may not affect the next request.
_PASSING = frozenset({QueryOutcome.UNREACHABLE, QueryOutcome.MALFORMED})


class QueryError(Exception):
    """A request that was not answered with data.

    Attributes:
        outcome: how it ended.
        detail: what people read.
        retry_after: seconds for which the server asked us to wait.
        too_much: the server reports overload.
    """

    def __init__(
        self,
        outcome: QueryOutcome,
        detail: str,
        retry_after: float | None = None,
        *,
        too_much: bool = False,
    ) -> None:
        super().__init__(detail)
        self.outcome, self.detail, self.retry_after = outcome, detail, retry_after
        self.too_much = too_much

    @property
    def kind(self) -> EvidenceKind:
        """The failure as evidence."""
        return _KINDS.get(self.outcome, EvidenceKind.UNREACHABLE)

    @property
    def is_passing(self) -> bool:
        """Whether one more request right away may help."""
        return self.outcome in _PASSING and self.retry_after is None


class CircuitOpen(QueryError):
    """No request was sent, because the circuit breaker is open, for this reason."""

    def __init__(self, reason: QueryError) -> None:
        super().__init__(reason.outcome, reason.detail, reason.retry_after)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response, and the proxy that may have written it instead of the source."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    proxy: HttpProxy | None = None


@dataclass(frozen=True, slots=True)
class Vector:
    """The rows of an instant query (labels, number as text), warnings, and what it cost."""

    rows: tuple[tuple[Mapping[str, str], str], ...]
    warnings: tuple[str, ...] = ()
    samples: int = 0


@dataclass(frozen=True, slots=True)
class Matrix:
    """The rows of a range query (labels, then seconds and number as text), warnings, its cost."""

    rows: tuple[tuple[Mapping[str, str], tuple[tuple[float, str], ...]], ...]
    warnings: tuple[str, ...] = ()
    samples: int = 0


T = TypeVar("T", Vector, Matrix)


def read(
    shape: Callable[[Body], T],
    response: HttpResponse,
    now: datetime,
    hide: Callable[[str], str] = str,
) -> T:
    """The data in a response, in the expected shape.

    Args:
        shape: ``as_vector`` or ``as_matrix``.
        response: the response.
        now: wall time, for dates in headers.
        hide: redacts a text.

    Raises:
        QueryError: there is none.
    """
    body = _decoded(response.body)
    if response.status == HTTPStatus.OK and body is not None and body.get("status") == "success":
        found = shape(body)
        told = tuple(excerpt(hide(warning)) for warning in found.warnings)
        return replace(found, warnings=told)
    raise _failure(response, body, now, hide)


def as_vector(body: Body) -> Vector:
    """The data of an instant query."""
    data, rows = _data(body, "vector")
    return Vector(tuple([_row(row) for row in rows]), _warnings(body), _samples(data))


def as_matrix(body: Body) -> Matrix:
    """The data of a range query."""
    data, rows = _data(body, "matrix")
    return Matrix(tuple(_line(row) for row in rows), _warnings(body), _samples(data))


def excerpt(text: str, longest: int = MOST_QUOTED) -> str:
    """One printable line of bounded length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * longest]).split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def _failure(
    response: HttpResponse, body: Body | None, now: datetime, hide: Callable[[str], str]
) -> QueryError:
    status, headers = response.status, response.headers
    said = body is not None and body.get("status") == "error"
    told = hide(str((body or {}).get("error") or "no reason given"))
    message = excerpt(_REPEATED.sub("", told))
    wait = _retry_after(headers.get("Retry-After"), now)
    proxy = None if said else response.proxy
    phrase = _phrase(status) + (f", through {proxy}" if proxy else "")
    match status:
        case 200 if not said:
            told = _not_prometheus(headers, body, hide)
            return QueryError(
                QueryOutcome.MALFORMED, f"{told}; it came through {proxy}" if proxy else told
            )
        case 407:
            return QueryError(QueryOutcome.UNAUTHORIZED, login_required(_phrase(status), proxy))
        case 511:
            return QueryError(
                QueryOutcome.UNREACHABLE,
                f"{phrase}: the network requires a login before it lets requests through; log in "
                "there, or allow the source without one",
            )
        case 422 if said and message.startswith("expanding series"):
            # Thanos says so when a store does not answer; nothing is wrong with the query.
            return QueryError(QueryOutcome.PARTIAL, f"a part of its data cannot be read: {message}")
        case 200 | 400 | 422 if said:
            return QueryError(QueryOutcome.REJECTED, f"query rejected: {message}")
        case 413:
            return QueryError(QueryOutcome.REJECTED, f"query rejected: {phrase}")
        case 401 | 403:
            return QueryError(
                QueryOutcome.UNAUTHORIZED,
                f"{phrase}: access denied; check spec.auth, and spec.headers if it needs a tenant",
            )
        case 429:
            return QueryError(QueryOutcome.THROTTLED, _later(phrase, wait), wait, too_much=True)
        case 503 | 504 if said and (body or {}).get("errorType") == "timeout":
            return QueryError(QueryOutcome.OVERLOADED, f"{phrase}: {message}", wait, too_much=True)
        case _ if status >= 500:
            too_much = status == HTTPStatus.SERVICE_UNAVAILABLE
            return QueryError(
                QueryOutcome.UNREACHABLE, _later(phrase, wait), wait, too_much=too_much
            )
        case _ if 300 <= status < 400:
            return QueryError(
                QueryOutcome.UNREACHABLE,
                f"{phrase}: redirected; set spec.url to the final URL",
            )
        case 400 | 422:
            return QueryError(
                QueryOutcome.MALFORMED, f"{phrase}, but not a Prometheus response; check spec.url"
            )
    return QueryError(QueryOutcome.UNREACHABLE, f"{phrase}; check the path in spec.url")


def _decoded(content: bytes) -> Body | None:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _data(body: Body, kind: str) -> tuple[Body, list[Any]]:
    data = body.get("data")
    if not isinstance(data, dict):
        raise QueryError(QueryOutcome.MALFORMED, "the answer has no data")
    result = data.get("result")
    if data.get("resultType") != kind or not isinstance(result, list):
        told = data.get("resultType")
        told = f"a {told}" if told in _SHAPES else "something else"
        raise QueryError(
            QueryOutcome.MALFORMED, f"the answer is {told} where a {kind} was asked for"
        )
    return data, result


def _labels(row: object) -> dict[str, str]:
    labels = row.get("metric") if type(row) is dict else None
    if type(labels) is not dict:
        raise QueryError(QueryOutcome.MALFORMED, "a row of the answer has no labels")
    try:
        "".join(labels.values())  # detects what is not text ten times as fast as a check of each
    except TypeError:
        return {name: str(one) for name, one in labels.items()}
    return labels


def _row(row: Any) -> tuple[dict[str, str], str]:
    labels = _labels(row)
    value = row.get("value")
    if type(value) is list and len(value) == 2 and type(value[1]) is str:
        return labels, value[1]
    return labels, "a histogram" if "histogram" in row else "no number"


def _line(row: Any) -> tuple[dict[str, str], tuple[tuple[float, str], ...]]:
    labels, values = _labels(row), row.get("values") or []
    if not isinstance(values, list):
        raise QueryError(QueryOutcome.MALFORMED, "a row of the answer has no numbers")
    return labels, tuple(_point(one) for one in values)


def _point(pair: object) -> tuple[float, str]:
    if not isinstance(pair, list) or len(pair) != 2:
        raise QueryError(QueryOutcome.MALFORMED, "a number of the answer has no time")
    at, text = pair
    if isinstance(at, bool) or not isinstance(at, int | float) or not isinstance(text, str):
        raise QueryError(QueryOutcome.MALFORMED, "a number of the answer has no time")
    return float(at), text


def _warnings(body: Body) -> tuple[str, ...]:
    """``infos`` are not warnings: they say that a metric might not be a counter, and the like.

    VictoriaMetrics has a field of its own that says that parts of it did not answer.
    """
    warnings = body.get("warnings") or []
    if not isinstance(warnings, list):
        raise QueryError(QueryOutcome.MALFORMED, "the warnings in the answer are not a list")
    partial = ("a part of the server did not answer",) if body.get("isPartial") is True else ()
    return (*partial, *(str(warning) for warning in warnings))


def _samples(data: Body) -> int:
    stats = data.get("stats")
    samples = stats.get("samples") if isinstance(stats, dict) else None
    count = samples.get("totalQueryableSamples") if isinstance(samples, dict) else None
    return count if isinstance(count, int) and count > 0 else 0


def _not_prometheus(
    headers: Mapping[str, str], body: Body | None, hide: Callable[[str], str]
) -> str:
    if body is not None:
        return "the answer is JSON, but none of Prometheus; check spec.url"
    kind = excerpt(hide(headers.get("Content-Type", "").partition(";")[0]), 64)
    if kind == "application/json":
        return "the answer is damaged: it says that it is JSON and is not"
    return f"the answer is {kind or 'of no type'} where JSON was expected; check spec.url"


def _later(phrase: str, wait: float | None) -> str:
    return phrase if wait is None else f"{phrase}: come back in {wait:.0f} s"


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"status {status}"


def _retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds, or a date; never negative."""
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text.strip()[:9])
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())

"""Reads what a server of the Prometheus query API answers: a vector, or how it failed.

Pure: status, headers and bytes in. A body that is not understood is never quoted in what people see
(it may be anybody's page); Prometheus' own error message is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from penstock.domain.evidence import Kind

MOST_QUOTED = 256
MOST_TOLD = 3


class Outcome(StrEnum):
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


_KINDS = {
    Outcome.PARTIAL: Kind.PARTIAL,
    Outcome.REJECTED: Kind.REJECTED,
    Outcome.UNAUTHORIZED: Kind.UNAUTHORIZED,
    Outcome.MALFORMED: Kind.MALFORMED,
}
# What a network or a restart does to a single request, and the next one may be spared.
_PASSING = frozenset({Outcome.UNREACHABLE, Outcome.MALFORMED})


class Failed(Exception):
    """A request that was not answered by a vector.

    Attributes:
        outcome: how it ended.
        detail: what people are told.
        retry_after: seconds that the server asked us to stay away.
    """

    def __init__(self, outcome: Outcome, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.outcome, self.detail, self.retry_after = outcome, detail, retry_after

    @property
    def kind(self) -> Kind:
        """What it is as evidence."""
        return _KINDS.get(self.outcome, Kind.UNREACHABLE)

    @property
    def is_passing(self) -> bool:
        """Whether asking once more right away may help."""
        return self.outcome in _PASSING and self.retry_after is None


class NotAsked(Failed):
    """No request was made: the source has been given up for a while, for this reason."""

    def __init__(self, reason: Failed) -> None:
        super().__init__(reason.outcome, reason.detail, reason.retry_after)


@dataclass(frozen=True, slots=True)
class Vector:
    """The rows of an instant query (labels, number as text), warnings, and what it cost."""

    rows: tuple[tuple[Mapping[str, str], str], ...]
    warnings: tuple[str, ...] = ()
    samples: int = 0


def read(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Vector:
    """The vector in an answer.

    Raises:
        Failed: there is none.
    """
    answer = _decoded(body)
    if status == HTTPStatus.OK and answer is not None and answer.get("status") == "success":
        return _vector(answer)
    raise _failure(status, headers, answer, now)


def excerpt(text: str, longest: int = MOST_QUOTED) -> str:
    """One printable line of bounded length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * longest]).split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def _failure(
    status: int, headers: Mapping[str, str], answer: dict[str, Any] | None, now: datetime
) -> Failed:
    said = answer is not None and answer.get("status") == "error"
    message = excerpt(str((answer or {}).get("error") or "no reason given"))
    wait = _retry_after(headers.get("Retry-After"), now)
    phrase = _phrase(status)
    match status:
        case 200 if not said:
            return Failed(Outcome.MALFORMED, _not_prometheus(headers, answer))
        case 200 | 400 | 422 if said:
            return Failed(Outcome.REJECTED, f"the query is refused: {message}")
        case 413:
            return Failed(Outcome.REJECTED, f"the query is refused: {phrase}")
        case 401 | 403 | 407:
            return Failed(Outcome.UNAUTHORIZED, f"{phrase}: the source does not let us read")
        case 429:
            return Failed(Outcome.THROTTLED, _later(phrase, wait), wait)
        case 503 | 504 if said and (answer or {}).get("errorType") == "timeout":
            return Failed(Outcome.OVERLOADED, f"{phrase}: {message}", wait)
        case _ if status >= 500:
            return Failed(Outcome.UNREACHABLE, _later(phrase, wait), wait)
        case _ if 300 <= status < 400:
            return Failed(
                Outcome.UNREACHABLE,
                f"{phrase}: it sends us elsewhere; write the final address in spec.url",
            )
        case 400 | 422:
            return Failed(
                Outcome.MALFORMED, f"{phrase}, but not as Prometheus says it; check spec.url"
            )
    return Failed(Outcome.UNREACHABLE, f"{phrase}; check the path in spec.url")


def _decoded(body: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _vector(answer: dict[str, Any]) -> Vector:
    data = answer.get("data")
    if not isinstance(data, dict):
        raise Failed(Outcome.MALFORMED, "the answer has no data")
    kind, rows = data.get("resultType"), data.get("result")
    if kind != "vector" or not isinstance(rows, list):
        told = excerpt(str(kind), 32)
        raise Failed(Outcome.MALFORMED, f"the answer is a {told} where a vector was asked for")
    return Vector(tuple(_row(row) for row in rows), _warnings(answer), _samples(data))


def _row(row: object) -> tuple[dict[str, str], str]:
    if not isinstance(row, dict) or not isinstance(row.get("metric"), dict):
        raise Failed(Outcome.MALFORMED, "a row of the answer has no labels")
    labels = {str(name): str(value) for name, value in row["metric"].items()}
    value = row.get("value")
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], str):
        return labels, value[1]
    return labels, "a histogram" if "histogram" in row else "no number"


def _warnings(answer: dict[str, Any]) -> tuple[str, ...]:
    """``infos`` are no warnings: they say that a metric might not be a counter, and the like."""
    warnings = answer.get("warnings") or []
    if not isinstance(warnings, list):
        raise Failed(Outcome.MALFORMED, "the warnings in the answer are no list")
    return tuple(excerpt(str(warning)) for warning in warnings)


def _samples(data: dict[str, Any]) -> int:
    stats = data.get("stats")
    samples = stats.get("samples") if isinstance(stats, dict) else None
    count = samples.get("totalQueryableSamples") if isinstance(samples, dict) else None
    return count if isinstance(count, int) and count > 0 else 0


def _not_prometheus(headers: Mapping[str, str], answer: object) -> str:
    if answer is not None:
        return "the answer is JSON, but none of Prometheus; check spec.url"
    kind = excerpt(headers.get("Content-Type", "").partition(";")[0], 64)
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

"""What the fault proxy can do to one request: the vocabulary of fault plans.

Owns the acts as plain values and the answers a server gives when it fails. It carries nothing out:
`spoil.py` alters bodies, `relay.py` does the rest. Every act is bounded in time, because a test
that waits for ever tells nobody what broke.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

LONGEST_HANG = 60.0

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass(frozen=True)
class Delay:
    """Forward the request later: after so long, or when the proxy is asked to let it through."""

    seconds: float


@dataclass(frozen=True)
class Status:
    """Answer with this status instead of forwarding."""

    code: int
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""


@dataclass(frozen=True)
class Drop:
    """Accept the request, do not answer it, close the connection in the end; 0 closes at once."""

    seconds: float = LONGEST_HANG


@dataclass(frozen=True)
class ApplyThenCut:
    """Forward the request, throw its answer away, close the connection: applied, untold."""


@dataclass(frozen=True)
class CutThenApply:
    """Close the connection at once and forward the request later: the failure was none.

    After so long, or when the proxy is asked to let it through.
    """

    seconds: float


@dataclass(frozen=True)
class LateAnswer:
    """Forward the request at once and keep its answer: for so long, or until it is let through."""

    seconds: float


@dataclass(frozen=True)
class StaleList:
    """Answer a LIST as of an older resource version, as a member that lags behind would."""

    resource_version: str


@dataclass(frozen=True)
class Cut:
    """Close the connection after this many bytes of the answer's body."""

    after_bytes: int


@dataclass(frozen=True)
class Garble:
    """Replace bytes of the body by ones that no text contains: damage is never taken for data."""

    seed: int = 0


@dataclass(frozen=True)
class SlowBody:
    """Pass the body on at this speed."""

    bytes_per_second: int


@dataclass(frozen=True)
class HangAfterHeaders:
    """Pass status and headers on, then nothing, and close the connection in the end."""

    seconds: float = LONGEST_HANG


@dataclass(frozen=True)
class ReplaceBody:
    """Forward the request, then answer another body, `repeat` times over, with the true status."""

    body: str
    content_type: str = "text/html"
    repeat: int = 1


@dataclass(frozen=True)
class CutWatch:
    """Close a watch after some lines or some seconds, whichever comes first."""

    after_lines: int | None = None
    after_seconds: float | None = None


@dataclass(frozen=True)
class InjectLine:
    """Put a line into a watch after `after_lines` real ones; `end` ends the stream behind it."""

    line: str
    after_lines: int = 0
    end: bool = False


@dataclass(frozen=True)
class EditWatch:
    """Drop the matching lines of a watch, send them twice, or later than another object's line.

    Lines of one object keep their order, because no API server ever breaks that promise.
    """

    pattern: str
    how: Literal["drop", "twice", "later"]


WatchAct = CutWatch | InjectLine | EditWatch
BodyAct = Cut | Garble | SlowBody | HangAfterHeaders | ReplaceBody | WatchAct
Act = Delay | Status | Drop | ApplyThenCut | CutThenApply | LateAnswer | StaleList | BodyAct


def api_error(code: int, message: str = "injected fault", retry_after: int | None = None) -> Status:
    """An error answer as the API server words it."""
    headers = [("Content-Type", "application/json")]
    if retry_after is not None:
        headers.append(("Retry-After", str(retry_after)))
    return Status(code, tuple(headers), json.dumps(_failure(code, message)))


def prometheus_error(code: int, kind: str, message: str = "injected fault") -> Status:
    """An error answer as Prometheus words it; `kind` is its errorType, for example "bad_data"."""
    body = {"status": "error", "errorType": kind, "error": message}
    return Status(code, (("Content-Type", "application/json"),), json.dumps(body))


def watch_error(code: int, message: str = "injected fault", after_lines: int = 0) -> InjectLine:
    """An ERROR event inside a watch, after which the API server ends the stream."""
    event = {"type": "ERROR", "object": _failure(code, message)}
    return InjectLine(json.dumps(event), after_lines, end=True)


def _failure(code: int, message: str) -> dict[str, object]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": _REASONS.get(code, ""),
        "code": code,
    }

"""A record of every write that passed through the fault proxy, with what became of it.

Owns the reading of a Kubernetes write out of its HTTP request, and the questions that invariants
ask of the record. It refuses to keep bodies of Secrets and tokens: a record is printed when a test
fails.

A write whose answer was lost is kept with what the server answered, because the invariants are
about what was done, not about what the client learned.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, unquote

import yaml

FORM = "application/x-www-form-urlencoded"
REDACTED = "redacted"
HOLD_MANAGER = "penstock-hold-"

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_SECRET_RESOURCES = frozenset({"secrets"})
_SECRET_KINDS = frozenset({"Secret", "TokenReview", "TokenRequest", "SecretList"})


@dataclass(frozen=True)
class Attempt:
    """One request that may change something, and its answer as far as it came."""

    at: datetime
    method: str
    path: str
    query: str
    content_type: str
    user_agent: str
    body: bytes
    forwarded: bool
    code: int | None = None
    answer: bytes = b""
    fault: str = ""


@dataclass(frozen=True)
class Write:
    """One write in the API server's own terms."""

    at: datetime
    verb: str
    group: str
    version: str
    resource: str
    subresource: str
    namespace: str
    name: str
    kind: str
    manager: str
    forced: bool
    content_type: str
    body: Any
    dry_run: bool
    forwarded: bool
    code: int | None
    resource_version: str
    uid: str
    fault: str

    @property
    def applied(self) -> bool | None:
        """Whether the server did it; None when its answer never came."""
        if not self.forwarded or self.dry_run:
            return False
        return None if self.code is None else 200 <= self.code < 300

    def describe(self) -> str:
        """One line for a report."""
        where = "/".join(part for part in (self.namespace, self.name) if part)
        what = "/".join(part for part in (self.resource, self.subresource) if part)
        outcome = self.code if self.forwarded else f"not forwarded, {self.code or 'no answer'}"
        return f"{self.at:%H:%M:%S.%f} {self.verb} {what} {where} by {self.manager}: {outcome}"


class Recorder:
    """Collects writes from any thread; every question is answered from a copy of the moment."""

    def __init__(self) -> None:
        self._writes: list[Write] = []
        self._lock = threading.Lock()

    def record(self, attempt: Attempt) -> None:
        """Keep the attempt, if it is one to write."""
        if may_write(attempt.method, attempt.content_type):
            write = read_write(attempt)
            with self._lock:
                self._writes.append(write)

    def writes(
        self,
        *,
        kind: str | None = None,
        resource: str | None = None,
        name: str | None = None,
        namespace: str | None = None,
        verb: str | None = None,
        manager: str | None = None,
        since: datetime | None = None,
    ) -> list[Write]:
        """What was written, in order of arrival; only what all given conditions hold for."""
        wanted = {
            "kind": kind,
            "resource": resource,
            "name": name,
            "namespace": namespace,
            "verb": verb,
            "manager": manager,
        }
        conditions = {key: value for key, value in wanted.items() if value is not None}
        with self._lock:
            writes = list(self._writes)
        return [
            write
            for write in writes
            if (since is None or write.at >= since)
            and all(getattr(write, key) == value for key, value in conditions.items())
        ]

    def holds(self, since: datetime | None = None) -> list[Write]:
        """Writes that hold or release a workload: each Rollout's hold has a manager of its own."""
        return [
            write for write in self.writes(since=since) if write.manager.startswith(HOLD_MANAGER)
        ]

    def count(self, by: Callable[[Write], str] = lambda write: write.kind) -> Counter[str]:
        """How many writes there were of each kind, or of whatever `by` says."""
        return Counter(by(write) for write in self.writes())

    def clear(self) -> None:
        """Forget what came before."""
        with self._lock:
            self._writes.clear()

    def describe(self) -> str:
        """One line for each write."""
        return "\n".join(write.describe() for write in self.writes())


def may_write(method: str, content_type: str) -> bool:
    """Forms are long queries that are posted to Prometheus; the API server takes none."""
    return method not in _READING and content_type != FORM


def read_write(attempt: Attempt) -> Write:
    """The write that a request asks for; parts that it does not tell are empty."""
    target = _Target.of_path(attempt.path)
    body = _parse(attempt.body, attempt.content_type)
    answer = _parse(attempt.answer, "application/json")
    accepted = answer if attempt.code is not None and attempt.code < 300 else None
    kind = _text(body, "kind") or _text(accepted, "kind")
    options = parse_qs(attempt.query)
    whole_list = attempt.method == "DELETE" and not target.name
    return Write(
        at=attempt.at,
        verb="deletecollection" if whole_list else _VERBS.get(attempt.method, attempt.method),
        group=target.group,
        version=target.version,
        resource=target.resource,
        subresource=target.subresource,
        namespace=target.namespace,
        name=target.name or _text(accepted, "metadata", "name") or _text(body, "metadata", "name"),
        kind="" if kind in {"Status", "DeleteOptions"} else kind,
        manager=_manager(options, attempt.user_agent),
        forced=options.get("force") == ["true"],
        content_type=attempt.content_type,
        body=REDACTED if _is_secret(target, kind) else body,
        dry_run="dryRun" in options,
        forwarded=attempt.forwarded,
        code=attempt.code,
        resource_version=_text(accepted, "metadata", "resourceVersion"),
        uid=_text(accepted, "metadata", "uid"),
        fault=attempt.fault,
    )


@dataclass(frozen=True)
class _Target:
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""

    @classmethod
    def of_path(cls, path: str) -> _Target:
        """Read /api/v1/... and /apis/group/version/...; anything else names no resource."""
        root, *parts = [unquote(part) for part in path.strip("/").split("/")]
        group = parts.pop(0) if root == "apis" and parts else ""
        if root not in {"api", "apis"} or len(parts) < 2:
            return cls()
        version, *rest = parts
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in {"status", "finalize"}:
            namespace, rest = rest[1], rest[2:]
        resource, name, subresource = (*rest, "", "")[:3]
        return cls(group, version, namespace, resource, name, subresource)


def _manager(options: dict[str, list[str]], user_agent: str) -> str:
    """The field manager as the server names it: without one, the user agent up to its slash."""
    return options.get("fieldManager", [user_agent.split("/")[0]])[0]


def _is_secret(target: _Target, kind: str) -> bool:
    return (
        (target.group == "" and target.resource in _SECRET_RESOURCES)
        or target.subresource == "token"
        or target.resource == "tokenreviews"
        or kind in _SECRET_KINDS
    )


def _parse(body: bytes, content_type: str) -> Any:
    if not body or "protobuf" in content_type:
        return None
    try:
        return yaml.safe_load(body) if "yaml" in content_type else json.loads(body)
    except (ValueError, yaml.YAMLError):
        return None


def _text(body: Any, *path: str) -> str:
    for key in path:
        body = body.get(key) if isinstance(body, dict) else None
    return body if isinstance(body, str) else ""

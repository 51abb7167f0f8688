"""Reads the API server's audit log: who asked for what, and which rule allowed it.

Owns the reading and the comparison of what was used with what a role grants: the two questions of
least privilege, "was anything refused?" and "is any permission dead?". It never changes a role, and
it never sees a body: the test bed's audit policy records metadata only.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

Rules = Sequence[Mapping[str, Sequence[str]]]

_REASON = re.compile(r'allowed by (\w+) "([^"]+)" of (\w+) "([^"]+)"')
_PATIENCE = 15.0


@dataclass(frozen=True)
class AuditEntry:
    """One request; `resource` is empty for paths that are none, such as /version."""

    id: str
    at: datetime
    user: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    path: str
    decision: str
    reason: str
    code: int | None

    @property
    def is_forbidden(self) -> bool:
        """Whether the authorizer refused it, which a 403 by admission does not mean."""
        return self.decision == "forbid"

    @property
    def granted_by(self) -> tuple[str, str] | None:
        """Kind and name of the role that allowed it."""
        found = _REASON.search(self.reason)
        return (found[3], found[4]) if found else None

    def describe(self) -> str:
        """One line for a report."""
        what = "/".join(part for part in (self.resource, self.subresource) if part)
        where = "/".join(part for part in (self.namespace, self.name) if part)
        asked = f"{self.verb} {what}.{self.group} {where}" if what else f"{self.verb} {self.path}"
        return f"{self.user} {asked}: {self.decision} {self.code or ''} {self.reason}"


@dataclass(frozen=True, order=True)
class Permission:
    """The smallest part of a rule: one verb on one resource, or on one path that is none."""

    group: str
    resource: str
    verb: str
    name: str = ""
    path: str = ""

    def covers(self, entry: AuditEntry) -> bool:
        """Whether RBAC would allow the request for this alone."""
        if self.verb not in {"*", entry.verb}:
            return False
        if self.path:
            return not entry.resource and _path_covers(self.path, entry.path)
        return (
            bool(entry.resource)
            and self.group in {"*", entry.group}
            and _resource_covers(self.resource, entry)
            and self.name in {"", entry.name}
        )


def read(log: Path, mention: str = "") -> list[AuditEntry]:
    """All requests in order, once each, with the last that is known of them.

    With a `mention` only those whose line contains it: a whole test run fills a log of which one
    test needs a hundredth.

    A watch is logged when it begins and again when it ends. The last line may still be half
    written, and is left for the next time.
    """
    text = log.read_bytes() if log.exists() else b""
    objects: dict[str, AuditEntry] = {}
    for line in text[: text.rfind(b"\n") + 1].splitlines():
        if line.strip() and mention.encode() in line:
            obj = _entry(json.loads(line))
            objects[obj.id] = obj
    return list(objects.values())


def wait_for(
    log: Path,
    condition: Callable[[list[AuditEntry]], bool],
    seconds: float = _PATIENCE,
    mention: str = "",
) -> list[AuditEntry]:
    """Read until the condition holds: a request is logged shortly after its answer."""
    end = time.monotonic() + seconds
    while not condition(objects := read(log, mention)):
        if time.monotonic() > end:
            recent = "\n".join(obj.describe() for obj in objects[-20:])
            raise TimeoutError(f"not in {log} after {seconds:g} s; the last entries:\n{recent}")
        time.sleep(0.05)
    return objects


def of_user(objects: Iterable[AuditEntry], user: str) -> list[AuditEntry]:
    """What one user asked for."""
    return [obj for obj in objects if obj.user == user]


def forbidden(objects: Iterable[AuditEntry]) -> list[AuditEntry]:
    """Requests that no rule allowed."""
    return [obj for obj in objects if obj.is_forbidden]


def used_permissions(objects: Iterable[AuditEntry]) -> set[Permission]:
    """What was asked for and allowed, in the words of rules; object names are left out."""
    return {
        Permission("", "", obj.verb, path=_without_query(obj.path))
        if not obj.resource
        else Permission(obj.group, _with_subresource(obj), obj.verb)
        for obj in objects
        if not obj.is_forbidden
    }


def permissions(rules: Rules) -> list[Permission]:
    """The rules of a role, taken apart."""
    parts = [
        Permission(group, resource, verb, name)
        for rule in rules
        for group in rule.get("apiGroups", ())
        for resource in rule.get("resources", ())
        for verb in rule.get("verbs", ())
        for name in rule.get("resourceNames") or ("",)
    ]
    paths = [
        Permission("", "", verb, path=path)
        for rule in rules
        for path in rule.get("nonResourceURLs", ())
        for verb in rule.get("verbs", ())
    ]
    return parts + paths


def unused(rules: Rules, objects: Collection[AuditEntry]) -> list[Permission]:
    """Parts of the rules that no allowed request needed: candidates for removal."""
    allowed = [obj for obj in objects if not obj.is_forbidden]
    return [part for part in permissions(rules) if not any(map(part.covers, allowed))]


def uncovered(rules: Rules, objects: Iterable[AuditEntry]) -> list[AuditEntry]:
    """Requests that these rules do not allow, whether refused or allowed by some other role."""
    parts = permissions(rules)
    return [obj for obj in objects if not any(part.covers(obj) for part in parts)]


def _entry(event: Mapping[str, Any]) -> AuditEntry:
    target = event.get("objectRef") or {}
    notes = event.get("annotations") or {}
    return AuditEntry(
        id=event["auditID"],
        at=datetime.fromisoformat(event["requestReceivedTimestamp"]),
        user=(event.get("impersonatedUser") or event["user"])["username"],
        verb=event["verb"],
        group=target.get("apiGroup", ""),
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        path=event["requestURI"],
        decision=notes.get("authorization.k8s.io/decision", ""),
        reason=notes.get("authorization.k8s.io/reason", ""),
        code=(event.get("responseStatus") or {}).get("code"),
    )


def _with_subresource(obj: AuditEntry) -> str:
    return f"{obj.resource}/{obj.subresource}" if obj.subresource else obj.resource


def _resource_covers(resource: str, obj: AuditEntry) -> bool:
    if resource in {"*", _with_subresource(obj)}:
        return True
    return bool(obj.subresource) and resource == f"*/{obj.subresource}"


def _path_covers(pattern: str, path: str) -> bool:
    path = _without_query(path)
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


def _without_query(path: str) -> str:
    return path.split("?")[0]

"""The two judges of a manifest, the real API server and the parser, and what they say of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.api import parse
from penstock.api.gate_record import GateRecord
from penstock.api.kinds import GROUP, KINDS, VERSION
from penstock.errors import SpecInvalid
from testbed.api import ApiError, Kube

PLURALS = {frame.kind: frame.plural for frame in KINDS}
CLUSTER_WIDE = frozenset(frame.kind for frame in KINDS if not frame.namespaced)
INVALID = frozenset({400, 422})

# The server's remark that CEL rules were skipped because the schema already refuses the object.
_REMARK = "<nil>"


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong, as ``spec.slos[0].name`` and a sentence."""

    at: str
    message: str


def path_of(body: Mapping[str, Any], *, group: str = GROUP, version: str = VERSION) -> str:
    """The collection that an object of ours is posted to; nothing is stored, so all share one."""
    kind = str(body["kind"])
    within = "" if kind in CLUSTER_WIDE else "namespaces/default/"
    return f"/apis/{group}/{version}/{within}{PLURALS[kind]}"


def server_says(admin: Kube, path: str, body: Mapping[str, Any]) -> tuple[Problem, ...]:
    """What the API server would say to this object, strictly; nothing is stored."""
    try:
        admin.call("POST", f"{path}?dryRun=All&fieldValidation=Strict", body)
    except ApiError as error:
        if error.code not in INVALID:
            raise
        return problems_in(error)
    return ()


def problems_in(error: ApiError) -> tuple[Problem, ...]:
    """The problems that a refusal lists, in order of their fields."""
    unknown = re.findall(r'unknown field "([^"]+)"', error.message)
    if unknown:
        return tuple(Problem(_dotted(at), f'unknown field "{at}"') for at in sorted(unknown))
    found = [
        Problem(_dotted(cause["field"]), cause["message"])
        for cause in error.causes
        if cause.get("field") != _REMARK
    ]
    return tuple(sorted(found)) or (Problem("", error.message),)


def _dotted(field: str) -> str:
    """CEL names a map's entry ``matchLabels[service]``, the schema ``matchLabels.service``."""
    return re.sub(r"\[([^\]]*[^\]\d][^\]]*)\]", r".\1", field)


def parser_says(body: Mapping[str, Any]) -> Problem | None:
    """What the parser says to this object, as strictly; it may raise nothing."""
    try:
        PARSERS[str(body["kind"])](body)
    except SpecInvalid as error:
        return Problem(error.path, error.problem)
    return None


# Nobody but us writes a GateRecord, so it has a model and no value in the core.
PARSERS: dict[str, Callable[[Mapping[str, Any]], object]] = {
    "SLO": lambda body: parse.parse_slo(body, unknown="forbid"),
    "Rollout": lambda body: parse.parse_rollout(body, unknown="forbid"),
    "MetricsSource": lambda body: parse.parse_metrics_source(body, unknown="forbid"),
    "ClusterMetricsSource": lambda body: parse.parse_cluster_metrics_source(body, unknown="forbid"),
    "GateRecord": lambda body: parse.validated(GateRecord, body, "forbid"),
}


def is_within(at: str, path: str) -> bool:
    """Whether one field is the other or a part of it; what is no object has no parts to name."""
    return at == path or at.startswith((f"{path}.", f"{path}["))

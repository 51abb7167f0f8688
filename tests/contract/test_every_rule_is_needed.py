"""Each CEL rule and each bound is deleted in turn, and at least one wrong manifest then passes or
is answered differently. What nothing needs would only make people read it. A commit draws a third
of them, a full run deletes all.

The schemas that lack one demand are versions of definitions in groups of their own: many in one
definition, so that the API server takes in 300 schemas in seconds, and none of them disturbs ours.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from penstock.api.kinds import KINDS, KindSpec
from support import draws
from support.manifests import right, wrong
from support.schema_rules import SchemaRule, bare_schema, concerns, schema_rules
from support.validators import CLUSTER_WIDE, Problem, path_of, problems_in, server_says
from testbed.api import ApiError, Kube

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
COMPLETE = "v0"
MOST_AT_ONCE = 25
PATIENCE = 60.0
Body = dict[str, Any]


@pytest.mark.parametrize("frame", KINDS, ids=lambda frame: frame.kind)
def test_without_any_one_demand_a_wrong_manifest_is_answered_differently(
    frame: KindSpec, admin: Kube
) -> None:
    ours = drawn([demand for demand in schema_rules() if demand.frame is frame])
    needless: list[str] = []
    for start in range(0, len(ours), MOST_AT_ONCE):
        group = f"lacking-{start}.penstock.test"
        with served(admin, frame, group, ours[start : start + MOST_AT_ONCE]) as versions:
            needless += [
                str(demand)
                for version, demand in versions.items()
                if not is_needed(admin, group, version, demand)
            ]
    assert not needless, "\n".join(["no wrong manifest needs:", *needless])


def drawn(ours: list[SchemaRule]) -> list[SchemaRule]:
    number = draws.size(commit=-(-len(ours) // 3), full=len(ours))
    return random.Random(draws.seed()).sample(ours, number)


def is_needed(admin: Kube, group: str, version: str, demand: SchemaRule) -> bool:
    if "oldSelf" in demand.rule:
        return refuses_a_change(admin, group, COMPLETE) != refuses_a_change(admin, group, version)
    return any(
        answer(admin, group, COMPLETE, body) != answer(admin, group, version, body)
        for body in wrong_ones(demand)
    )


def wrong_ones(demand: SchemaRule) -> Iterator[Body]:
    """Wrong manifests of its kind, refused at its field. The two kinds of source share theirs."""
    for manifest in wrong("refused"):
        kinds = {manifest.body["kind"]}
        if kinds == {"MetricsSource"}:
            kinds.add("ClusterMetricsSource")
        if demand.frame.kind in kinds and concerns(demand, manifest.at):
            yield {**manifest.body, "kind": demand.frame.kind}


def answer(admin: Kube, group: str, version: str, body: Body) -> tuple[Problem, ...]:
    path = path_of(body, group=group, version=version)
    return server_says(admin, path, {**body, "apiVersion": f"{group}/{version}"})


def refuses_a_change(admin: Kube, group: str, version: str) -> bool:
    """A rule on changes needs an object that is there, and another name of its workload."""
    body = next(one.body for one in right() if one.name == "rollout-minimal")
    body = {**body, "apiVersion": f"{group}/{version}"}
    stored = admin.call("POST", path_of(body, group=group, version=version), body)
    path = f"{path_of(body, group=group, version=version)}/{stored['metadata']['name']}"
    stored["spec"]["workloadRef"]["name"] = "another"
    changed = admin.call("PUT", f"{path}?dryRun=All", stored, ok=(422,))
    admin.call("DELETE", path)
    return changed is None


@contextmanager
def served(
    admin: Kube, frame: KindSpec, group: str, lacking: list[SchemaRule]
) -> Iterator[dict[str, SchemaRule]]:
    """Versions by the demand that each lacks, while the API server serves them.

    A schema that the server refuses for what it would cost to check needed what it lacks: such a
    version is left out.
    """
    versions = {f"v{number}": demand for number, demand in enumerate(lacking, 1)}
    for name in define(admin, definition(frame, group, versions)):
        del versions[name]
    path = f"{DEFINITIONS}/{frame.plural}.{group}"
    try:
        for version in (COMPLETE, *versions):
            wait_until(lambda version=version: is_served(admin, frame, group, version))
        yield versions
    finally:
        admin.call("DELETE", path)
        wait_until(lambda: admin.call("GET", path, ok=(404,)) is None)


def definition(frame: KindSpec, group: str, versions: dict[str, SchemaRule]) -> Body:
    whole = bare_schema(frame)
    schemas = {COMPLETE: whole} | {name: d.removed_from(whole) for name, d in versions.items()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{frame.plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Cluster" if frame.kind in CLUSTER_WIDE else "Namespaced",
            "names": {"kind": frame.kind, "plural": frame.plural},
            "versions": [
                {
                    "name": name,
                    "served": True,
                    "storage": name == COMPLETE,
                    "schema": {"openAPIV3Schema": schema},
                }
                for name, schema in schemas.items()
            ],
        },
    }


def define(admin: Kube, body: Body) -> set[str]:
    """Store a definition, without the versions that the server refuses; their names."""
    try:
        admin.call("POST", DEFINITIONS, body)
    except ApiError as error:
        refusal = error
    else:
        return set()
    assert "exceeds budget" in refusal.message, refusal
    places = {re.match(r"spec\.versions\[(\d+)\]", one.at) for one in problems_in(refusal)}
    assert None not in places, refusal
    versions = body["spec"]["versions"]
    refused = {versions[int(place[1])]["name"] for place in places if place is not None}
    body["spec"]["versions"] = [one for one in versions if one["name"] not in refused]
    admin.call("POST", DEFINITIONS, body)
    return refused


def is_served(admin: Kube, frame: KindSpec, group: str, version: str) -> bool:
    body = next(one.body for one in right() if one.body["kind"] == frame.kind)
    try:
        problems = answer(admin, group, version, body)
    except ApiError:
        return False
    assert problems == ()
    return True


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"waited {PATIENCE:.0f} s in vain"
        time.sleep(0.1)

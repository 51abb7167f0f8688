"""What an operator finds missing in the CRDs of a cluster, from its OpenAPI document alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.api.kinds import GROUP, KINDS, VERSION
from penstock.api.schema import structural
from penstock.api.served import APPLY, problem

Path = tuple[str, ...]
SCHEMAS = {frame.kind: structural(frame.model) for frame in KINDS}


def served() -> dict[str, Any]:
    """The document of a cluster with the CRDs of this version, and what else stands there."""
    schemas: dict[str, Any] = {"io.k8s.Status": {"type": "object"}}
    for frame in KINDS:
        for kind in (frame.kind, f"{frame.kind}List"):
            schema = SCHEMAS.get(kind) or {"type": "object"}
            known = [{"group": GROUP, "version": VERSION, "kind": kind}]
            schemas[kind] = schema | {"x-kubernetes-group-version-kind": known}
    return copy.deepcopy({"openapi": "3.0.0", "components": {"schemas": schemas}})


def node(document: dict[str, Any], path: Path) -> dict[str, Any]:
    found = document["components"]["schemas"]
    for step in path:
        found = found[step]
    assert isinstance(found, dict)
    return found


def properties(schema: dict[str, Any], path: Path, name: str) -> Iterator[tuple[Path, str]]:
    """Where each property's schema stands in the document, and its name for people."""
    for child, inner in (schema.get("properties") or {}).items():
        here = f"{name}.{child}" if name else child
        yield (*path, "properties", child), here
        yield from properties(inner, (*path, "properties", child), here)
    for part, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(schema.get(part), dict):
            yield from properties(schema[part], (*path, part), name + mark)


ALL = [
    (f"{frame.plural}.{GROUP}", path, name)
    for frame in KINDS
    for path, name in properties(SCHEMAS[frame.kind], (frame.kind,), "")
]
WRITTEN = [one for one in ALL if one[2].startswith(("status", "data"))]
OTHERS = [one for one in ALL if one not in WRITTEN]


def test_crds_of_this_version_lack_nothing():
    assert problem(served()) == ""


@pytest.mark.parametrize(("crd", "path", "name"), WRITTEN, ids=[f"{c}:{n}" for c, _, n in WRITTEN])
def test_a_field_that_the_operator_writes_and_the_cluster_lacks_is_named(crd, path, name):
    document = served()
    del node(document, path[:-1])[path[-1]]
    assert problem(document) == f"the cluster's CRD {crd} lacks {name}: {APPLY}"


def test_fields_that_people_write_alone_may_be_missing():
    assert len(OTHERS) > 50
    for _, path, name in OTHERS:
        document = served()
        del node(document, path[:-1])[path[-1]]
        assert problem(document) == "", name


def test_fields_and_kinds_of_a_newer_cluster_do_not_matter():
    document = served()
    node(document, ("Rollout", "properties", "status", "properties"))["later"] = {"type": "string"}
    later = [{"group": GROUP, "version": VERSION, "kind": "Later"}]
    node(document, ())["Later"] = {"x-kubernetes-group-version-kind": later}
    assert problem(document) == ""


def test_several_are_counted_for_each_kind():
    document = served()
    for name in ("message", "since"):
        del node(document, ("Rollout", "properties", "status", "properties", "gate", "properties"))[
            name
        ]
    del node(document, ())["GateRecord"]
    assert problem(document) == (
        "the cluster's CRD rollouts.penstock.dev lacks status.gate.message and 1 more; the cluster "
        f"has no CRD gaterecords.penstock.dev: {APPLY}"
    )


def test_a_group_that_is_not_served_lacks_every_kind():
    for frame in KINDS:
        assert f"the cluster has no CRD {frame.plural}.{GROUP}" in problem(None)
    assert problem({"components": {"schemas": {}}}) == problem(None)


def test_a_word_that_the_cluster_refuses_is_named():
    document = served()
    data = ("GateRecord", "properties", "data", "properties", "admission")
    node(document, data)["enum"] = ["Deny"]
    assert problem(document) == (
        f"the cluster's CRD gaterecords.penstock.dev lacks data.admission = Warn: {APPLY}"
    )


def test_a_part_that_keeps_what_it_does_not_know_lacks_nothing():
    document = served()
    status = node(document, ("Rollout", "properties", "status"))
    status.clear()
    status.update({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    assert problem(document) == ""

"""What the manifests in deploy/ and the code must agree about, without a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.api.crds import files
from penstock.api.gate_record import CLOSED

ROOT = Path(__file__).parents[2]


def documents(kind: str) -> Iterator[Any]:
    for file in sorted((ROOT / "deploy").rglob("*.yaml")):
        for body in yaml.safe_load_all(file.read_text()):
            if body.get("kind") == kind:
                yield pytest.param(body, id=str(body["metadata"]["name"]))


POLICIES = list(documents("ValidatingAdmissionPolicy"))
BINDINGS = list(documents("ValidatingAdmissionPolicyBinding"))


def test_every_crd_is_installed() -> None:
    listed = yaml.safe_load((ROOT / "crds" / "Kustomization").read_text())["resources"]
    assert sorted(listed) == sorted(files())


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_refuses_with_403_and_lets_pass_what_it_cannot_judge(policy: Any) -> None:
    """The default reason, 422, makes tools with force replace the object."""
    assert policy["spec"]["failurePolicy"] == "Ignore"
    assert {one["reason"] for one in policy["spec"]["validations"]} == {"Forbidden"}
    assert all(one["message"] for one in policy["spec"]["validations"])


def test_the_gate_leaves_the_cluster_and_penstock_itself_alone() -> None:
    gate = next(one.values[0] for one in POLICIES if one.id == "gate.penstock.dev")
    selector = gate["spec"]["matchConstraints"]["namespaceSelector"]
    left_out = selector["matchExpressions"][0]["values"]
    namespace = yaml.safe_load((ROOT / "deploy" / "base" / "namespace.yaml").read_text())
    assert {"kube-system", namespace["metadata"]["name"]} <= set(left_out)


@pytest.mark.parametrize("binding", BINDINGS)
def test_a_binding_allows_where_there_is_no_parameter(binding: Any) -> None:
    assert binding["spec"]["paramRef"]["parameterNotFoundAction"] == "Allow"


def test_the_bindings_choose_records_by_the_label_that_the_operator_writes() -> None:
    chosen = {
        one.values[0]["spec"]["paramRef"]["selector"]["matchLabels"][CLOSED]: one.values[0]["spec"][
            "validationActions"
        ]
        for one in BINDINGS
        if one.values[0]["spec"]["policyName"] == "gate.penstock.dev"
    }
    assert chosen == {"Deny": ["Deny"], "Warn": ["Warn", "Audit"]}

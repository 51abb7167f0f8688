"""Whom a closed gate concerns: one workload of one namespace, and everybody who changes it."""

from __future__ import annotations

import secrets
import time
from typing import Any

import pytest

from support.admission_fixture import (
    MERGE,
    SENTENCE,
    Workload,
    closed,
    deployment,
    percentiles,
    release,
    stable,
    until,
)

pytestmark = pytest.mark.servers


def test_v29_a_record_without_templates_permits_or_message_is_enough(checkout: Workload) -> None:
    bare = closed(checkout.name)
    del bare["message"]
    checkout.write_record(bare)
    until(checkout.refuses)


def test_v29_a_deployment_without_a_record_is_never_refused(checkout: Workload) -> None:
    checkout.close()
    other = Workload(checkout.server, checkout.namespace, "cart")
    other.create()
    other.patch(release())


@pytest.mark.parametrize(
    "of_another",
    [
        closed("cart"),
        closed("checkout", kind="StatefulSet"),
        closed("checkout", group="argoproj.io"),
        closed("checkout", group="apps.kruise.io"),
    ],
    ids=["another name", "another kind", "another group", "a group that begins alike"],
)
def test_v29_a_record_of_another_workload_concerns_nobody_else(
    checkout: Workload, of_another: dict[str, Any]
) -> None:
    """Even if the record bears this workload's name: what counts is what it says."""
    witness = Workload(checkout.server, checkout.namespace, "witness")
    witness.create()
    checkout.write_record(of_another)
    witness.close()
    assert not checkout.refuses()


def test_v29_a_record_of_another_namespace_concerns_nobody_here(checkout: Workload) -> None:
    elsewhere = f"elsewhere-{secrets.token_hex(4)}"
    checkout.server.do("create", "namespace", elsewhere)
    there = Workload(checkout.server, elsewhere)
    there.create()
    there.close()
    assert not checkout.refuses()
    checkout.server.do("delete", "namespace", elsewhere, "--wait=false")


def test_v29_a_stateful_set_of_the_same_name_is_not_concerned(checkout: Workload) -> None:
    body = deployment(checkout.name) | {"kind": "StatefulSet"}
    body["spec"]["serviceName"] = checkout.name
    collection = f"/apis/apps/v1/namespaces/{checkout.namespace}/statefulsets"
    checkout.server.kube.call("POST", collection, body)
    checkout.close()
    checkout.server.kube.call(
        "PATCH",
        f"{collection}/{checkout.name}",
        release(),
        content_type="application/strategic-merge-patch+json",
    )


def test_the_record_decides_by_what_it_says_and_not_by_its_own_name(checkout: Workload) -> None:
    checkout.write_record(closed(checkout.name), name="another-rollout")
    until(checkout.refuses)


@pytest.mark.parametrize("role", ["edit", "cluster-admin"])
def test_whoever_may_change_the_deployment_is_refused(checkout: Workload, role: str) -> None:
    user = f"system:serviceaccount:{checkout.namespace}:deployer"
    given = (
        ("create", "serviceaccount", "deployer"),
        (
            "create",
            "rolebinding",
            "deployer",
            f"--clusterrole={role}",
            f"--serviceaccount={checkout.namespace}:deployer",
        ),
    )
    for arguments in given:
        done = checkout.kubectl(*arguments)
        assert done.returncode == 0, done.stderr
    target = f"deployment/{checkout.name}"
    release_by_user = ("set", "image", target, "app=shop/checkout:2")
    until(lambda: not checkout.kubectl(*release_by_user, "--dry-run=server", user=user).returncode)
    checkout.close()
    refused = checkout.kubectl(*release_by_user, user=user)
    assert refused.returncode == 1
    assert SENTENCE in refused.stderr
    scaled = checkout.kubectl("scale", target, "--replicas=2", user=user)
    assert scaled.returncode == 0, scaled.stderr


def test_who_may_edit_a_namespace_may_not_open_its_gates(checkout: Workload) -> None:
    """Records are aggregated to nobody's role."""
    edit = checkout.server.kube.call("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/edit")
    assert not [rule for rule in edit["rules"] if "penstock.dev" in rule.get("apiGroups", ())]


def test_the_policies_expressions_fit_the_types_they_are_about(checkout: Workload) -> None:
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    for name in ("gate.penstock.dev", "one-rollout-per-workload.penstock.dev"):

        def checked(name: str = name) -> bool:
            policy = checkout.server.kube.call("GET", f"{path}/{name}")
            seen = policy.get("status", {}).get("observedGeneration")
            return bool(seen == policy["metadata"]["generation"])

        until(checked)
        status = checkout.server.kube.call("GET", f"{path}/{name}")["status"]
        assert status["typeChecking"] == {}


@pytest.mark.slow
def test_a_hundred_rollouts_in_one_namespace_do_not_blind_the_policy(
    checkout: Workload, capsys: pytest.CaptureFixture[str]
) -> None:
    """The figures are printed and not judged: they are of this machine."""
    templates = _five_of_five_kilobytes(checkout)
    figures = {"no record": _delay(checkout)}
    for number in range(100):
        name = f"other-{number}"
        checkout.write_record(closed(name, templates=templates) | {"admits": True}, name)
    figures["100 open gates"] = _delay(checkout)
    for number in range(100):
        name = f"other-{number}"
        checkout.write_record(closed(name, templates=templates), name)
    figures["100 closed gates"] = _delay(checkout)
    assert not checkout.refuses()
    checkout.close()
    refusal = checkout.refusal()
    assert refusal is not None
    assert refusal.message.endswith(SENTENCE)
    with capsys.disabled():
        print("\nupdate of a Deployment that no closed gate concerns:")
        for situation, measured in figures.items():
            print(f"  {situation}: {measured}")


def _five_of_five_kilobytes(workload: Workload) -> list[dict[str, Any]]:
    variables = [{"name": f"VARIABLE_{number}", "value": "x" * 40} for number in range(64)]
    container = {"name": "app", "image": "shop/checkout:1", "env": variables}
    body = workload.template() | {"spec": workload.template()["spec"] | {"containers": [container]}}
    return [one | {"hash": str(number)} for number, one in enumerate(stable(body) * 5)]


def _delay(workload: Workload) -> str:
    time.sleep(1)  # the server is told of the last records meanwhile
    seconds = []
    for number in range(40):
        begin = time.perf_counter()
        workload.patch({"spec": {"replicas": number}}, MERGE, "dryRun=All")
        seconds.append(time.perf_counter() - begin)
    return percentiles(seconds)


def test_deleting_the_rollout_opens_its_gate_without_the_operator(checkout: Workload) -> None:
    """The record is owned by its Rollout: garbage collection takes it away."""
    group = f"/apis/penstock.dev/v1alpha1/namespaces/{checkout.namespace}"
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": checkout.name}
    rollout = checkout.server.kube.call(
        "POST",
        f"{group}/rollouts",
        {
            "apiVersion": "penstock.dev/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": checkout.name},
            "spec": {"workloadRef": reference, "slos": [{"name": "checkout-availability"}]},
        },
    )
    checkout.close()
    owner = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "Rollout",
        "name": checkout.name,
        "uid": rollout["metadata"]["uid"],
    }
    owned = {"metadata": {"ownerReferences": [owner]}}
    record = f"{checkout.records}/{checkout.name}"
    checkout.server.kube.call("PATCH", record, owned, content_type=MERGE)
    assert checkout.refuses()
    checkout.server.kube.call("DELETE", f"{group}/rollouts/{checkout.name}")
    until(lambda: not checkout.refuses())

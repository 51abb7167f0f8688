"""One Rollout for each workload: a second one is refused when it is created."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from support.admission_fixture import Server, Workload, manifest, until
from testbed.api import ApiError, Kube

pytestmark = pytest.mark.servers


def rollout(rollout_name: str, **workload: str) -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"} | workload
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": rollout_name},
        "spec": {"workloadRef": reference, "slos": [{"name": "checkout-availability"}]},
    }


class Rollouts:
    """Those of one namespace."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube = kube
        self._path = f"/apis/penstock.dev/v1alpha1/namespaces/{namespace}/rollouts"

    def create(self, body: Mapping[str, Any]) -> None:
        self._kube.call("POST", self._path, body)

    def delete(self, name: str) -> None:
        self._kube.call("DELETE", f"{self._path}/{name}")

    def refusal(self, body: Mapping[str, Any]) -> ApiError | None:
        try:
            self._kube.call("POST", f"{self._path}?dryRun=All", body)
        except ApiError as error:
            return error
        return None

    def refuses(self, body: Mapping[str, Any]) -> bool:
        return self.refusal(body) is not None


@pytest.fixture
def rollouts(server: Server, namespace: str) -> Rollouts:
    """Of a namespace where Rollout `first` guards Deployment `checkout`, and the server knows."""
    found = Rollouts(server.kube, namespace)
    found.create(rollout("first"))
    until(lambda: found.refuses(rollout("second")))
    return found


def test_a_second_rollout_for_a_workload_is_refused_and_names_the_first(
    rollouts: Rollouts,
) -> None:
    refusal = rollouts.refusal(rollout("second"))
    assert refusal is not None
    assert (refusal.code, refusal.reason) == (403, "Forbidden")
    assert refusal.message.endswith(
        "Deployment checkout is already guarded by Rollout first; "
        "change that one, or delete it first"
    )


@pytest.mark.parametrize(
    "other",
    [
        {"name": "cart"},
        {"kind": "StatefulSet"},
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "Deployment"},
    ],
    ids=["name", "kind", "group"],
)
def test_a_rollout_for_another_workload_is_created(
    rollouts: Rollouts, other: dict[str, str]
) -> None:
    rollouts.create(rollout("second", **other))


def test_another_version_of_the_group_is_the_same_workload(rollouts: Rollouts) -> None:
    assert rollouts.refuses(rollout("second", apiVersion="apps/v1beta2"))


def test_in_another_namespace_it_is_another_workload(
    server: Server, rollouts: Rollouts, namespace: str
) -> None:
    server.do("create", "namespace", f"{namespace[:50]}-b")
    Rollouts(server.kube, f"{namespace[:50]}-b").create(rollout("second"))


def test_the_same_name_again_is_answered_as_kubernetes_does(rollouts: Rollouts) -> None:
    refusal = rollouts.refusal(rollout("first"))
    assert refusal is not None
    assert refusal.reason == "AlreadyExists"


def test_a_generated_name_is_no_way_around(rollouts: Rollouts) -> None:
    body = rollout("second")
    body["metadata"] = {"generateName": "second-"}
    assert rollouts.refuses(body)


def test_once_the_first_is_deleted_the_workload_is_free(rollouts: Rollouts) -> None:
    rollouts.delete("first")
    until(lambda: not rollouts.refuses(rollout("second")))


def test_the_first_may_be_applied_again_and_changed(
    server: Server, rollouts: Rollouts, namespace: str, tmp_path: Path
) -> None:
    body = rollout("first")
    body["spec"]["onDelete"] = "KeepHeld"
    applied = manifest(tmp_path, body)
    for how in (("apply",), ("apply", "--server-side", "--force-conflicts"), ("replace",)):
        server.do(f"--namespace={namespace}", *how, "-f", applied)


def test_a_rollout_is_no_deployment_to_the_gate(checkout: Workload) -> None:
    """Changing a Rollout stays possible while the gate is closed: it is how a person opens it."""
    found = Rollouts(checkout.server.kube, checkout.namespace)
    found.create(rollout("checkout"))
    checkout.close()
    done = checkout.kubectl(
        "patch", "rollouts.penstock.dev", "checkout", "--type=merge", '-p={"spec":{"mode":"Off"}}'
    )
    assert done.returncode == 0, done.stderr

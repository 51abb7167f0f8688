"""A workload kind is its adapter and one line in a registry: a kind that only this test has.

Its CRD is not there when the operator starts, and goes again while the operator runs.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.operator_process import Operator, wait_for
from support.toy_workload import CRD, TOYS
from testbed import third_party_crds
from testbed.bed import Bed

pytestmark = [pytest.mark.servers, pytest.mark.slow]

OURS = "penstock.dev/v1alpha1"
MERGE = "application/merge-patch+json"


def body_of(image: str) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "toy", "image": f"example.com/toy:{image}"}]}}


class Toys:
    """One namespace with a Toy, its Rollout, and an operator that knows the kind."""

    def __init__(self, bed: Bed, namespace: str, operator: Operator) -> None:
        self.bed, self.namespace, self.operator = bed, namespace, operator

    def path(self, api_version: str, plural: str) -> str:
        return f"/apis/{api_version}/namespaces/{self.namespace}/{plural}"

    @property
    def toy_path(self) -> str:
        return f"{self.path(TOYS.api_version, TOYS.plural)}/web"

    def toy(self) -> dict[str, Any]:
        found: dict[str, Any] = self.bed.kube.call("GET", self.toy_path)
        return found

    def patch_toy(self, body: dict[str, Any]) -> None:
        self.bed.kube.call("PATCH", self.toy_path, body, content_type=MERGE)

    def create_toy(self) -> None:
        body = {
            "apiVersion": TOYS.api_version,
            "kind": TOYS.kind,
            "metadata": {"name": "web"},
            "spec": {"template": body_of("1")},
            "status": {"runs": body_of("1")},
        }
        self.bed.kube.call("POST", self.path(TOYS.api_version, TOYS.plural), body)

    def create_rollout(self) -> None:
        ref = {"apiVersion": TOYS.api_version, "kind": TOYS.kind, "name": "web"}
        body = {
            "apiVersion": OURS,
            "kind": "Rollout",
            "metadata": {"name": "web"},
            "spec": {"workloadRef": ref, "slos": [{"name": "nowhere"}]},
        }
        self.bed.kube.call("POST", self.path(OURS, "rollouts"), body)

    @property
    def rollout_path(self) -> str:
        return f"{self.path(OURS, 'rollouts')}/web"

    def patch_rollout(self, body: dict[str, Any]) -> None:
        self.bed.kube.call("PATCH", self.rollout_path, body, content_type=MERGE)

    def person_holds(self) -> None:
        self.patch_rollout({"spec": {"hold": {"reason": "a person's wish"}}})

    def status(self) -> dict[str, Any]:
        return dict(self.bed.kube.call("GET", self.rollout_path).get("status") or {})

    def supported(self) -> tuple[str, str]:
        found = [
            (one["status"], one["reason"])
            for one in self.status().get("conditions") or ()
            if one["type"] == "WorkloadSupported"
        ]
        return found[0] if found else ("", "")

    def phase(self) -> str:
        return str((self.status().get("workload") or {}).get("phase"))

    def paused(self) -> bool:
        return bool(self.toy()["spec"].get("paused"))


@pytest.fixture
def toys(bed: Bed, tmp_path: Path) -> Iterator[Toys]:
    """An operator without a CRD of Toys in its cluster."""
    namespace = f"toys-{secrets.token_hex(4)}"
    bed.kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    operator = Operator(
        bed,
        tmp_path / "operator.log",
        module="support.toy_workload",
        namespace=namespace,
        resync_interval="5",
    )
    try:
        with operator:
            yield Toys(bed, namespace, operator)
    finally:
        third_party_crds.uninstall(bed.kube, [CRD])
        bed.kube.call("DELETE", f"/api/v1/namespaces/{namespace}")


def test_a_kind_that_is_registered_is_watched_observed_held_and_released_once_it_is_installed(
    toys: Toys,
) -> None:
    toys.create_rollout()
    wait_for("it is missing", toys.supported, lambda it: it == ("False", "WorkloadNotFound"))

    third_party_crds.install(toys.bed.kube, [CRD])
    toys.create_toy()

    wait_for("the kind is picked up", toys.supported, lambda it: it == ("True", "Supported"))
    wait_for("its template is stable", lambda: toys.status().get("stable"))

    toys.person_holds()
    toys.patch_toy({"spec": {"template": body_of("2")}})
    wait_for("it is held", toys.paused)
    wait_for("it says so", lambda: toys.status()["hold"]["active"])
    assert toys.status()["hold"]["effective"] == "full"

    toys.patch_rollout({"spec": {"mode": "Off"}})
    wait_for("it is released", toys.paused, lambda it: it is False)


def test_a_hold_on_a_kind_that_is_registered_ends_with_a_rollout_that_goes_unseen(
    toys: Toys,
) -> None:
    third_party_crds.install(toys.bed.kube, [CRD])
    toys.create_toy()
    toys.create_rollout()
    wait_for("its template is stable", lambda: toys.status().get("stable"))
    toys.person_holds()
    toys.patch_toy({"spec": {"template": body_of("2")}})
    wait_for("it is held", toys.paused)

    toys.operator.stop()
    toys.bed.kube.call("DELETE", toys.rollout_path)
    toys.operator.start()

    wait_for("it is released", toys.paused, lambda it: it is False)


def test_a_kind_that_is_removed_leaves_its_rollout_without_a_workload_and_the_feed_whole(
    toys: Toys,
) -> None:
    third_party_crds.install(toys.bed.kube, [CRD])
    toys.create_toy()
    toys.create_rollout()
    wait_for("its template is stable", lambda: toys.status().get("stable"))
    toys.patch_toy({"spec": {"template": body_of("2")}})
    wait_for("it is watched", toys.phase, lambda it: it == "Rolling")

    third_party_crds.uninstall(toys.bed.kube, [CRD])

    wait_for("it is missing", toys.supported, lambda it: it == ("False", "WorkloadNotFound"))
    toys.person_holds()
    wait_for("it is decided", lambda: toys.status()["gate"]["reason"], lambda it: it[0] == "H")
    assert toys.operator.is_ready()

    third_party_crds.install(toys.bed.kube, [CRD])
    toys.create_toy()
    wait_for("it is back", toys.supported, lambda it: it == ("True", "Supported"))

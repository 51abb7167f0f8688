"""Rows D on the adapter itself: holds at rest, and holds of two Rollouts on one Deployment.

The operator never holds a Deployment at rest, but what is built on the adapter will.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

from penstock.adapters.kube_client import KubeClient
from penstock.adapters.workloads.deployment import ARGO_ROLLOUTS, CANARIES, DeploymentAdapter
from penstock.adapters.workloads.registry import WorkloadRegistry
from penstock.domain.refs import WorkloadRef
from penstock.domain.workload import HOLD_MANAGER_PREFIX, Phase, WorkloadState
from penstock.engine.ports import HoldRef, HoldResult
from support.admission_fixture import MERGE
from support.operator_process import wait_for
from support.story import IMAGE, JSON_PATCH, NAME, Object, played
from testbed.bed import Bed
from testbed.workloads import is_complete

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("other-tools")]

T = TypeVar("T")
ONE, OTHER = "11111111-uid-of-one", "22222222-uid-of-another"
REF = WorkloadRef("apps/v1", "Deployment", NAME)


class AtRest:
    """A Deployment without a Rollout, and the adapter."""

    def __init__(self, bed: Bed, namespace: str) -> None:
        self.bed, self.namespace = bed, namespace
        self.collection = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        bed.kube.call("POST", self.collection, played(replicas=3))
        wait_for("it is complete", self.read, is_complete)

    def read(self) -> Object:
        found: Object = self.bed.kube.call("GET", f"{self.collection}/{NAME}")
        return found

    def version(self) -> tuple[str, int]:
        """It moves with any write, and its generation with a change of the spec."""
        metadata = self.read()["metadata"]
        return metadata["resourceVersion"], metadata["generation"]

    def patch(self, body: object, content_type: str = MERGE) -> None:
        self.bed.kube.call("PATCH", f"{self.collection}/{NAME}", body, content_type=content_type)

    def image(self, tag: str) -> None:
        path = "/spec/template/spec/containers/0/image"
        self.patch([{"op": "replace", "path": path, "value": f"{IMAGE}:{tag}"}], JSON_PATCH)

    def sets(self) -> dict[str, int]:
        """Pods wanted of each ReplicaSet there is, by its image's tag."""
        path = f"/apis/apps/v1/namespaces/{self.namespace}/replicasets"
        return {
            one["spec"]["template"]["spec"]["containers"][0]["image"].rpartition(":")[2]: one[
                "spec"
            ]["replicas"]
            for one in self.bed.kube.call("GET", path)["items"]
        }

    def observe(self, owner: str = ONE) -> WorkloadState:
        return self.ask(lambda it: it.observe(self.namespace, REF, HOLD_MANAGER_PREFIX + owner))

    def hold(self, owner: str = ONE) -> HoldResult:
        workload = self.observe(owner)
        return self.ask(lambda it: it.hold(workload, HOLD_MANAGER_PREFIX + owner, keep=False))

    def release(self, owner: str = ONE, uid: str = "") -> HoldResult:
        uid = uid or self.read()["metadata"]["uid"]
        return self.ask(lambda it: it.release(HoldRef(self.namespace, REF, uid, owner)))

    def held_by(self) -> set[str]:
        found = self.ask(lambda it: it.list_held())
        return {one.owner for one in found if one.namespace == self.namespace}

    def ask(self, question: Callable[[DeploymentAdapter], Coroutine[Any, Any, T]]) -> T:
        return self.ask_by(lambda kube: question(DeploymentAdapter(kube)))

    def ask_by(self, question: Callable[[KubeClient], Coroutine[Any, Any, T]]) -> T:
        async def answer() -> T:
            # The client reads KUBECONFIG when it is imported, which may be before the bed is there.
            configuration = Configuration()
            await load_kube_config(str(self.bed.kubeconfig), client_configuration=configuration)
            kube = KubeClient.from_configuration(configuration)
            try:
                return await question(kube)
            finally:
                await kube.close()

        return asyncio.run(answer())


@pytest.fixture
def web(bed: Bed, namespace: str) -> AtRest:
    return AtRest(bed, namespace)


def settled(web: AtRest) -> bool:
    """Whether the controller has seen the last change."""
    body = web.read()
    return bool(body["status"]["observedGeneration"] >= body["metadata"]["generation"])


def test_row_12_a_template_that_changes_at_rest_starts_nothing(web: AtRest) -> None:
    web.hold()

    web.image("2")

    wait_for("the change is seen", lambda: settled(web))
    assert web.sets() == {"1": 3}
    assert web.observe().phase is Phase.PENDING


def test_row_13_of_three_templates_only_the_last_one_rolls(web: AtRest) -> None:
    web.hold()
    for tag in ("2", "3", "4"):
        web.image(tag)
        wait_for("the change is seen", lambda: settled(web))

    web.release()

    wait_for("it is complete", web.read, is_complete)
    assert web.sets() == {"1": 0, "4": 3}


def test_row_14_a_template_that_comes_back_at_rest_leaves_nothing_to_release(
    web: AtRest,
) -> None:
    web.hold()
    web.image("2")
    wait_for("the change is seen", lambda: settled(web))
    web.image("1")
    wait_for("the change is seen", lambda: settled(web))
    assert web.observe().phase is Phase.COMPLETE

    web.release()

    wait_for("the release is seen", lambda: settled(web))
    assert web.sets() == {"1": 3}


def test_row_25_a_cluster_without_the_kinds_of_other_tools_is_no_trouble(
    web: AtRest, caplog: pytest.LogCaptureFixture
) -> None:
    found = web.ask_by(lambda kube: WorkloadRegistry.of(kube).list_managers())

    assert found == {CANARIES: {}, ARGO_ROLLOUTS: {}}
    assert [one.message for one in caplog.records if "manages" in one.message] == []
    assert web.observe().unsupported_reason is None


def test_row_20_scaling_at_rest_is_followed_by_the_stable_version(web: AtRest) -> None:
    web.hold()
    web.image("2")

    web.patch({"spec": {"replicas": 7}})

    wait_for("the pods are there", web.sets, lambda found: found == {"1": 7})
    wait_for("they are ready", web.read, lambda it: it["status"].get("availableReplicas") == 7)

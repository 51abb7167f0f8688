"""Row D 25: Deployments that a Flagger Canary or an Argo Rollout points at are theirs to steer.

Their controllers leave no mark on such a Deployment, so only their own objects tell. Their CRDs are
there for this module alone; all other tests show that nothing misses them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.story import NAME, Story, played
from testbed import third_party_crds
from testbed.bed import Bed

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.xdist_group("other-tools")]

TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
CANARY = {
    "apiVersion": "flagger.app/v1beta1",
    "kind": "Canary",
    "metadata": {"name": "shop"},
    "spec": {
        "targetRef": TARGET,
        "service": {"port": 80},
        "analysis": {"interval": "1m", "threshold": 1, "maxWeight": 50, "stepWeight": 10},
    },
}
ARGO = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "shop"},
    "spec": {"workloadRef": TARGET, "strategy": {"canary": {}}},
}


@pytest.fixture(scope="module", autouse=True)
def _their_crds(bed: Bed) -> Iterator[None]:
    crds = [*third_party_crds.argo_rollouts_crds(), *third_party_crds.flagger_crds()]
    third_party_crds.install(bed.kube, crds)
    yield
    third_party_crds.uninstall(bed.kube, crds)


@pytest.mark.parametrize(
    ("theirs", "plural", "told"),
    [
        (CANARY, "canaries", "Canary shop of Flagger"),
        (ARGO, "rollouts", "Rollout shop of Argo Rollouts"),
    ],
    ids=["Flagger", "Argo Rollouts"],
)
def test_row_25_a_workload_that_another_tool_points_at_is_refused_with_its_name(
    story: Story, theirs: dict[str, Any], plural: str, told: str
) -> None:
    path = f"/apis/{theirs['apiVersion']}/namespaces/{story.namespace}/{plural}"
    story.kube.call("POST", path, theirs)
    story.guarded()
    story.deploy(played("other", replicas=2))
    story.rollout("other", workload="other")
    refused = story.wait_condition("WorkloadSupported", "False", "WorkloadUnsupported")
    assert f"is managed by {told}; point the Rollout at that instead" in refused["message"]
    story.change(ready_after="never")
    story.wait_replicas(v1=8, v2=5)

    story.hold()

    story.wait("it says so", lambda it: "cannot be held" in it["status"]["gate"]["message"])
    assert story.pausers() == []
    story.wait_condition("WorkloadSupported", "True", name="other")

    story.kube.call("DELETE", f"{path}/shop")
    story.wait_held("partial")

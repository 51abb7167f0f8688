"""The CRDs of Argo Rollouts and Flagger, as their pinned releases have them."""

import pytest

from testbed import third_party_crds
from testbed.existing import is_true
from testbed.toolchain import ModulesError, ToolchainError

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.xdist_group("other-tools")]


@pytest.fixture
def crds(bed):
    try:
        crds = [*third_party_crds.argo_rollouts_crds(), *third_party_crds.flagger_crds()]
    except (ModulesError, ToolchainError) as missing:
        if is_true("CI"):
            raise
        pytest.skip(str(missing))
    yield crds
    third_party_crds.uninstall(bed.kube, crds)


def test_their_objects_can_be_made_once_the_crds_are_installed(bed, namespace, crds):
    third_party_crds.install(bed.kube, crds)
    third_party_crds.install(bed.kube, crds)
    assert {crd["spec"]["names"]["kind"] for crd in crds} == {
        "AlertProvider",
        "AnalysisRun",
        "AnalysisTemplate",
        "Canary",
        "ClusterAnalysisTemplate",
        "Experiment",
        "MetricTemplate",
        "Rollout",
    }
    rollout = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "shop"},
        "spec": {"strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}}},
    }
    canary = {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "shop"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
            "service": {"port": 80},
            "analysis": {"interval": "1m", "threshold": 1, "maxWeight": 50, "stepWeight": 10},
        },
    }
    for body, plural in [(rollout, "rollouts"), (canary, "canaries")]:
        path = f"/apis/{body['apiVersion']}/namespaces/{namespace}/{plural}"
        assert bed.kube.call("POST", path, body)["metadata"]["uid"]

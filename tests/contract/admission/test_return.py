"""A return to a stable template passes at any time: the way back is never refused."""

from __future__ import annotations

from typing import Any

import pytest

from support.admission_fixture import (
    MERGE,
    SENTENCE,
    Workload,
    deployment,
    in_template,
    release,
    stable,
    until,
)

pytestmark = pytest.mark.servers

# Everything that the API server writes otherwise than it was sent, or adds.
RICH: dict[str, Any] = {
    "metadata": {"labels": {"app": "rich"}, "annotations": {"checksum/config": "1"}},
    "spec": {
        "initContainers": [{"name": "migrate", "image": "shop/migrate:1"}],
        "containers": [
            {
                "name": "app",
                "image": "shop/rich:1",
                "ports": [{"containerPort": 8080, "name": "http"}],
                "resources": {
                    "requests": {"cpu": "0.5", "memory": "1024Mi"},
                    "limits": {"cpu": 2, "memory": "2.5Gi"},
                },
                "env": [
                    {"name": "EMPTY", "value": ""},
                    {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                ],
                "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
                "livenessProbe": {"tcpSocket": {"port": 8080}},
                "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
                "securityContext": {},
            }
        ],
        "securityContext": {},
        "tolerations": [
            {"key": "spot", "effect": "NoExecute", "operator": "Exists", "tolerationSeconds": 30}
        ],
        "volumes": [
            {
                "name": "cache",
                "ephemeral": {
                    "volumeClaimTemplate": {
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": "0.5Gi"}},
                        }
                    }
                },
            },
            {"name": "scratch", "emptyDir": {}},
            {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        ],
    },
}


def newest_replica_set(workload: Workload) -> dict[str, Any]:
    """Once the Deployment controller has made it."""
    collection = f"/apis/apps/v1/namespaces/{workload.namespace}/replicasets"
    found: list[dict[str, Any]] = []

    def observed() -> bool:
        now = workload.read()
        if now.get("status", {}).get("observedGeneration") != now["metadata"]["generation"]:
            return False
        found[:] = workload.server.kube.call("GET", collection)["items"]
        return bool(found)

    until(observed)
    newest: dict[str, Any] = max(
        found,
        key=lambda one: int(one["metadata"]["annotations"]["deployment.kubernetes.io/revision"]),
    )
    return newest


def test_v16_a_return_to_a_stable_template_passes(checkout: Workload) -> None:
    good = checkout.template()
    checkout.patch(release("shop/checkout:bad"))
    checkout.close(templates=stable(good))
    checkout.patch(release("shop/checkout:1"))
    assert checkout.template() == good


def test_v16_a_template_is_recognised_as_the_server_writes_it(checkout: Workload) -> None:
    """The manifest that was applied says less, and says it otherwise, than what is stored."""
    rich = Workload(checkout.server, checkout.namespace, "rich")
    body = deployment("rich") | {"spec": deployment("rich")["spec"] | {"template": RICH}}
    rich.create(body)
    good = rich.template()
    assert good["spec"] != RICH["spec"]
    rich.patch(release("shop/rich:bad"))
    rich.close(templates=stable(good))
    rich.server.kube.call("PUT", rich.path, body)
    assert rich.template() == good


def test_v16_a_template_that_was_read_from_a_replica_set_is_recognised(checkout: Workload) -> None:
    """It bears the controller's label, and the mark of a restart perhaps."""
    checkout.patch(
        in_template(metadata={"annotations": {"kubectl.kubernetes.io/restartedAt": "long ago"}})
    )
    from_replica_set = newest_replica_set(checkout)["spec"]["template"]
    assert "pod-template-hash" in from_replica_set["metadata"]["labels"]
    checkout.patch(release("shop/checkout:bad"))
    checkout.close(templates=[{"hash": "1", "template": from_replica_set}])
    checkout.server.kube.call("PUT", checkout.path, deployment(checkout.name))


def test_v16_kubectl_rollout_undo_passes_to_a_stable_revision_and_to_no_other(
    checkout: Workload,
) -> None:
    good = checkout.template()
    newest_replica_set(checkout)
    for image in ("shop/checkout:bad", "shop/checkout:worse"):
        checkout.patch(release(image))
        newest_replica_set(checkout)
    checkout.close(templates=stable(good))
    target = f"deployment/{checkout.name}"
    refused = checkout.kubectl("rollout", "undo", target, "--to-revision=2")
    assert refused.returncode == 1
    assert SENTENCE in refused.stderr
    undone = checkout.kubectl("rollout", "undo", target, "--to-revision=1")
    assert undone.returncode == 0, undone.stderr
    assert checkout.template() == good


def test_v16_back_on_the_stable_template_the_gate_is_as_closed_as_before(
    checkout: Workload,
) -> None:
    good = checkout.template()
    checkout.patch(release("shop/checkout:bad"))
    checkout.close(templates=stable(good))
    checkout.patch(release("shop/checkout:1"))
    refusal = checkout.refusal(release("shop/checkout:bad"))
    assert refusal is not None
    assert refusal.code == 403


def test_v16_each_of_five_stable_templates_passes(checkout: Workload) -> None:
    versions = [f"shop/checkout:{number}" for number in range(5)]
    bodies = [checkout.patch(release(image))["spec"]["template"] for image in versions]
    checkout.patch(release("shop/checkout:bad"))
    checkout.close(templates=stable(*bodies))
    for image in versions:
        assert checkout.refusal(release(image)) is None
    assert checkout.refuses()


@pytest.mark.parametrize(
    "otherwise",
    [
        {"metadata": {"annotations": {"checksum/config": "2"}}},
        {"metadata": {"annotations": {"checksum/config": None}}},
        {"metadata": {"annotations": {"sidecar": "on"}}},
        {"metadata": {"labels": {"tier": "gold"}}},
        {"spec": {"serviceAccountName": "other"}},
    ],
    ids=["annotation", "no annotation", "annotation more", "label more", "spec"],
)
def test_v16_a_template_that_differs_from_a_stable_one_is_refused(
    checkout: Workload, otherwise: dict[str, Any]
) -> None:
    good = checkout.template()
    checkout.patch(release("shop/checkout:bad"))
    checkout.close(templates=stable(good))
    near = release("shop/checkout:1")["spec"]["template"]
    merged = {
        "metadata": otherwise.get("metadata", {}),
        "spec": near["spec"] | otherwise.get("spec", {}),
    }
    assert checkout.refusal(in_template(**merged)) is not None


def test_v16_a_stable_template_without_labels_or_annotations_is_no_error(
    checkout: Workload,
) -> None:
    checkout.patch(in_template(metadata={"annotations": None}), MERGE)
    bare = checkout.template()
    checkout.patch(in_template(metadata={"annotations": {"checksum/config": "2"}}), MERGE)
    known = [{"hash": "1", "template": {"spec": bare["spec"]}}, *stable(bare)]
    checkout.close(templates=known)
    checkout.patch(in_template(metadata={"annotations": None}), MERGE)


def test_a_recorded_template_without_a_proper_spec_opens_nothing(checkout: Workload) -> None:
    """Nor is it an error, which would open everything."""
    metadata = checkout.template()["metadata"]
    odd: list[dict[str, Any]] = [
        {},
        {"metadata": {"labels": None, "annotations": None}, "spec": None},
        {"metadata": metadata},
        {"metadata": metadata, "spec": None},
        {"metadata": metadata, "spec": {"containers": {"app": 1}}},
    ]
    checkout.close(templates=[{"hash": "1", "template": template} for template in odd])
    assert checkout.refuses()


def test_a_restart_of_a_stable_template_passes_on_the_way_back(checkout: Workload) -> None:
    good = checkout.template()
    checkout.patch(release("shop/checkout:bad"))
    checkout.close(templates=stable(good))
    checkout.patch(release("shop/checkout:1"))
    done = checkout.kubectl("rollout", "restart", f"deployment/{checkout.name}")
    assert done.returncode == 0, done.stderr
    assert checkout.refuses()

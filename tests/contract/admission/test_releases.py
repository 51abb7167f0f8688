"""What is a release, and is refused under a closed gate; what is none, and passes.

Numbers in names are the rows of the list of cases that every way to enforce must pass.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from support.admission_fixture import (
    APPLY,
    MERGE,
    SENTENCE,
    Workload,
    closed,
    deployment,
    in_template,
    manifest,
    release,
    until,
)

pytestmark = pytest.mark.servers

RESTARTED = "kubectl.kubernetes.io/restartedAt"

RELEASES = {
    "an image": release(),
    "a variable": in_template(
        spec={"containers": [{"name": "app", "env": [{"name": "A", "value": "1"}]}]}
    ),
    "a new init container": in_template(
        spec={"initContainers": [{"name": "migrate", "image": "shop/migrate:1"}]}
    ),
    "a service account": in_template(spec={"serviceAccountName": "other"}),
    "a new label": in_template(metadata={"labels": {"tier": "gold"}}),
    "a new annotation": in_template(metadata={"annotations": {"sidecar": "on"}}),
    "a config checksum": in_template(metadata={"annotations": {"checksum/config": "2"}}),
    "the last annotation away": in_template(metadata={"annotations": {"checksum/config": None}}),
    "an image while scaling": {"spec": {"replicas": 7, **release()["spec"]}},
    "an image while pausing": {"spec": {"paused": True, **release()["spec"]}},
    "an annotation while restarting": in_template(
        metadata={"annotations": {"checksum/config": "2", RESTARTED: "2026-11-24T10:00:00Z"}}
    ),
}

NO_RELEASES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "the number of replicas": {"spec": {"replicas": 7}},
    "a pause": {"spec": {"paused": True}},
    "a label of the object": {"metadata": {"labels": {"team": "shop"}}},
    "an annotation of the object": {"metadata": {"annotations": {"note": "shop"}}},
    "how a release goes": {"spec": {"minReadySeconds": 5, "progressDeadlineSeconds": 700}},
    "how many old ones are kept": {"spec": {"revisionHistoryLimit": 3}},
    "a restart": in_template(metadata={"annotations": {RESTARTED: "2026-11-24T10:00:00Z"}}),
}


@pytest.mark.parametrize("change", RELEASES.values(), ids=RELEASES)
def test_a_release_is_refused_with_403_and_our_sentence(
    checkout: Workload, change: dict[str, Any]
) -> None:
    checkout.close()
    refusal = checkout.refusal(change)
    assert refusal is not None
    assert (refusal.code, refusal.reason) == (403, "Forbidden")
    assert refusal.message.endswith(f"denied request: {SENTENCE}")


@pytest.mark.parametrize("change", NO_RELEASES.values(), ids=NO_RELEASES)
def test_v31_what_is_not_a_release_passes_while_the_gate_is_closed(
    checkout: Workload, change: dict[str, Any]
) -> None:
    checkout.close()
    checkout.patch(change)
    assert checkout.refuses()


def test_v31_kubectl_restarts_pauses_resumes_scales_and_labels_while_the_gate_is_closed(
    checkout: Workload,
) -> None:
    checkout.close()
    target = f"deployment/{checkout.name}"
    for arguments in (
        ("rollout", "restart", target),
        ("rollout", "pause", target),
        ("rollout", "resume", target),
        ("scale", target, "--replicas=3"),
        ("autoscale", target, "--min=1", "--max=4"),
        ("label", target, "team=shop"),
        ("annotate", target, "note=shop"),
    ):
        done = checkout.kubectl(*arguments)
        assert done.returncode == 0, (arguments, done.stderr)
    time.sleep(1.1)  # kubectl refuses two restarts within one second
    again = checkout.kubectl("rollout", "restart", target)
    assert again.returncode == 0, again.stderr


def test_v31_the_autoscaler_scales_by_the_subresource_while_the_gate_is_closed(
    checkout: Workload,
) -> None:
    checkout.close()
    scaled = checkout.server.kube.call(
        "PATCH", f"{checkout.path}/scale", {"spec": {"replicas": 4}}, content_type=MERGE
    )
    assert scaled["spec"]["replicas"] == 4


def test_v31_our_own_hold_passes_and_is_given_back_while_the_gate_is_closed(
    checkout: Workload,
) -> None:
    checkout.close()
    bare = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": checkout.name}}
    query = "fieldManager=penstock-hold-1&force=false"
    assert checkout.patch({**bare, "spec": {"paused": True}}, APPLY, query)["spec"]["paused"]
    assert "paused" not in checkout.patch(bare, APPLY, query)["spec"]


def test_v31_the_mark_of_a_restart_may_go_again(checkout: Workload) -> None:
    checkout.patch(NO_RELEASES["a restart"])
    checkout.close()
    checkout.patch(in_template(metadata={"annotations": {RESTARTED: None}}))


def test_creating_a_deployment_is_never_refused(checkout: Workload) -> None:
    checkout.close()
    checkout.server.kube.call("DELETE", checkout.path)
    checkout.create(deployment(checkout.name, "shop/checkout:2"))


def test_kubectl_prints_the_sentence(checkout: Workload) -> None:
    checkout.close()
    done = checkout.kubectl("set", "image", f"deployment/{checkout.name}", "app=shop/checkout:2")
    assert done.returncode == 1
    assert SENTENCE in done.stderr
    assert checkout.template()["spec"]["containers"][0]["image"] == "shop/checkout:1"


def test_a_server_side_dry_run_is_refused_too(checkout: Workload, tmp_path: Path) -> None:
    checkout.close()
    changed = manifest(tmp_path, deployment(checkout.name, "shop/checkout:2"))
    done = checkout.kubectl("apply", "--dry-run=server", "-f", changed)
    assert done.returncode == 1
    assert SENTENCE in done.stderr


def test_without_a_message_the_refusal_says_where_to_look(checkout: Workload) -> None:
    silent = closed(checkout.name)
    del silent["message"]
    checkout.write_record(silent)
    until(checkout.refuses)
    refusal = checkout.refusal()
    assert refusal is not None
    assert "kubectl get rollouts.penstock.dev -o wide says why" in refusal.message


def test_a_message_never_says_immutable_or_flux_would_replace_the_deployment(
    checkout: Workload,
) -> None:
    checkout.close(message="Held by alice: the schema is immutable until Monday")
    refusal = checkout.refusal()
    assert refusal is not None
    assert refusal.message.endswith("Held by alice: the schema is unchangeable until Monday")


def test_warn_reports_and_lets_pass(checkout: Workload) -> None:
    checkout.write_record(closed(checkout.name, admission="Warn"))
    target = f"deployment/{checkout.name}"

    def warned() -> bool:
        tried = checkout.kubectl("set", "image", target, "app=shop/new:1", "--dry-run=server")
        assert tried.returncode == 0, tried.stderr
        return "Warning: " in tried.stderr and SENTENCE in tried.stderr

    until(warned)
    assert not checkout.refuses()


def test_a_permit_lets_exactly_its_images_pass(checkout: Workload) -> None:
    """All images, init containers first."""
    init = {"initContainers": [{"name": "migrate", "image": "shop/migrate:2"}]}
    both = in_template(spec=init | release("shop/checkout:2")["spec"]["template"]["spec"])
    images = ["shop/migrate:2", "shop/checkout:2"]
    checkout.close(permits=[{"images": ["other"]}, {"images": images}])
    assert checkout.refusal(both) is None
    assert checkout.refusal(release("shop/checkout:2")) is not None


def test_an_open_gate_lets_pass(checkout: Workload) -> None:
    checkout.close()
    checkout.open()
    checkout.patch(release())


def test_without_its_record_the_gate_is_open(checkout: Workload) -> None:
    checkout.close()
    checkout.server.kube.call("DELETE", f"{checkout.records}/{checkout.name}")
    until(lambda: not checkout.refuses())


def test_a_label_taken_away_from_the_template_is_a_release(checkout: Workload) -> None:
    checkout.patch(in_template(metadata={"labels": {"tier": "gold"}}))
    checkout.close()
    assert checkout.refusal(in_template(metadata={"labels": {"tier": None}})) is not None


@pytest.mark.parametrize("otherwise", [{"admission": "Warn"}, {"admits": True}], ids=str)
def test_a_record_whose_label_and_data_disagree_refuses_nothing(
    checkout: Workload, otherwise: dict[str, Any]
) -> None:
    """Nobody but the operator writes records; in doubt the policy lets pass."""
    checkout.close()
    path = f"{checkout.records}/{checkout.name}"
    data = {"data": otherwise}
    checkout.server.kube.call("PATCH", path, data, content_type=MERGE)
    until(lambda: not checkout.refuses())

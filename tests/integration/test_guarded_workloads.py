"""Workloads and Rollouts that come and go while they are guarded."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from support.admission_fixture import MERGE
from support.operator_process import wait_for
from support.story import API_VERSION, IMAGE, Story, played
from support.traffic import BROKEN
from testbed.api import ApiError

pytestmark = [pytest.mark.servers, pytest.mark.slow]

BINDING = (
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/"
    "one-rollout-per-workload.penstock.dev"
)


def held_at_8_of_old_and_5_of_new(story: Story) -> None:
    story.change(ready_after="never")
    story.wait_replicas(v1=8, v2=5)
    story.slo(service=BROKEN)
    story.wait_held("partial")


def test_a_workload_that_is_missing_is_reported_and_guarded_when_it_comes(story: Story) -> None:
    story.source()
    story.slo()
    story.rollout()
    missing = story.wait_condition("WorkloadSupported", "False", "WorkloadNotFound")
    assert "create it, or create a Rollout with the right workloadRef" in missing["message"]
    assert story.condition("Ready")["reason"] == "WorkloadNotFound"

    story.deploy(played(replicas=2))

    story.wait_condition("Ready", "True", "Enforcing")
    story.wait("its template is stable", lambda it: len(it["status"].get("stable", ())) == 1)


def test_a_workload_recreated_with_another_template_is_reported_as_ungated(story: Story) -> None:
    story.guarded(replicas=3)
    story.slo(service=BROKEN)
    story.wait_gate("Closed")
    story.wait_refused()
    manifest = played(replicas=3, image=f"{IMAGE}:2")
    manifest["spec"]["template"]["metadata"]["annotations"] = {"penstock.test/ready-after": "never"}

    story.do("replace", "--force", "-f", "-", stdin=json.dumps(manifest))

    told = story.wait(
        "it is told",
        lambda it: (it["status"].get("release") or {}).get("onset") == "Recreated",
    )
    assert told["status"]["release"]["reason"] == "ReleasedUngated"
    wait_for(
        "the sentence", story.gate, lambda it: "was deleted and re-created with it" in it["message"]
    )
    assert story.status()["hold"]["active"] is False


def test_a_workload_recreated_with_the_same_template_is_not_a_release(story: Story) -> None:
    story.guarded(replicas=3)
    story.slo(service=BROKEN)
    story.wait_gate("Closed")
    uid = story.deployment()["metadata"]["uid"]

    story.do("replace", "--force", "-f", "-", stdin=json.dumps(played(replicas=3)))

    story.wait("the new one is seen", lambda it: it["status"]["workload"].get("uid") != uid)
    story.wait_complete()
    story.wait("it is complete", lambda it: it["status"]["workload"]["phase"] == "Complete")
    assert "re-created" not in story.gate()["message"]
    assert "release" not in story.status()


def test_a_rollout_deleted_while_it_holds_releases_the_hold_and_says_so(story: Story) -> None:
    story.guarded()
    held_at_8_of_old_and_5_of_new(story)

    story.do("delete", "rollouts.penstock.dev/web")

    wait_for("the pause is gone", lambda: not story.deployment()["spec"].get("paused"))
    wait_for("it is told", story.reasons, lambda it: "HoldReleased" in it)
    wait_for(
        "an Event says it",
        lambda: story.events()[-1]["message"],
        lambda told: "its Rollout was deleted" in told,
    )
    assert "penstock.dev/held" not in story.deployment()["metadata"]["labels"]
    story.wait_admitted()


def test_a_hold_in_force_learns_that_it_is_to_be_kept_and_outlives_its_rollout(
    story: Story,
) -> None:
    story.guarded()
    held_at_8_of_old_and_5_of_new(story)

    story.patch("rollouts", "web", {"spec": {"onDelete": "KeepHeld"}})

    kept = "penstock.dev/keep-held"
    wait_for("it is marked", lambda: kept in story.deployment()["metadata"]["labels"])
    story.patch("rollouts", "web", {"spec": {"onDelete": "Release"}})
    wait_for("the mark is gone", lambda: kept not in story.deployment()["metadata"]["labels"])
    assert story.status()["hold"]["active"] is True
    assert "lostAt" not in story.status()["hold"]

    story.patch("rollouts", "web", {"spec": {"onDelete": "KeepHeld"}})
    wait_for("it is marked", lambda: kept in story.deployment()["metadata"]["labels"])
    story.do("delete", "rollouts.penstock.dev/web", "--wait")
    story.wait_admitted()
    assert story.deployment()["spec"]["paused"] is True
    labels = story.deployment()["metadata"]["labels"]
    assert labels["penstock.dev/held"] == "true"
    assert labels[kept] == "true"


@pytest.fixture
def no_policy_against_two(story: Story) -> Iterator[None]:
    """Two Rollouts of one workload that are made within the same moment slip through.

    The policy is taken away from this story's namespace alone: others share the API server.
    """
    name = "kubernetes.io/metadata.name"
    elsewhere = {"key": name, "operator": "NotIn", "values": [story.namespace]}
    exempt = {"matchResources": {"namespaceSelector": {"matchExpressions": [elsewhere]}}}
    story.kube.call("PATCH", BINDING, {"spec": exempt}, content_type=MERGE)
    yield
    story.kube.call("PATCH", BINDING, {"spec": {"matchResources": None}}, content_type=MERGE)
    story.do("delete", "rollouts.penstock.dev", "--all")


def rival(story: Story) -> bool:
    """Whether a second Rollout of the same workload could be made."""
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    body = {
        "apiVersion": API_VERSION,
        "kind": "Rollout",
        "metadata": {"name": "web-rival"},
        "spec": {"workloadRef": ref, "slos": [{"name": "web"}], "hold": {"reason": "mine"}},
    }
    try:
        story.kube.call("POST", story.path("rollouts"), body)
    except ApiError:
        return False
    return True


@pytest.mark.usefixtures("no_policy_against_two")
def test_a_second_rollout_on_a_workload_enforces_nothing(story: Story) -> None:
    story.guarded()
    wait_for("the second one is let through", lambda: rival(story))

    conflict = story.wait_condition("Ready", "False", "WorkloadConflict", name="web-rival")
    assert "Deployment/web is already guarded by Rollout web" in conflict["message"]
    assert story.gate("web-rival")["state"] == "Open"
    assert story.refusal() is None
    story.change(ready_after="never")
    story.wait_replicas(v1=8, v2=5)
    assert story.pausers() == []

    story.do("delete", "rollouts.penstock.dev/web")

    story.wait_gate("Closed", "HeldByPerson", name="web-rival")
    wait_for("the other one holds now", lambda: story.deployment()["spec"].get("paused"))

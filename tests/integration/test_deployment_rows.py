"""Rows D of the list of cases that every adapter must pass, on the real Deployment controller.

The number in a test's name is the row's. A person's hold in the Rollout's spec closes the gate at
the moment that a test chooses; what happens to the Deployment is the same for every reason.
"""

from __future__ import annotations

import json
import time

import pytest

from support.operator_process import wait_for
from support.story import IMAGE, Story, played
from testbed.workloads import is_complete

pytestmark = [pytest.mark.servers, pytest.mark.slow]


def stuck_at_8_of_old_and_5_of_new(story: Story) -> None:
    """A release of ten pods whose new ones never get ready."""
    story.change(ready_after="never")
    story.wait_replicas(v1=8, v2=5)


def held_at_8_of_old_and_5_of_new(story: Story) -> None:
    stuck_at_8_of_old_and_5_of_new(story)
    story.hold()
    story.wait_held("partial")


def test_row_05_a_person_who_resumes_what_we_hold_is_respected_and_named(story: Story) -> None:
    story.guarded()
    held_at_8_of_old_and_5_of_new(story)

    story.do("rollout", "resume", "deployment/web")

    told = story.wait("it is noticed", lambda it: it["status"]["release"].get("resumedAt"))
    assert told["status"]["release"]["reason"] == "OverrideActive"
    event = wait_for(
        "an Event says it",
        lambda: story.events()[-1],
        lambda it: "a person resumed it at" in it["message"],
    )
    assert event["type"] == "Warning"
    assert "paused" not in story.deployment()["spec"]
    assert story.gate()["state"] == "Closed"


def test_row_06_a_persons_label_withholds_our_release(story: Story) -> None:
    story.guarded()
    held_at_8_of_old_and_5_of_new(story)
    story.do("label", "deployment/web", "penstock.dev/hold=migration")

    story.unhold()

    gate = wait_for(
        "the label's hold is told", story.gate, lambda it: "penstock.dev/hold" in it["message"]
    )
    assert gate["reason"] == "HeldByPerson"
    assert "migration" in gate["message"]
    assert story.status()["hold"]["active"] is True
    assert story.deployment()["spec"]["paused"] is True

    story.do("label", "deployment/web", "penstock.dev/hold-")
    story.wait_released()


def test_row_07_a_manager_that_pins_paused_by_apply_is_named_and_not_overruled(
    story: Story,
) -> None:
    story.source()
    story.slo()
    manifest = played(paused=False)
    story.apply_as("argocd", manifest)
    story.wait_complete()
    story.rollout()
    story.wait_gate("Open", "BudgetHealthy")
    stuck_at_8_of_old_and_5_of_new(story)

    story.hold()

    contested = story.wait_condition("Contested", "True", "Contested")
    assert "argocd" in contested["message"]
    assert story.status()["hold"]["active"] is False
    assert story.status()["hold"]["contestedBy"] == "argocd"
    assert not story.deployment()["spec"].get("paused")


def test_row_08_a_manifest_that_pins_paused_is_contested_after_three_losses(story: Story) -> None:
    story.source()
    story.slo()
    manifest = json.dumps(played(paused=False))
    story.do("apply", "-f", "-", stdin=manifest)
    story.wait_complete()
    story.rollout(onExternalResume="Enforce")
    story.wait_gate("Open", "BudgetHealthy")
    changed = played(paused=False)
    template = changed["spec"]["template"]
    template["metadata"]["annotations"] = {"penstock.test/ready-after": "never"}
    template["spec"]["containers"][0]["image"] = f"{IMAGE}:2"
    story.do("apply", "-f", "-", stdin=json.dumps(changed))
    story.wait_replicas(v1=8, v2=5)
    story.hold()

    for losses in (1, 2, 3):
        story.wait_held()
        story.do("apply", "-f", "-", stdin=json.dumps(changed))
        story.wait(
            f"loss {losses} is counted",
            lambda it, losses=losses: len(it["status"]["hold"].get("lostAt", ())) == losses,
        )

    contested = story.wait_condition("Contested", "True", "Contested")
    assert "kubectl apply" in contested["message"]
    version = story.deployment()["metadata"]["resourceVersion"]
    story.unhold()
    story.wait_gate("Open")
    story.hold()
    story.wait_gate("Closed")
    assert story.deployment()["metadata"]["resourceVersion"] == version


def test_row_09_a_hold_wiped_by_replace_is_recreated_and_counted(story: Story) -> None:
    story.guarded()
    story.rollout(onExternalResume="Enforce")
    held_at_8_of_old_and_5_of_new(story)
    manifest = played()
    live = story.deployment()
    manifest["spec"]["template"] = live["spec"]["template"]

    story.do("replace", "-f", "-", stdin=json.dumps(manifest))

    story.wait("the loss is counted", lambda it: len(it["status"]["hold"].get("lostAt", ())) == 1)
    story.wait_held("partial")


def test_row_10_an_apply_without_the_key_leaves_our_hold_and_costs_no_write(
    story: Story,
) -> None:
    story.source()
    story.slo()
    story.apply_as("argocd", played())
    story.wait_complete()
    story.rollout()
    story.wait_gate("Open", "BudgetHealthy")
    changed = played(image=f"{IMAGE}:2")
    changed["spec"]["template"]["metadata"]["annotations"] = {"penstock.test/ready-after": "never"}
    story.apply_as("argocd", changed)
    story.wait_replicas(v1=8, v2=5)
    story.hold()
    since = story.wait_held("partial")["hold"]["since"]
    entry = our_entry(story)

    changed["metadata"]["labels"]["team"] = "shop"
    story.apply_as("argocd", changed)
    wait_for("the apply is done", lambda: story.deployment()["metadata"]["labels"].get("team"))

    assert story.deployment()["spec"]["paused"] is True
    assert our_entry(story) == entry
    hold = story.status()["hold"]
    assert hold["since"] == since
    assert "lostAt" not in hold


def our_entry(story: Story) -> object:
    """Our line in managedFields, with the time of our last write that changed anything."""
    managed = story.deployment()["metadata"]["managedFields"]
    return next(one for one in managed if one["manager"].startswith("penstock-hold-"))


def test_row_17_a_single_replica_is_reported_as_not_held(story: Story) -> None:
    story.guarded(replicas=1)
    story.change(ready_after="never")
    story.wait_replicas(v1=1, v2=1)

    story.hold()

    story.wait_gate("Closed", "HeldByPerson")
    status = story.wait("it says so", lambda it: it["status"]["hold"].get("effective") == "none")
    assert status["status"]["hold"]["active"] is False
    held = story.condition("Held")
    assert (held["status"], held["reason"]) == ("False", "NotHeld")
    assert "can no longer be held" in story.gate()["message"]
    assert story.pausers() == []


def test_row_18_a_release_with_all_its_pods_is_reported_as_not_held(story: Story) -> None:
    story.guarded(replicas=4, strategy={"rollingUpdate": {"maxSurge": "100%"}})
    story.change(ready_after="never")
    story.wait("all new pods are wanted", lambda _: story.replicas().get("2") == 4)

    story.hold()

    story.wait_gate("Closed", "HeldByPerson")
    story.wait("it says so", lambda it: it["status"]["hold"].get("effective") == "none")
    assert story.status()["hold"]["active"] is False
    assert story.pausers() == []


def test_row_19_a_held_version_that_grows_by_scaling_is_reported(story: Story) -> None:
    story.guarded()
    held_at_8_of_old_and_5_of_new(story)
    assert "at 5 of 10 pods" in story.gate()["message"]

    story.do("scale", "deployment/web", "--replicas=14")

    story.wait_replicas(v1=11, v2=7)
    story.wait("it is reported", lambda it: "at 7 of 14 pods" in it["status"]["gate"]["message"])
    workload = story.status()["workload"]
    assert (workload["updated"], workload["total"]) == (7, 14)


def test_row_21_recreate_held_between_delete_and_create_brings_the_old_version_back(
    story: Story,
) -> None:
    story.source()
    story.slo()
    manifest = played(replicas=2, strategy={"type": "Recreate"})
    lingering = "penstock.test/lingers"
    manifest["spec"]["template"]["metadata"]["finalizers"] = [lingering]
    story.deploy(manifest)
    story.rollout()
    story.wait_gate("Open", "BudgetHealthy")
    story.change()
    wait_for("the old pods are told to go", story.replicas, lambda found: not found)

    story.hold()

    story.wait_held("full")
    story.wait_replicas(v1=2)
    story.wait("it is reported", lambda it: "at 0 of 2 pods" in it["status"]["gate"]["message"])
    story.unhold()
    story.wait_released()
    story.let_pods_go()


def test_row_22_a_release_past_its_deadline_is_held_all_the_same(story: Story) -> None:
    story.guarded(progressDeadlineSeconds=2)
    stuck_at_8_of_old_and_5_of_new(story)
    story.wait("the deadline is told", lambda it: it["status"]["workload"]["phase"] == "Failed")

    story.hold()

    story.wait_held("partial")
    conditions = story.deployment()["status"]["conditions"]
    assert "ProgressDeadlineExceeded" in {one.get("reason") for one in conditions}


def test_row_23_a_hold_longer_than_the_deadline_ends_without_a_false_failure(
    story: Story,
) -> None:
    story.guarded(replicas=4, progressDeadlineSeconds=8, minReadySeconds=4)
    story.change()
    wait_for("it is half way", story.replicas, lambda found: found.get("2", 0) in (1, 2))
    story.hold()
    story.wait_held("partial")
    time.sleep(9)

    story.unhold()
    story.wait_released()

    seen = set()
    while not is_complete(story.deployment(), tag="2"):
        seen |= {one.get("reason") for one in story.deployment()["status"]["conditions"]}
        assert "ProgressDeadlineExceeded" not in seen
        time.sleep(0.2)
    assert story.status()["workload"]["phase"] != "Failed"


def test_row_24_a_first_release_is_never_held(story: Story) -> None:
    story.source()
    story.slo()
    story.rollout(hold={"reason": "before anything runs"})
    story.wait_condition("WorkloadSupported", "False", "WorkloadNotFound")

    story.kube.call("POST", story.path("deployments"), played(replicas=3, paused=True))

    refused = story.wait_condition("WorkloadSupported", "False", "WorkloadUnsupported")
    assert "has no ReplicaSet yet" in refused["message"]
    assert story.pausers() != []
    assert not [one for one in story.pausers() if one.startswith("penstock")]
    story.do("rollout", "resume", "deployment/web")
    story.wait_complete()
    assert story.status()["hold"]["active"] is False
    assert story.gate()["reason"] == "HeldByPerson"


def test_row_24_a_first_release_rolls_out_through_a_closed_gate_and_the_next_one_does_not(
    story: Story,
) -> None:
    story.source()
    story.slo()
    story.rollout(hold={"reason": "before anything runs"})
    story.wait_gate("Closed", "HeldByPerson")
    manifest = played(replicas=3)
    manifest["spec"]["template"]["metadata"]["annotations"] = {"penstock.test/ready-after": "6"}

    story.kube.call("POST", story.path("deployments"), manifest)

    story.wait(
        "it is told as the first one",
        lambda it: it["status"].get("release", {}).get("reason") == "FirstReleasePermitted",
    )
    wait_for(
        "the sentence", story.gate, lambda it: "is the first release and continues" in it["message"]
    )
    assert story.pausers() == []
    story.wait_complete()
    story.wait("it is over", lambda it: "release" not in it["status"])
    assert story.status()["hold"]["active"] is False
    assert story.gate()["state"] == "Closed"
    assert story.wait_refused().code == 403


def test_row_25_a_workload_of_another_controller_is_refused_with_its_name(story: Story) -> None:
    story.guarded()
    story.patch(
        "deployments",
        "web",
        {"metadata": {"annotations": {"rollouts.kruise.io/in-progressing": "{}"}}},
    )
    stuck_at_8_of_old_and_5_of_new(story)

    story.hold()

    refused = story.wait_condition("WorkloadSupported", "False", "WorkloadUnsupported")
    assert "OpenKruise" in refused["message"]
    wait_for("the sentence says so", story.gate, lambda it: "cannot be held" in it["message"])
    assert story.pausers() == []


def test_row_25_a_workload_that_is_owned_is_refused_with_its_owners_name(story: Story) -> None:
    story.guarded()
    story.source("owner", url=story.bed.prometheus_url)
    owner = story.read("metricssources", "owner")
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": "owner",
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    story.patch("deployments", "web", {"metadata": {"ownerReferences": [reference]}})
    stuck_at_8_of_old_and_5_of_new(story)

    story.hold()

    refused = story.wait_condition("WorkloadSupported", "False", "WorkloadUnsupported")
    assert "MetricsSource owner" in refused["message"]
    assert story.pausers() == []


def test_row_26_undo_brings_old_annotations_back_and_changes_no_decision(story: Story) -> None:
    story.guarded(replicas=2)
    notes = {"penstock.dev/hold": "yes", "penstock.dev/held": "true"}
    story.patch("deployments", "web", {"metadata": {"annotations": notes}})
    story.do("set", "image", "deployment/web", "web=example.com/web:2")
    story.wait_complete(tag="2")
    for note in notes:
        story.do("annotate", "deployment/web", f"{note}-")
    story.do("set", "image", "deployment/web", "web=example.com/web:3")
    story.wait_complete(tag="3")

    story.do("rollout", "undo", "deployment/web")

    story.wait_complete(tag="2")
    assert notes.items() <= story.deployment()["metadata"]["annotations"].items()
    assert story.gate()["reason"] == "BudgetHealthy"
    assert story.status()["hold"]["active"] is False
    assert set(story.reasons()) <= {"EvidenceAbsent", "BudgetHealthy"}

"""What must hold whatever went wrong: told by the writes that passed the proxy, and by the objects.

The numbers are those of the design: I1 nothing is released while the gate is closed, I4 only the
object that was looked at is written to, I7 no finalizer and no annotation of ours anywhere.
"""

from __future__ import annotations

from typing import Any

from support.penstock_run import wait_for
from support.story import NAME, Story
from testbed.recorder import HOLD_MANAGER, Recorder, Write

OURS = ("penstock.dev/", "kopf")
KINDS = ("deployments", "replicasets", "pods", "slos", "rollouts", "gaterecords", "metricssources")


def assert_all(story: Story, recorder: Recorder) -> None:
    """None of them was violated in this namespace."""
    writes = recorder.writes(namespace=story.namespace)
    if story.read("rollouts"):  # a deleted one's hold is given back, whatever its gate was
        assert_never_released_while_closed(writes)
    assert_holds_name_their_object(writes)
    assert_no_finalizer_or_annotation(story)


def assert_never_released_while_closed(writes: list[Write]) -> None:
    """I1, for a namespace with one Rollout and no rollback, in the order of the answers."""
    admits = True
    for write in writes:
        if write.applied is False:
            continue
        if write.resource == "gaterecords":
            admits = write.body["data"]["admits"]
        assert admits or not is_release(write), f"released while closed: {write.describe()}"


def assert_holds_name_their_object(writes: list[Write]) -> None:
    """I4: each hold and release carries the uid, so that the API server refuses a namesake."""
    for write in writes:
        if write.manager.startswith(HOLD_MANAGER):
            assert write.body["metadata"]["uid"], write.describe()
            assert write.uid in ("", write.body["metadata"]["uid"]), write.describe()


def assert_no_finalizer_or_annotation(story: Story) -> None:
    """I7."""
    for kind in KINDS:
        for one in story.kube.call("GET", story.path(kind))["items"]:
            metadata = one["metadata"]
            traces = [*(metadata.get("finalizers") or ()), *(metadata.get("annotations") or ())]
            # What kubectl apply keeps of a manifest is the author's.
            assert [mark for mark in traces if mark.startswith(OURS)] == [], metadata["name"]


def is_release(write: Write) -> bool:
    """Whether it gives a hold back: it applies nothing under the hold's manager."""
    return write.manager.startswith(HOLD_MANAGER) and "spec" not in write.body


def end_state(story: Story) -> dict[str, Any]:
    """All that does not depend on when and how often it was written."""
    status, record = story.status(), story.read("gaterecords")
    return {
        "gate": {key: status["gate"][key] for key in ("state", "verdict", "reason", "slo")},
        "hold": status["hold"]["active"],
        "stable": [one["hash"] for one in status["stable"]],
        "admits": record["data"]["admits"],
        "paused": story.deployment()["spec"].get("paused"),
        "pausers": story.pausers(),
    }


def assert_a_fresh_operator_agrees(story: Story) -> None:
    """A new process comes to the same end, and has nothing to mend."""
    before = end_state(story)
    decided = story.gate()["decidedAt"]
    story.operator.stop()
    story.operator.start()
    story.patch("rollouts", NAME, {"spec": {"policy": {"resume": {"margin": "2%"}}}})
    generation = story.read("rollouts")["metadata"]["generation"]
    wait_for(
        "the new operator has judged",
        story.status,
        lambda it: it["observedGeneration"] == generation and it["gate"]["decidedAt"] > decided,
    )
    assert end_state(story) == before

"""What must hold of all that the operator wrote, whatever went wrong meanwhile.

The numbers are those of the design. I1 nothing is let go while the evidence says otherwise, I2 a
person's pause is never undone, I3 one effect for each decision, I4 only the object that was looked
at is written to, I5 whatever is shut says why, I7 no finalizer and no annotation of ours. I6 (it
moves, or says so) and I8 (the end is that of a fresh operator) are the oracle's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from penstock.domain.evidence import REASONS, Evidence, EvidenceGrade
from penstock.domain.memory import HOLD_CAUSES
from penstock.domain.verdict import Reason
from support.story import Story
from testbed.recorder import HOLD_MANAGER, Write

KINDS = ("deployments", "replicasets", "pods", "slos", "rollouts", "gaterecords", "metricssources")
NO_WAY_ON = {
    *HOLD_CAUSES,
    Reason.RECOVERING,
    Reason.HELD_BY_PERSON,
    Reason.ADMITTED_WHILE_CLOSED,
    Reason.RELEASED_UNGATED,
    *(reason for kind, reason in REASONS.items() if Evidence(kind).grade is EvidenceGrade.OUTAGE),
}
NOT_ENFORCING = {Reason.AUDIT_ONLY, Reason.DISABLED, Reason.WORKLOAD_CONFLICT}

# The specs of the Rollouts that are there at the end, by uid.
Specs = Mapping[str, Mapping[str, Any]]


def violations(writes: Iterable[Write], specs: Specs) -> list[str]:
    """All that was violated by these writes of the operator, in the order of their answers."""
    done = [write for write in writes if write.applied is not False]
    told = [f"I1: {one}" for one in _let_go(done, specs)]
    told += [f"I1: {one}" for one in _opened(done, specs)]
    told += [f"{number}: {one.describe()}" for one in done for number in _of_one(one)]
    return told + [f"I3: {one}" for one in _twice(done)]


def _let_go(writes: list[Write], specs: Specs) -> Iterator[str]:
    """A hold is given back only after the status says that the release may go on.

    Of a Rollout that is no more the hold goes, whatever its gate was.
    """
    told: dict[str, Mapping[str, Any]] = {}
    for write in writes:
        if is_status(write):
            told[_uid(write)] = write.body["status"]
        uid = write.manager.removeprefix(HOLD_MANAGER)
        if not is_release(write) or uid not in specs:
            continue
        status = told.get(uid, {})
        if status.get("hold", {}).get("active") is not False:
            yield f"let go before it was told: {write.describe()}"
        elif _may_not_go_on(status) and enforces(status, specs[uid], "inFlight", "Hold"):
            yield f"let go although {status['release']['reason']}: {write.describe()}"


def _may_not_go_on(status: Mapping[str, Any]) -> bool:
    return (status.get("release") or {}).get("reason") in NO_WAY_ON


def _opened(writes: list[Write], specs: Specs) -> Iterator[str]:
    """What admission reads is what the status says next."""
    admits: dict[str, bool] = {}
    for write in writes:
        if write.resource == "gaterecords":
            owner = write.body["metadata"]["ownerReferences"][0]["uid"]
            admits[owner] = write.body["data"]["admits"]
        if not is_status(write) or _uid(write) not in admits or _uid(write) not in specs:
            continue
        status, record = write.body["status"], admits[_uid(write)]
        is_open = status.get("gate", {}).get("state") == "Open"
        if is_open and not record:
            yield f"refuses although Open: {write.describe()}"
        if record and not is_open and enforces(status, specs[_uid(write)], "admission", "Deny"):
            yield f"admits although not Open: {write.describe()}"


def enforces(status: Mapping[str, Any], spec: Mapping[str, Any], line: str, strongest: str) -> bool:
    """Whether this line of a Rollout acts, by its status then and what its author wrote last."""
    written = {"mode": "Enforce", "enforcement": {}, **spec}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    return (
        written["mode"] == "Enforce"
        and {line: strongest, **written["enforcement"]}[line] == strongest
        and conditions.get("Ready", {}).get("reason") not in NOT_ENFORCING
        and conditions.get("WorkloadSupported", {}).get("status") == "True"
    )


def _of_one(write: Write) -> Iterator[str]:
    """What a single write violates."""
    metadata = write.body.get("metadata") or {} if isinstance(write.body, dict) else {}
    if write.resource == "deployments" and not _is_a_hold_or_its_end(write):
        yield "I2"
    if write.manager.startswith(HOLD_MANAGER) and (
        not metadata.get("uid") or write.uid not in ("", metadata["uid"])
    ):
        yield "I4"
    if is_status(write) and not _says_why(write.body["status"].get("gate")):
        yield "I5"
    if {"annotations", "finalizers"} & set(metadata):
        yield "I7"


def _is_a_hold_or_its_end(write: Write) -> bool:
    """By a manager of its own and never by force, so that it can take away no one else's pause."""
    ours = write.verb == "patch" and write.manager.startswith(HOLD_MANAGER) and not write.forced
    return ours and write.body.get("spec", {}) in ({}, {"paused": True})


def _says_why(gate: Mapping[str, Any] | None) -> bool:
    if gate is None:
        return True
    message = gate.get("message", "")
    return bool(gate.get("reason")) and bool(message) and "\n" not in message


def _twice(writes: list[Write]) -> Iterator[str]:
    """The decisions of one Rollout are counted upwards, and a number means one of them."""
    numbered: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for write in writes:
        if is_status(write) and "gate" in write.body["status"]:
            status = write.body["status"]
            decision = f"{status['gate']['state']} {status['gate']['reason']}"
            numbered[_uid(write)].append((status["memory"]["serial"], decision))
    for told in numbered.values():
        for (serial, decision), (later, other) in pairwise(told):
            if later < serial or (later == serial and decision != other):
                yield f"decision {serial} is {decision}, then {later} is {other}"


def is_status(write: Write) -> bool:
    """Whether it is the status of a Rollout that could be decided."""
    whole = write.resource == "rollouts" and write.subresource == "status"
    return whole and "hold" in write.body["status"]


def is_release(write: Write) -> bool:
    """Whether it gives a hold back: it applies nothing under the hold's manager."""
    return write.manager.startswith(HOLD_MANAGER) and "spec" not in write.body


def _uid(write: Write) -> str:
    return str(write.body["metadata"]["uid"])


def traces(story: Story) -> list[str]:
    """I7, by the objects: finalizers of ours, and whatever Kopf would leave.

    What kubectl apply keeps of a manifest, and what a person wrote, is the author's.
    """
    marks: dict[str, Callable[[str], bool]] = {
        "finalizers": lambda mark: mark.startswith(("penstock.dev/", "kopf")),
        "annotations": lambda mark: mark.startswith("kopf"),
    }
    return [
        f"I7: {kind} {one['metadata']['name']}: {mark}"
        for kind in KINDS
        for one in story.kube.call("GET", story.path(kind))["items"]
        for field, is_ours in marks.items()
        for mark in one["metadata"].get(field) or ()
        if is_ours(mark)
    ]

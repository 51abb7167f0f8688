"""What a kubelet says of a pod: its status, made from where its containers stand.

Owns the reading of pods and the writing of their status as pure functions; the clock's time is
given. It refuses to decide for others: a readiness gate is true when its own controller says so,
never because the node does.

Pods of the sample application are run (`is_run`); all others are *played*: they are only said to be
Ready, or to fail. Two annotations of a played pod say what is played, also while it runs:

    penstock.test/ready-after: "3"            seconds until it is Ready (0), or "never"
    penstock.test/fail: CrashLoopBackOff      its containers wait with this reason

An image whose tag begins with "bad" cannot be pulled (ImagePullBackOff), run or played.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]

SAMPLE = "sample-app"
"""A container whose image's repository has this as its last part, whatever the registry and tag, is
run as a process: `penstock.dev/sample-app:1.0`. The first such container of a pod is."""

READY_AFTER = "penstock.test/ready-after"
FAIL = "penstock.test/fail"

PULL_FAILED = "ImagePullBackOff"
CRASHING = "CrashLoopBackOff"
WRONG_CONFIG = "CreateContainerConfigError"


@dataclass(frozen=True)
class PodState:
    """Where the containers of a pod stand, in the words of `containerStatuses`."""

    state: Object
    ready: bool = False
    restarts: int = 0
    last_state: Object = field(default_factory=dict)

    @property
    def phase(self) -> str:
        """A container that waits and never ran leaves its pod Pending."""
        return "Pending" if "waiting" in self.state and not self.restarts else "Running"


def waiting(
    reason: str, message: str, *, restarts: int = 0, last_state: Object | None = None
) -> PodState:
    state = {"waiting": {"reason": reason, "message": message}}
    return PodState(state, restarts=restarts, last_state=last_state or {})


def running(
    since: str, *, ready: bool, restarts: int = 0, last_state: Object | None = None
) -> PodState:
    return PodState({"running": {"startedAt": since}}, ready, restarts, last_state or {})


def image_tag(image: str) -> str:
    """The tag of an image's name, `latest` when it has none, as kubelets understand it."""
    return _repository_and_tag(image)[1] or "latest"


def sample_container(pod: Object) -> Object | None:
    """The container that is run as a process, None for a pod that is only played."""
    for container in pod["spec"]["containers"]:
        if _repository_and_tag(container["image"])[0].rpartition("/")[2] == SAMPLE:
            return dict(container)
    return None


def is_run(pod: Object) -> bool:
    return sample_container(pod) is not None and not cannot_pull(pod)


def cannot_pull(pod: Object) -> bool:
    return any(image_tag(c["image"]).startswith("bad") for c in pod["spec"]["containers"])


def played(pod: Object, age: float, now: str) -> tuple[PodState, float | None]:
    """How a pod that is not run stands at this age, and in how many seconds that changes."""
    if cannot_pull(pod):
        return waiting(PULL_FAILED, "Back-off pulling image: its tag begins with `bad`"), None
    notes = pod["metadata"].get("annotations") or {}
    since = (pod.get("status") or {}).get("startTime") or now
    if reason := notes.get(FAIL):
        return _failing(reason, since), None
    delay = _ready_after(notes.get(READY_AFTER, "0"))
    if delay is None:
        problem = f"annotation {READY_AFTER} is not a number of seconds from 0, and not `never`"
        return waiting(WRONG_CONFIG, problem), None
    # A node that was started again finds Ready pods and must not take that back.
    if age >= delay or (math.isfinite(delay) and condition(pod, "Ready") == "True"):
        return running(since, ready=True), None
    return running(since, ready=False), delay - age if math.isfinite(delay) else None


def status(
    pod: Object, state: PodState, address: str | None, host: str, now: str
) -> dict[str, Any]:
    """The status to write, as a strategic merge patch of what the pod says now."""
    present = pod.get("status") or {}
    wanted: dict[str, Any] = {
        "phase": state.phase,
        "hostIP": host,
        "startTime": present.get("startTime") or now,
        "conditions": [_dated(present, c, now) for c in _conditions(pod, state)],
        "containerStatuses": [_container_status(c, state) for c in pod["spec"]["containers"]],
    }
    if address and present.get("podIP") != address:
        wanted |= {"podIP": address, "podIPs": [{"$patch": "replace"}, {"ip": address}]}
    return wanted


def is_said(present: Any, wanted: Any) -> bool:
    """Whether what is there contains all that is wanted, so that nothing has to be written."""
    if isinstance(wanted, Mapping):
        fields = present if isinstance(present, Mapping) else {}
        return all(is_said(fields.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        items = _in_order_of(wanted, present or [])
        return len(items) >= len(wanted) and all(map(is_said, items, wanted))
    return bool(present == wanted)


def condition(pod: Object, kind: str) -> str:
    """The status of one of its conditions, Unknown when it has none."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return str(_find(conditions, kind).get("status", "Unknown"))


def _repository_and_tag(image: str) -> tuple[str, str]:
    name = image.partition("@")[0]
    path, slash, last = name.rpartition("/")
    base, _, tag = last.partition(":")
    return f"{path}{slash}{base}", tag


def _ready_after(text: str) -> float | None:
    if text == "never":
        return math.inf
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None


def _failing(reason: str, since: str) -> PodState:
    message = f"played, by the annotation {FAIL}"
    if reason != CRASHING:
        return waiting(reason, message)
    ended = {"exitCode": 1, "reason": "Error", "startedAt": since, "finishedAt": since}
    return waiting(reason, message, restarts=1, last_state={"terminated": ended})


def _container_status(container: Object, state: PodState) -> dict[str, Any]:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": state.ready,
        "started": "running" in state.state,
        "restartCount": state.restarts,
        "state": state.state,
        "lastState": state.last_state,
    }


def _conditions(pod: Object, state: PodState) -> Sequence[Object]:
    names = [container["name"] for container in pod["spec"]["containers"]]
    unready = None
    if not state.ready:
        unready = ("ContainersNotReady", f"containers with unready status: {names}")
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or []]
    closed = [gate for gate in gates if condition(pod, gate) != "True"]
    gated = unready
    if closed and not unready:
        gated = ("ReadinessGatesNotReady", f"the status of pod readiness gate {closed} is not True")
    return [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Initialized", "status": "True"},
        _unless("ContainersReady", unready),
        _unless("Ready", gated),
    ]


def _unless(kind: str, problem: tuple[str, str] | None) -> Object:
    reason, message = problem or (None, None)
    status = "False" if problem else "True"
    return {"type": kind, "status": status, "reason": reason, "message": message}


def _dated(present: Object, wanted: Object, now: str) -> dict[str, Any]:
    """The time of a condition is that of its last change."""
    there = _find(present.get("conditions") or [], wanted["type"])
    since = there.get("lastTransitionTime") if there.get("status") == wanted["status"] else None
    return {**wanted, "lastTransitionTime": since or now}


def _in_order_of(wanted: Sequence[Any], present: Sequence[Any]) -> list[Any]:
    """Conditions are told apart by type, since others write theirs in between."""
    if wanted and isinstance(wanted[0], Mapping) and "type" in wanted[0]:
        return [_find(present, one["type"]) for one in wanted]
    return list(present)


def _find(conditions: Sequence[Object], kind: str) -> Object:
    return next((one for one in conditions if one.get("type") == kind), {})

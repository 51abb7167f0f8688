"""Statuses and records at their largest: the API server takes them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

from penstock.adapters.custom_resources import CustomResources
from penstock.adapters.kube_client import KubeClient
from penstock.domain.effective_settings import MOST_SLOS_SHOWN
from penstock.domain.refs import ObjectRef
from penstock.domain.rollout_state import (
    HISTORY_KEPT,
    STABLE_KEPT,
    Condition,
    EffectiveSetting,
    Gate,
    GateRecord,
    Hold,
    RolloutState,
    StableTemplate,
    Transition,
    WorkloadSummary,
)
from penstock.domain.template import LARGEST_TEMPLATE, pod_template
from penstock.domain.verdict import GateState, Reason, Verdict
from penstock.domain.workload import Phase
from testbed.bed import Bed

pytestmark = pytest.mark.servers

MOST_SLOS = 32
LONGEST_NAME = "a" * 253
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
# The API server takes 1.5 MiB; what is watched by many must stay far from that.
MOST_BYTES = 512 * 1_024
TEXT = "ü" * 20_000


def largest_standing() -> RolloutState:
    """Every list full, every text too long."""
    pairs = tuple(
        EffectiveSetting(f"burn[{number:03}]", TEXT, "Rollout") for number in range(MOST_SLOS_SHOWN)
    )
    entry = Transition(AT, Verdict.HOLD, GateState.CLOSED, Reason.BURNING_FAST, LONGEST_NAME, TEXT)
    stable = StableTemplate("0" * 16, ("x" * 20_000,) * 100, AT, LONGEST_NAME)
    kinds = ("Ready", "GateOpen", "Held", "Contested", "WorkloadSupported")
    return RolloutState(
        gate=Gate(
            *(Verdict.HOLD, GateState.CLOSED, Reason.BURNING_FAST, LONGEST_NAME, TEXT, AT, AT),
            *(TEXT, TEXT, TEXT, TEXT),
        ),
        workload=WorkloadSummary(f"Deployment/{LONGEST_NAME}", "uid", Phase.ROLLING),
        stable=(stable,) * STABLE_KEPT,
        hold=Hold(True, "penstock-hold-uid", contested_by=TEXT, refused=TEXT),
        history=(entry,) * HISTORY_KEPT,
        conditions=tuple(Condition(kind, "False", "BurningFast", TEXT, AT) for kind in kinds),
        settings=(
            *pairs,
            *(EffectiveSetting(f"field.{number}", TEXT, "Default") for number in range(9)),
        ),
        generation=1,
    )


def largest_record() -> GateRecord:
    """As many templates as are kept, each as large as is shown to admission."""
    frame = {"spec": {"containers": [{"name": "web", "image": "web", "args": [""]}]}}
    room = LARGEST_TEMPLATE - len(json.dumps(frame))
    bodies = []
    for number in range(STABLE_KEPT):
        args = [f"{number}" + "x" * (room - 100)]
        bodies.append(pod_template({"spec": {"containers": [{"name": "web", "args": args}]}}))
    assert all(body.storable for body in bodies)
    assert not pod_template({"spec": {"args": "ü" * (LARGEST_TEMPLATE * 2 // 3)}}).storable
    shown = tuple((body, AT) for body in bodies)
    return GateRecord("web", "apps/v1", "Deployment", False, False, TEXT, shown)


@pytest.fixture
def ref(bed: Bed, namespace: str) -> ObjectRef:
    """A Rollout that names as many SLOs as it may, by the longest names there are."""
    names = [f"{number:02}{'a' * 251}" for number in range(MOST_SLOS)]
    body = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": LONGEST_NAME},
        "spec": {
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "slos": [{"name": name} for name in names],
        },
    }
    path = f"/apis/penstock.dev/v1alpha1/namespaces/{namespace}/rollouts"
    made = bed.kube.call("POST", path, body)["metadata"]
    return ObjectRef(namespace, made["name"], made["uid"])


def ask(bed: Bed, question: Callable[[CustomResources], Coroutine[Any, Any, None]]) -> None:
    async def answer() -> None:
        configuration = Configuration()
        await load_kube_config(str(bed.kubeconfig), client_configuration=configuration)
        server = KubeClient.from_configuration(configuration)
        try:
            await question(CustomResources(server))
        finally:
            await server.close()

    asyncio.run(answer())


def read(bed: Bed, ref: ObjectRef, kind: str) -> tuple[dict[str, Any], int]:
    path = f"/apis/penstock.dev/v1alpha1/namespaces/{ref.namespace}/{kind}/{ref.name}"
    body = bed.kube.call("GET", path)
    return body, len(json.dumps(body, ensure_ascii=False).encode())


def test_the_largest_status_is_taken_and_stays_small(bed: Bed, ref: ObjectRef) -> None:
    ask(bed, lambda ours: ours.write_status("rollouts", ref, largest_standing()))

    body, size = read(bed, ref, "rollouts")
    assert len(body["status"]["history"]) == HISTORY_KEPT
    assert len(body["status"]["gate"]["message"]) == 1_024
    assert size < MOST_BYTES


def test_the_largest_record_is_taken(bed: Bed, ref: ObjectRef) -> None:
    ask(bed, lambda ours: ours.write_record(ref, largest_record()))

    body, size = read(bed, ref, "gaterecords")
    assert len(body["data"]["templates"]) == STABLE_KEPT
    assert size < 1_200_000

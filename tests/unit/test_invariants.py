"""The invariants see each violation that is planted in what an operator wrote, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from support.invariants import violations
from testbed.recorder import HOLD_MANAGER, Write

AT = datetime(2026, 11, 24, 14, 2, tzinfo=UTC)
UID, WORKLOAD = "r1", "d1"
SPECS: dict[str, dict[str, Any]] = {UID: {}}
MANAGER = f"{HOLD_MANAGER}{UID}"


def write(resource: str, body: Any, manager: str = "penstock", /, **facts: Any) -> Write:
    made = Write(
        at=AT,
        verb="patch",
        group="",
        version="",
        resource=resource,
        subresource="",
        namespace="shop",
        name="web",
        kind="",
        manager=manager,
        forced=manager == "penstock",
        content_type="",
        body=body,
        dry_run=False,
        forwarded=True,
        code=200,
        resource_version="",
        uid=str(body["metadata"].get("uid", "")),
        fault="",
    )
    return replace(made, **facts)


def status(
    state: str, reason: str, serial: int, *, active: bool = False, release: str = "", **more: Any
) -> Write:
    conditions = [{"type": "WorkloadSupported", "status": "True", "reason": "Supported"}]
    told = {
        "gate": {"state": state, "reason": reason, "message": f"{state} for {reason}"},
        "hold": {"active": active},
        "memory": {"serial": serial},
        "release": {"reason": release} if release else None,
        "conditions": conditions,
        **more,
    }
    body = {"metadata": {"uid": UID}, "status": told}
    return write("rollouts", body, subresource="status")


def record(admits: bool) -> Write:
    body = {"metadata": {"ownerReferences": [{"uid": UID}]}, "data": {"admits": admits}}
    return write("gaterecords", body)


def hold(**facts: Any) -> Write:
    body = {"metadata": {"uid": WORKLOAD}, "spec": {"paused": True}}
    return write("deployments", body, MANAGER, **facts)


def let_go(**facts: Any) -> Write:
    return write("deployments", {"metadata": {"uid": WORKLOAD}}, MANAGER, **facts)


OPENED = [record(True), status("Open", "BudgetHealthy", 1)]
HELD = [
    record(False),
    hold(),
    status("Closed", "BurningFast", 2, active=True, release="BurningFast"),
]
CALM = [record(True), status("Open", "BudgetHealthy", 3, release="BudgetHealthy"), let_go()]
STORY = [*OPENED, *HELD, *CALM]


def test_a_whole_story_violates_nothing() -> None:
    assert violations(STORY, SPECS) == []


def still(reason: str) -> list[Write]:
    return [status("Closed", "BurningFast", 2, release=reason), let_go()]


PLANTED: dict[str, tuple[list[Write], str]] = {
    "let go before it is told": ([*OPENED, *HELD, let_go()], "I1: let go before"),
    "let go without a word": ([let_go()], "I1: let go before"),
    "let go while it burns": ([*HELD, *still("BurningFast")], "I1: let go although BurningFast"),
    "let go in an outage": ([*HELD, *still("EvidenceStale")], "I1: let go although EvidenceStale"),
    "let go although a person holds": ([*HELD, *still("HeldByPerson")], "I1: let go although"),
    "admits although shut": ([record(True), HELD[2]], "I1: admits although not Open"),
    "admits although unknown": (
        [record(True), status("Unknown", "MetricsUnreachable", 2)],
        "I1: admits although not Open",
    ),
    "refuses although open": ([record(False), OPENED[1]], "I1: refuses although Open"),
    "a hold by force": ([hold(forced=True)], "I2"),
    "a pause undone": (
        [hold(body={"metadata": {"uid": WORKLOAD}, "spec": {"paused": False}})],
        "I2",
    ),
    "another field": (
        [hold(body={"metadata": {"uid": WORKLOAD}, "spec": {"paused": True, "replicas": 0}})],
        "I2",
    ),
    "a hold by another manager": ([hold(manager="penstock")], "I2"),
    "a workload deleted": ([hold(verb="delete")], "I2"),
    "a number twice": ([*OPENED, status("Open", "NoTraffic", 1)], "I3: decision 1 is Open"),
    "a number lower": ([*HELD, status("Closed", "BudgetLow", 1)], "I3"),
    "a namesake": ([hold(uid="d2")], "I4"),
    "no uid": ([hold(body={"metadata": {}, "spec": {"paused": True}})], "I4"),
    "no reason": ([status("Closed", "", 1)], "I5"),
    "no sentence": (
        [status("Open", "", 1, gate={"state": "Open", "reason": "BudgetHealthy", "message": ""})],
        "I5",
    ),
    "a finalizer": (
        [write("rollouts", {"metadata": {"finalizers": ["penstock.dev/hold"]}, "status": {}})],
        "I7",
    ),
    "an annotation": (
        [
            hold(
                body={
                    "metadata": {"uid": WORKLOAD, "annotations": {"a": "b"}},
                    "spec": {"paused": True},
                }
            )
        ],
        "I7",
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_is_seen(planted: str) -> None:
    writes, told = PLANTED[planted]
    found = violations(writes, SPECS)
    assert len(found) == 1, found
    assert found[0].startswith(told)


@pytest.mark.parametrize(
    "reason",
    ["RollbackPermitted", "FirstReleasePermitted", "OverrideActive", "BudgetHealthy", "NoTraffic"],
)
def test_what_may_continue_past_a_closed_gate_is_not_a_violation(reason: str) -> None:
    assert violations([*HELD, *still(reason)], SPECS) == []


def unsupported(writes: list[Write]) -> list[Write]:
    refused = [{"type": "WorkloadSupported", "status": "False", "reason": "WorkloadUnsupported"}]
    return [
        replace(one, body={**one.body, "status": {**one.body["status"], "conditions": refused}})
        if one.subresource
        else one
        for one in writes
    ]


@pytest.mark.parametrize(
    ("change", "specs"),
    [
        (list, {}),
        (list, {UID: {"mode": "Audit"}}),
        (list, {UID: {"enforcement": {"inFlight": "Off"}}}),
        (unsupported, SPECS),
    ],
    ids=["deleted", "Audit", "in flight Off", "of another tool"],
)
def test_what_is_not_enforced_any_more_is_let_go(
    change: Callable[[list[Write]], list[Write]], specs: Any
) -> None:
    assert violations(change([*HELD, *still("BurningFast")]), specs) == []


def test_a_write_that_was_not_done_is_not_a_violation() -> None:
    assert (
        violations([hold(forced=True, code=409), hold(forced=True, forwarded=False)], SPECS) == []
    )
    assert violations([hold(forced=True, code=None)], SPECS) != []

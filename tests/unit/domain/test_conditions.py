"""The conditions of a Rollout, as ``kubectl wait`` and dashboards ask for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from penstock.domain.conditions import conditions
from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.rollout import Mode
from penstock.domain.rollout_state import Condition, RolloutState
from penstock.domain.template import LARGEST_TEMPLATE
from support.decision_fixtures import HOT_FAST, NOW, slo, span, unmeasured
from support.rollout_fixtures import MANAGER, MISSING, ROLLOUT, GateStory, version, workload_state

TYPES = ["Ready", "GateOpen", "Held", "Contested", "WorkloadSupported"]
BURNING = (slo(looks=HOT_FAST),)


def told(story: GateStory) -> dict[str, Condition]:
    made = conditions(story.rollout, story.state, story.seen, story.now)
    story.state = replace(story.state, conditions=made)
    assert [condition.type for condition in made] == TYPES
    return {condition.type: condition for condition in made}


def after(*rounds: dict[str, Any], **facts: Any) -> dict[str, Condition]:
    story = GateStory(**facts)
    for changes in rounds or ({},):
        story.acts("0s", **changes)
    return told(story)


def held() -> GateStory:
    story = GateStory()
    story.goes()
    story.release()
    story.goes("10s")
    story.acts("10s", slos=BURNING)
    return story


def test_before_anything_was_decided_conditions_stay_as_they_were() -> None:
    former = (Condition("Ready", "False", "SpecInvalid", "spec.slos: ...", NOW),)
    assert conditions(ROLLOUT, RolloutState(conditions=former), workload_state(), NOW) == former


def test_at_rest_all_is_well() -> None:
    assert {name: (condition.status, condition.reason) for name, condition in after().items()} == {
        "Ready": ("True", "Enforcing"),
        "GateOpen": ("True", "BudgetHealthy"),
        "Held": ("False", "NotHeld"),
        "Contested": ("False", "NotHeld"),
        "WorkloadSupported": ("True", "Supported"),
    }


@pytest.mark.parametrize(
    ("slos", "status", "reason"),
    [
        ((slo(),), "True", "BudgetHealthy"),
        (BURNING, "False", "BurningFast"),
        ((unmeasured(),), "Unknown", "MetricsUnreachable"),
        ((slo(kind=EvidenceKind.NO_TRAFFIC),), "True", "NoTraffic"),
    ],
)
def test_gate_open_says_what_is_done(slos: Any, status: str, reason: str) -> None:
    one = after({"slos": slos})["GateOpen"]
    assert (one.status, one.reason) == (status, reason)
    assert one.message.startswith({"True": "Open", "False": "Closed", "Unknown": "Unknown"}[status])


def lost(kind: EvidenceKind) -> dict[str, Any]:
    return {"slos": (replace(slo(), evidence=Evidence(kind, "gone"), policy=None),)}


NOT_READY: dict[str, tuple[Callable[[], dict[str, Condition]], str]] = {
    **{
        kind: (lambda kind=kind: after(lost(kind)), kind.value)
        for kind in (
            EvidenceKind.SLO_NOT_FOUND,
            EvidenceKind.SLO_INVALID,
            EvidenceKind.SOURCE_NOT_FOUND,
            EvidenceKind.POLICY_INVALID,
        )
    },
    "rival": (lambda: after({"rival": "elder"}), "WorkloadConflict"),
    "missing": (lambda: after({"seen": MISSING}), "WorkloadNotFound"),
    "refused": (
        lambda: after({"seen": workload_state(unsupported_reason="is owned by Canary web")}),
        "WorkloadUnsupported",
    ),
    "too large": (
        lambda: after({"seen": workload_state(version(1, env="x" * LARGEST_TEMPLATE))}),
        "TemplateTooLarge",
    ),
}


@pytest.mark.parametrize("what", NOT_READY)
def test_what_must_be_fixed_makes_it_not_ready_and_says_how(what: str) -> None:
    made, reason = NOT_READY[what]
    ready = made()["Ready"]
    assert (ready.status, ready.reason) == ("False", reason)
    assert len(ready.message) > 20


def test_an_outage_is_no_fault_of_the_rollout() -> None:
    assert after({"slos": (unmeasured(),)})["Ready"].status == "True"


@pytest.mark.parametrize(
    ("mode", "reason"),
    [(Mode.AUDIT, "AuditOnly"), (Mode.OFF, "Disabled"), (Mode.ENFORCE, "Enforcing")],
)
def test_ready_says_the_mode(mode: Mode, reason: str) -> None:
    ready = after(rollout=replace(ROLLOUT, mode=mode))["Ready"]
    assert (ready.status, ready.reason) == ("True", reason)


def test_held_names_the_field_manager_and_how_effective_it_is() -> None:
    condition = told(held())["Held"]
    assert (condition.status, condition.reason) == ("True", "BurningFast")
    assert MANAGER in condition.message
    assert "partial" in condition.message


def test_contested_names_who_and_what_to_do() -> None:
    story = held()
    hold = replace(story.state.hold, contested_by="argocd-controller")
    story.state = replace(story.state, hold=hold)
    condition = told(story)["Contested"]
    assert (condition.status, condition.reason) == ("True", "Contested")
    assert condition.message.startswith("argocd-controller keeps resuming the workload")
    assert "RespectIgnoreDifferences=true" in condition.message


@pytest.mark.parametrize(
    "seen", [MISSING, workload_state(unsupported_reason="is owned by Canary web")]
)
def test_a_workload_that_cannot_be_held_is_named(seen: Any) -> None:
    one = after({"seen": seen})["WorkloadSupported"]
    assert one.status == "False"
    assert one.message.startswith("Deployment/checkout ")


def test_a_time_of_transition_moves_only_with_the_status() -> None:
    story = GateStory()
    story.goes()
    assert {condition.since for condition in told(story).values()} == {NOW}
    story.goes("1m", slos=(slo("0.4"),))
    assert {condition.since for condition in told(story).values()} == {NOW}
    story.goes("1m", slos=BURNING)
    after_burn = told(story)
    assert after_burn["GateOpen"].since == NOW + span("2m")
    assert after_burn["Ready"].since == NOW
    story.goes("1m", slos=(slo("-1"),))
    exhausted = told(story)["GateOpen"]
    assert (exhausted.reason, exhausted.since) == ("BudgetExhausted", NOW + span("2m"))

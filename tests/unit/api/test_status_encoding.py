"""Statuses and records as the API server stores them: camelCase, plain numbers, bounded."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from penstock.api.status_encoding import (
    LONGEST_TEXT,
    MOST_LISTED,
    encode_gate_record,
    encode_invalid_status,
    encode_rollout_status,
    encode_slo_status,
)
from penstock.domain.conditions import conditions
from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.rollout_state import EffectiveSetting, GateRecord, RolloutState, StableTemplate
from penstock.domain.slo_status import slo_status
from penstock.errors import SpecInvalid
from support.decision_fixtures import HOT_FAST, NOW, reading, slo, unmeasured
from support.reports import SLO
from support.rollout_fixtures import GateStory, version
from support.statuses import rollout_states


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for one in value.values() for text in texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in texts(one)]
    return [value] if isinstance(value, str) else []


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rollout_states())
def test_every_state_prints_as_json_without_nulls(standing: RolloutState) -> None:
    text = json.dumps(encode_rollout_status(standing))
    assert "null" not in text.replace('"null"', "")


def test_an_empty_state_claims_nothing() -> None:
    assert encode_rollout_status(RolloutState()) == {
        "stable": [],
        "hold": {"active": False},
        "memory": {"serial": 0, "calmRequired": 0},
        "effectivePolicy": [],
        "history": [],
        "observedGeneration": 0,
        "conditions": [],
    }


def test_a_held_release_prints_as_the_contract_says() -> None:
    story = GateStory()
    story.goes()
    story.release()
    story.goes("1s")
    story.acts("1s", slos=(slo(looks=HOT_FAST),))
    status = encode_rollout_status(story.state)
    gate = status["gate"]
    assert (gate["verdict"], gate["state"], gate["reason"]) == ("Hold", "Closed", "BurningFast")
    assert (gate["slo"], gate["since"]) == ("checkout", "2026-11-24T14:02:02Z")
    assert status["hold"] == {
        "active": True,
        "effective": "partial",
        "since": "2026-11-24T14:02:02Z",
        "manager": "penstock-hold-7f3c0e5a",
    }
    assert status["release"] == {
        "id": version(2).hash,
        "startedAt": "2026-11-24T14:02:01Z",
        "remainingAtStart": "0.5000",
        "fromHash": version(1).hash,
        "reason": "BurningFast",
        "onset": "Admitted",
    }
    assert status["memory"] == {
        "serial": 2,
        "heldFor": "Burn",
        "heldBy": ["checkout"],
        "calmRequired": 600,
        "recentHolds": ["2026-11-24T14:02:02Z"],
        "lastKnown": "Hold",
        "complete": version(1).hash,
    }
    assert status["workload"] == {
        "name": "Deployment/checkout",
        "uid": "d1",
        "phase": "Rolling",
        "updated": 1,
        "total": 3,
    }
    assert status["stable"] == [
        {
            "hash": version(1).hash,
            "images": ["checkout:1"],
            "completedAt": "2026-11-24T14:02:00Z",
            "source": "checkout-1",
        }
    ]


def test_moments_are_printed_in_utc_whatever_their_zone() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    stable = StableTemplate("5d4f", (), there.replace(microsecond=42))
    printed = encode_rollout_status(RolloutState(stable=(stable,)))["stable"][0]["completedAt"]
    assert printed == "2026-11-24T14:02:00.000042Z"


def test_no_text_is_longer_than_a_status_can_bear() -> None:
    long = "x" * 5_000
    story = GateStory()
    story.goes()
    state = replace(
        story.state,
        stable=(StableTemplate("5d4f", (long,) * 100, NOW),),
        hold=replace(story.state.hold, contested_by=long),
        settings=(EffectiveSetting("burn", long, "Rollout"),),
        gate=replace(story.state.gate, message=long),
        history=tuple(replace(transition, message=long) for transition in story.state.history),
    )
    status = encode_rollout_status(state)
    assert max(map(len, texts(status))) == LONGEST_TEXT
    assert status["gate"]["message"].endswith("x…")
    assert len(status["stable"][0]["images"]) == MOST_LISTED


def test_an_slo_prints_plain_numbers_and_what_people_read_apart() -> None:
    made = slo_status(SLO, Evidence(EvidenceKind.FRESH, "", reading("0.372", "1.3")), NOW, None)
    status = encode_slo_status(made)
    assert status["state"] == "AtRisk"
    assert status["budget"] == {
        "remainingRatio": "0.3720",
        "remainingSeconds": 9642,
        "remainingEvents": 3720,
        "allowedEvents": 10000,
    }
    assert status["burnRates"][0] == {"window": "5m", "rate": "1.30"}
    assert [one["window"] for one in status["burnRates"]] == ["5m", "30m", "1h", "6h"]
    assert status["display"] == {
        "objective": "99%",
        "window": "30d",
        "indicator": "ratio",
        "budgetLeft": "37.2%",
        "burn": "1.3x",
    }
    assert status["evaluatedAt"] == "2026-11-24T14:02:00Z"
    assert [one["type"] for one in status["conditions"]] == [
        "Ready",
        "Evaluated",
        "BudgetAvailable",
    ]


def test_an_slo_that_could_not_be_measured_prints_no_figure() -> None:
    status = encode_slo_status(slo_status(SLO, unmeasured().evidence, NOW, None))
    assert status["state"] == "Unknown"
    assert "budget" not in status
    assert status["burnRates"] == []
    assert "budgetLeft" not in status["display"]
    assert {one["status"] for one in status["conditions"]} == {"False", "Unknown"}


def test_an_overspent_budget_prints_below_zero() -> None:
    status = encode_slo_status(
        slo_status(SLO, Evidence(EvidenceKind.FRESH, "", reading("-0.0312")), NOW, None)
    )
    assert status["budget"]["remainingRatio"] == "-0.0312"
    assert status["display"]["budgetLeft"] == "-3.1%"


PROBLEM = SpecInvalid("spec.slos", "give at least one")


@pytest.mark.parametrize("keep", [False, True])
def test_an_object_that_never_had_a_status_says_only_that_it_cannot_be_acted_on(keep: bool) -> None:
    status = encode_invalid_status(PROBLEM, 4, NOW, {}, keep=keep)
    assert list(status) == ["observedGeneration", "conditions"]
    (ready,) = status["conditions"]
    assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "False", "SpecInvalid")
    assert "spec.slos" in ready["message"]
    assert (ready["observedGeneration"], ready["lastTransitionTime"]) == (4, "2026-11-24T14:02:00Z")


def test_an_invalid_object_of_which_nothing_is_kept_claims_nothing_of_what_was_measured() -> None:
    evidence = Evidence(EvidenceKind.FRESH, "", reading("0.5"))
    present = encode_slo_status(slo_status(SLO, evidence, NOW, None))
    status = encode_invalid_status(PROBLEM, 4, NOW, present, keep=False)
    assert list(status) == ["observedGeneration", "conditions"]
    assert [one["type"] for one in status["conditions"]] == ["Ready"]


def test_an_invalid_object_that_is_resumed_keeps_all_but_its_ready_condition() -> None:
    story = GateStory()
    story.goes()
    story.release()
    story.acts("1s", slos=(slo(looks=HOT_FAST),))
    reported = conditions(story.rollout, story.state, story.seen, story.now)
    present = encode_rollout_status(replace(story.state, conditions=reported))
    assert present["hold"]["active"]
    status = encode_invalid_status(PROBLEM, 9, NOW, present, keep=True)
    assert status["observedGeneration"] == 9
    kept = status.keys() - {"observedGeneration", "conditions"}
    assert kept == present.keys() - {"observedGeneration", "conditions"}
    assert all(status[field] == present[field] for field in kept)
    ready, *others = status["conditions"]
    assert (ready["status"], ready["reason"]) == ("False", "SpecInvalid")
    assert others == [one for one in present["conditions"] if one["type"] != "Ready"]


def test_an_invalid_object_that_stays_so_keeps_the_time_since_when_it_is_not_ready() -> None:
    first = encode_invalid_status(PROBLEM, 4, NOW, {}, keep=True)
    later, other = NOW + timedelta(hours=1), SpecInvalid("spec.mode", "write Enforce")
    for keep in (False, True):
        (ready,) = encode_invalid_status(other, 5, later, first, keep=keep)["conditions"]
        assert ready["lastTransitionTime"] == "2026-11-24T14:02:00Z"
        assert "spec.mode" in ready["message"]
    valid = {"conditions": [{**first["conditions"][0], "status": "True"}]}
    (ready,) = encode_invalid_status(PROBLEM, 6, later, valid, keep=True)["conditions"]
    assert ready["lastTransitionTime"] == "2026-11-24T15:02:00Z"


def test_a_record_prints_what_admission_reads() -> None:
    shown = ((version(1), NOW),)
    data = encode_gate_record(
        GateRecord("checkout", "apps/v1", "Deployment", False, True, "Held", shown)
    )
    assert data == {
        "workload": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"},
        "admits": False,
        "admission": "Warn",
        "message": "Held",
        "templates": [
            {
                "hash": version(1).hash,
                "completedAt": "2026-11-24T14:02:00Z",
                "source": "checkout-1",
                "template": version(1).body,
            }
        ],
    }
    denying = GateRecord("checkout", "apps/v1", "Deployment", True, False, "Open")
    assert encode_gate_record(denying)["admission"] == "Deny"

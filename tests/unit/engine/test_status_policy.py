"""A status is written on a transition, when the budget moved, and as a heartbeat; else never."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from penstock.domain.conditions import conditions
from penstock.domain.decision import ReleaseOrigin
from penstock.domain.evidence import Evidence, EvidenceGrade, EvidenceKind
from penstock.domain.memory import HoldCause
from penstock.domain.quantities import Duration
from penstock.domain.refs import ObjectRef
from penstock.domain.rollout_state import EffectiveSetting, RolloutState, Spent
from penstock.domain.slo_status import SloState, SloStatus, slo_status
from penstock.domain.verdict import GateState, Reason, Verdict
from penstock.domain.workload import HoldEffect, Phase
from penstock.engine.status_policy import (
    HEARTBEAT,
    heartbeat_after,
    rollout_is_transition,
    should_write_rollout,
    should_write_slo,
)
from support.decision_fixtures import HOT_FAST, NOW, reading, slo
from support.reports import SLO
from support.rollout_fixtures import ROLLOUT, GateStory

LATER = NOW + timedelta(seconds=30)


def reported(left: str = "0.5", after: str = "0") -> SloStatus:
    at = NOW + timedelta(seconds=float(after))
    evidence = Evidence(EvidenceKind.FRESH, "", replace(reading(left), at=at))
    return slo_status(SLO, evidence, at, None)


@pytest.mark.parametrize(
    ("left", "after", "told"),
    [
        ("0.5", "0", False),
        ("0.5", "299.9", False),
        ("0.5", "600", True),
        ("0.495", "59.9", False),
        ("0.495", "60", True),
        ("0.505", "60", True),
        ("0.4951", "60", False),
        ("0.4951", "299.9", False),
    ],
)
def test_an_slo_is_written_when_its_budget_moved_by_half_a_point_and_every_ten_minutes(
    left: str, after: str, told: bool
) -> None:
    assert should_write_slo(reported(left, after), reported()) is told


@pytest.mark.parametrize("kind", [EvidenceKind.WARMING_UP, EvidenceKind.MIGRATING])
@pytest.mark.parametrize(("after", "told"), [("59.9", False), ("60", True)])
def test_how_far_the_past_is_read_is_written_once_a_minute(
    after: str, told: bool, kind: EvidenceKind
) -> None:
    def filled(percent: int, after: str) -> SloStatus:
        at = NOW + timedelta(seconds=float(after))
        return slo_status(SLO, Evidence(kind, f"Backfilling {percent}%"), at, None)

    assert should_write_slo(filled(37, after), filled(12, "0")) is told
    assert not should_write_slo(filled(12, after), filled(12, "0"))


def test_an_slo_without_a_written_status_is_written() -> None:
    assert should_write_slo(reported(), None)


SLO_TRANSITIONS: dict[str, Any] = {
    "generation": 3,
    "state": SloState.EXHAUSTED,
    "reason": Reason.NO_TRAFFIC,
    "objective": "99.9%",
    "window": "28d",
    "remaining": None,
}


@pytest.mark.parametrize("field", SLO_TRANSITIONS)
def test_a_transition_of_an_slo_is_written_at_once(field: str) -> None:
    moved = replace(reported(after="1"), **{field: SLO_TRANSITIONS[field]})
    assert should_write_slo(moved, reported())
    assert should_write_slo(reported(after="1"), replace(moved, evaluated_at=NOW))


@pytest.mark.parametrize("field", [one.name for one in fields(SloStatus)])
def test_moving_numbers_and_words_of_an_slo_are_not_a_transition(field: str) -> None:
    if field in {*SLO_TRANSITIONS, "ref", "evaluated_at"}:
        return
    moved = replace(reported(after="1"), **{field: Decimal("0.1") if field == "burns" else "x"})
    assert not should_write_slo(moved, reported())


def test_a_budget_that_is_unknown_is_not_moved_by_staying_so() -> None:
    unknown = replace(reported(after="60"), remaining=None)
    assert not should_write_slo(unknown, replace(reported(), remaining=None))


def standing() -> RolloutState:
    """A standing in the middle of a hold, as the keeper tells it."""
    story = GateStory()
    story.goes()
    story.release()
    story.goes("1s")
    story.acts("1s", slos=(slo(looks=HOT_FAST),))
    told = conditions(ROLLOUT, story.state, story.seen, story.now)
    settings = (EffectiveSetting("start.holdAt", "0%", "Default"),)
    return replace(story.state, conditions=told, settings=settings)


def worth(state: RolloutState, other: RolloutState | None, after: float = 1.0) -> bool:
    """Whether one is told so many seconds after the other was."""
    return should_write_rollout(
        ROLLOUT.ref, at(NOW + timedelta(seconds=after), state), other and at(NOW, other)
    )


def at(decided: datetime, state: RolloutState) -> RolloutState:
    return replace(state, gate=state.gate and replace(state.gate, decided_at=decided))


def test_a_rollout_at_rest_is_written_every_ten_minutes_and_not_before_five() -> None:
    state = standing()
    assert not worth(state, state, 0)
    assert not worth(state, state, 299.9)
    assert worth(state, state, 600)


def test_a_rollout_without_a_written_status_is_written() -> None:
    assert worth(standing(), None)


def test_what_was_written_together_drifts_apart_until_each_has_its_own_moment() -> None:
    """200 objects, written in one second at a start."""
    refs = [ObjectRef("shop", f"checkout-{number}", "a1") for number in range(200)]
    told = dict.fromkeys(refs, NOW)
    for beat in range(8):
        last = told
        told = {ref: at + heartbeat_after(ref, at) for ref, at in told.items()}
        for ref, at in told.items():
            assert timedelta(minutes=5) < at - last[ref] <= HEARTBEAT
        assert most_in_ten_seconds(told.values()) <= (20 if beat else 30)
    for ref, at in told.items():
        assert heartbeat_after(ref, at) > timedelta(minutes=9, seconds=58)


def most_in_ten_seconds(moments: Iterable[datetime]) -> int:
    return max(Counter(int(at.timestamp()) // 10 for at in moments).values())


def test_an_object_keeps_its_moment_over_a_restart() -> None:
    assert heartbeat_after(SLO.ref, NOW) == heartbeat_after(replace(SLO.ref, uid="b2"), NOW)


def within(name: str, **changes: Any) -> RolloutState:
    state = standing()
    return replace(state, **{name: replace(getattr(state, name), **changes)})


ACTED_ON = {
    "verdict": within("gate", verdict=Verdict.UNKNOWN),
    "state": within("gate", state=GateState.UNKNOWN),
    "reason": within("gate", reason=Reason.BUDGET_LOW),
    "SLO": within("gate", slo="other"),
    "gate gone": replace(standing(), gate=None),
    "uid": within("workload", uid="d2"),
    "phase": within("workload", phase=Phase.FAILED),
    "no release": replace(standing(), release=None),
    "onset": within("release", origin=ReleaseOrigin.WHILE_CLOSED),
    "resumed": within("release", resumed_at=LATER),
    "complete": replace(standing(), complete="5d4f"),
    "stable": replace(standing(), stable=()),
    "not active": within("hold", active=False),
    "effect": within("hold", effect=HoldEffect.FULL),
    "lost": within("hold", lost_at=(LATER,)),
    "contested": within("hold", contested_by="argocd"),
    "settings": replace(standing(), settings=()),
    "generation": replace(standing(), generation=4),
    "cause": within("memory", held_for=HoldCause.BUDGET),
    "calm began": within("memory", calm_since=LATER),
    "calm needed": within("memory", calm_required=Duration.parse("20m")),
    "holds": within("memory", recent_holds=()),
    "missing": within("memory", unknown=EvidenceGrade.OUTAGE),
    "missing since": within("memory", unknown_since=LATER),
    "last known": within("memory", last_known=Verdict.PERMIT),
    "conditions": replace(standing(), conditions=standing().conditions[:-1]),
}


@pytest.mark.parametrize("what", ACTED_ON)
def test_what_is_acted_on_or_must_survive_a_restart_is_written_at_once(what: str) -> None:
    assert worth(ACTED_ON[what], standing(), 0)
    assert worth(standing(), ACTED_ON[what], 0)


def test_moving_words_and_times_are_written_with_the_heartbeat() -> None:
    state = within("gate", message="Closed since 14:02 UTC: 3.1% left")
    reworded = tuple(replace(cond, message="reworded") for cond in state.conditions)
    assert not worth(replace(state, conditions=reworded, bodies={}), standing(), 299.9)


def test_what_a_release_spends_is_written_by_half_points_and_at_most_every_minute() -> None:
    known = within("release", spent=Spent("checkout", Decimal("0.0100")))
    little = within("release", spent=Spent("checkout", Decimal("0.0149")))
    more = within("release", spent=Spent("checkout", Decimal("0.0150")))
    assert not worth(little, known, 299.9)
    assert not worth(more, known, 59.9)
    assert worth(more, known, 60)
    assert worth(known, standing(), 60)
    assert worth(standing(), known, 60)
    assert not rollout_is_transition(more, known)


def test_progress_is_written_every_five_seconds() -> None:
    further = within("workload", updated=2)
    assert not worth(further, standing(), 4.9)
    assert worth(further, standing(), 5)


TRANSITIONS = {
    "state": within("gate", state=GateState.UNKNOWN),
    "reason": within("gate", reason=Reason.BUDGET_LOW),
    "hold": within("hold", active=False),
    "contested": within("hold", contested_by="argocd"),
    "resumed": within("release", resumed_at=LATER),
}


@pytest.mark.parametrize("what", TRANSITIONS)
def test_a_transition_is_worth_an_event(what: str) -> None:
    assert rollout_is_transition(TRANSITIONS[what], standing())
    assert rollout_is_transition(standing(), TRANSITIONS[what])


@pytest.mark.parametrize(
    "what", [name for name in ACTED_ON if name not in {*TRANSITIONS, "gate gone", "not active"}]
)
def test_anything_else_is_not(what: str) -> None:
    assert not rollout_is_transition(ACTED_ON[what], standing())


def test_the_first_state_is_worth_an_event() -> None:
    assert rollout_is_transition(standing(), None)

"""The read model of gates: what a leader and a standby may say, and when they must say Unknown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from penstock.domain.cached_object import CachedObject, Resource
from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.policy import Policy, UnknownPolicy, UnknownThen
from penstock.domain.refs import ObjectRef
from penstock.domain.rollout import Admission, Enforcement, InFlight, Mode, Rollout
from penstock.domain.rollout_state import RolloutState
from penstock.domain.verdict import GateState, Verdict
from penstock.engine.evidence_store import CachedEvidence, EvidenceStore
from penstock.engine.evidence_view import EvaluationIntervals, EvidenceView
from penstock.engine.gate_view import GateDecision, GateView, Leadership
from penstock.engine.object_cache import ObjectCache
from penstock.errors import SpecInvalid
from support.decision_fixtures import NOW, slo
from support.reports import SLO
from support.rollout_fixtures import ROLLOUT, GateStory

KEY = (ROLLOUT.ref.namespace, ROLLOUT.ref.name)
LEADER, STANDBY = Leadership(True), Leadership(False)
INTERVALS = EvaluationIntervals(rest=60.0, hot=10.0)
PERMITS_UNKNOWN = Policy(outage=UnknownPolicy(then=UnknownThen.PERMIT))


@dataclass
class Clock:
    """Stands still."""

    seconds: float = 1_000.0

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return self.seconds


def decided(story: GateStory) -> RolloutState:
    story.goes()
    return story.state


def closed() -> RolloutState:
    return decided(GateStory(slos=(slo("-0.1"),)))


def opened() -> RolloutState:
    return decided(GateStory())


def ask(
    state: RolloutState | None,
    leadership: Leadership = STANDBY,
    *,
    rollout: Rollout | SpecInvalid = ROLLOUT,
    after: timedelta = timedelta(minutes=1),
    measured_before: float = 5.0,
) -> GateDecision:
    cache, evidence, clock = ObjectCache(), EvidenceStore(), Clock()
    ref = ObjectRef("shop", "checkout", "s1")
    checkout = replace(SLO, ref=ref)
    cache.upsert(Resource.SLO, CachedObject(ref, 1, checkout))
    cache.upsert(Resource.ROLLOUT, CachedObject(ROLLOUT.ref, 3, rollout, status=state))
    at = clock.monotonic() - measured_before
    evidence.put(
        ("shop", "checkout"), CachedEvidence(checkout, Evidence(EvidenceKind.NO_TRAFFIC), at)
    )
    view = GateView(cache, EvidenceView(cache, evidence, clock, INTERVALS))
    found = view.get(KEY, leadership, NOW + after)
    assert found is not None
    return found


@pytest.mark.parametrize("leadership", [LEADER, STANDBY], ids=["leader", "standby"])
def test_a_decision_is_read_from_the_status_on_every_replica(leadership: Leadership) -> None:
    shut, free = ask(closed(), leadership), ask(opened(), leadership)
    assert (shut.state, shut.verdict, shut.admits) == (GateState.CLOSED, Verdict.HOLD, False)
    assert (free.state, free.verdict, free.admits) == (GateState.OPEN, Verdict.PERMIT, True)
    assert shut.is_current
    assert shut.gate is not None
    assert shut.gate.summary.startswith("Closed since")


def test_a_rollout_that_is_not_there_has_no_decision() -> None:
    cache = ObjectCache()
    view = GateView(cache, EvidenceView(cache, EvidenceStore(), Clock(), INTERVALS))
    assert view.get(KEY, STANDBY, NOW) is None


def test_a_standby_takes_a_status_as_true_for_eleven_minutes_and_no_longer() -> None:
    assert ask(opened(), after=timedelta(minutes=11)).admits
    late = ask(opened(), after=timedelta(minutes=11, seconds=1))
    assert (late.state, late.verdict, late.admits) == (GateState.UNKNOWN, Verdict.UNKNOWN, False)
    assert "last decided at" in late.why_not


def test_a_standby_that_sees_no_lease_renewed_does_not_know() -> None:
    found = ask(opened(), Leadership(is_leader=False, is_renewed=False))
    assert (found.state, found.admits) == (GateState.UNKNOWN, False)
    assert found.why_not == "no replica of Penstock leads"


def test_a_leader_without_evidence_for_three_intervals_does_not_know() -> None:
    assert ask(opened(), LEADER, measured_before=180.0).admits
    found = ask(opened(), LEADER, measured_before=181.0)
    assert (found.state, found.admits) == (GateState.UNKNOWN, False)
    assert found.why_not == "checkout: the last evaluation is 181 s old"


def test_a_gate_that_was_never_decided_is_unknown_and_admits_nothing() -> None:
    found = ask(None)
    assert (found.gate, found.state, found.admits) == (None, GateState.UNKNOWN, False)
    assert found.why_not == "the gate has not been decided yet"


def test_what_is_unknown_is_admitted_where_its_author_wants_that() -> None:
    assert ask(None, rollout=replace(ROLLOUT, policy=PERMITS_UNKNOWN)).admits


@pytest.mark.parametrize(
    "rollout",
    [
        replace(ROLLOUT, mode=Mode.AUDIT),
        replace(ROLLOUT, mode=Mode.OFF),
        replace(ROLLOUT, enforcement=Enforcement(admission=Admission.OFF)),
    ],
    ids=["Audit", "Off", "admission Off"],
)
def test_what_is_not_enforced_admits_and_still_says_where_the_gate_is(rollout: Rollout) -> None:
    found = ask(closed(), rollout=rollout)
    assert (found.admits, found.state) == (True, GateState.CLOSED)
    assert ask(None, rollout=rollout).admits


def test_an_invalid_rollout_keeps_the_gate_that_was_decided_last() -> None:
    invalid = SpecInvalid("spec.mode", "write Enforce")
    for leadership in (LEADER, STANDBY):
        assert not ask(closed(), leadership, rollout=invalid).admits
        assert ask(opened(), leadership, rollout=invalid).admits


def test_the_gate_of_an_invalid_rollout_stays_however_long_ago_it_was_decided() -> None:
    invalid, later = SpecInvalid("spec.mode", "write Enforce"), timedelta(hours=1)
    for leadership in (LEADER, STANDBY):
        found = ask(opened(), leadership, rollout=invalid, after=later)
        assert (found.state, found.admits, found.is_current) == (GateState.OPEN, True, True)
        assert not ask(closed(), leadership, rollout=invalid, after=later).admits


def releasing(*, held: bool, burns: bool) -> RolloutState:
    story = GateStory()
    story.goes()
    story.release()
    story.goes("1m")
    if burns:
        story.slos = (slo("-0.1", burn="3"),)
    if held:
        story.acts("1m")
    story.goes("1m")
    return story.state


def test_a_release_continues_while_nothing_is_against_it() -> None:
    release = ask(releasing(held=False, burns=False)).release
    assert release is not None
    assert (release.proceeds, release.reason) == (True, "BudgetHealthy")


def test_a_release_that_is_held_or_is_to_be_held_does_not_continue() -> None:
    for held in (True, False):
        release = ask(releasing(held=held, burns=True)).release
        assert release is not None
        assert (release.proceeds, release.reason) == (False, "BudgetExhausted")


def test_a_release_continues_where_nothing_is_held_in_flight() -> None:
    rollout = replace(ROLLOUT, enforcement=Enforcement(in_flight=InFlight.OFF))
    release = ask(releasing(held=False, burns=True), rollout=rollout).release
    assert release is not None
    assert release.proceeds


def test_a_release_does_not_continue_by_a_status_that_is_too_old() -> None:
    later = timedelta(hours=1)
    release = ask(releasing(held=False, burns=False), after=later).release
    assert release is not None
    assert not release.proceeds
    rollout = replace(ROLLOUT, policy=PERMITS_UNKNOWN)
    permitted = ask(releasing(held=False, burns=False), rollout=rollout, after=later).release
    assert permitted is not None
    assert permitted.proceeds

"""One gate through days of whatever may happen; what must never be, is not.

The machine plays the workload, its people and its metrics, and performs each act as the keeper
does: it looks again after each one, and at times the operator dies in between.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstock.api.status_decoding import decode_rollout_status
from penstock.api.status_encoding import encode_rollout_status
from penstock.domain.actions import HoldWorkload, ReleaseWorkload, WorkloadAction
from penstock.domain.decision import SloEvidence
from penstock.domain.evidence import EvidenceKind
from penstock.domain.gate import StepResult, step
from penstock.domain.memory import HOLD_CAUSES
from penstock.domain.release_tracking import is_stable
from penstock.domain.rollout import Mode, OnExternalResume
from penstock.domain.rollout_state import HISTORY_KEPT, STABLE_KEPT, RolloutState
from penstock.domain.verdict import GateState, Reason, Verdict
from penstock.domain.workload import HoldEffect, Phase
from support import draws
from support.decision_fixtures import HOT_FAST, HOT_SLOW, NOW, slo, unmeasured
from support.rollout_fixtures import MANAGER, MISSING, ROLLOUT, version, workload_state

CALM = timedelta(minutes=10)
EVIDENCE: dict[str, tuple[SloEvidence, ...]] = {
    "fine": (slo(),),
    "burning": (slo(looks=HOT_FAST),),
    "burning slowly": (slo(looks=HOT_SLOW),),
    "spent": (slo("-0.1"),),
    "spent, errors go on": (slo("-0.1", "3"),),
    "just above zero": (slo("0.005"),),
    "not quite calm": (slo("0.5", "1.5"),),
    "thin and quiet": (slo(kind=EvidenceKind.INSUFFICIENT_EVENTS),),
    "thin and burning": (slo(looks=HOT_FAST, kind=EvidenceKind.INSUFFICIENT_EVENTS),),
    "silent": (slo(kind=EvidenceKind.NO_TRAFFIC, total=0),),
    "lost": (unmeasured(),),
    "one lost, one fine": (unmeasured(name="a"), slo(name="b")),
    "one lost, one burning": (unmeasured(name="a"), slo(looks=HOT_FAST, name="b")),
}
BAD = ["burning", "burning slowly", "spent, errors go on", "thin and burning", "lost"]
WAITS = [timedelta(seconds=seconds) for seconds in (1, 10, 30, 60, 240, 300, 600, 1_800, 7_200)]
PERSON = "kubectl-rollout"


def facts(result: StepResult) -> tuple[object, ...]:
    """What somebody would notice; not when it was decided, nor in which words."""
    gate, release = result.state.gate, result.state.release
    assert gate is not None
    return (
        (gate.verdict, gate.state, gate.reason),
        release and release.reason,
        result.workload_action,
        [stable.hash for stable in result.state.stable],
        replace(result.record, message=""),
    )


class GateMachine(RuleBasedStateMachine):
    """The gate, its workload, and everybody who touches either."""

    @initialize(
        respects=st.sampled_from(OnExternalResume), evidence=st.sampled_from(sorted(EVIDENCE))
    )
    def begins(self, respects: OnExternalResume, evidence: str) -> None:
        self.rollout = replace(ROLLOUT, on_external_resume=respects)
        self.standing = RolloutState()
        self.seen = workload_state()
        self.slos = EVIDENCE[evidence]
        self.now: datetime = NOW
        self.done: StepResult | None = None
        self.acted: list[WorkloadAction] = []
        self.lost = True
        self.held_since: datetime | None = None
        self.round()

    # What happens

    @rule(evidence=st.sampled_from(sorted(EVIDENCE)), wait=st.sampled_from(WAITS))
    def evidence_changes(self, evidence: str, wait: timedelta) -> None:
        self.slos = EVIDENCE[evidence]
        self.passes(wait)

    @rule(wait=st.sampled_from(WAITS))
    def passes(self, wait: timedelta) -> None:
        self.now += wait
        self.round()

    @rule(number=st.integers(1, 7))
    def releases(self, number: int) -> None:
        present = version(number)
        if not self.seen.exists or self.seen.template == present:
            return
        ran = (present, *(one for one in self.seen.former_templates if one.hash != present.hash))
        self.seen = replace(
            self.seen, template=present, former_templates=ran, phase=Phase.ROLLING, updated=1
        )
        self.passes(WAITS[0])

    @rule(number=st.integers(1, 7), how=st.sampled_from(BAD))
    def releases_what_is_bad(self, number: int, how: str) -> None:
        self.releases(number)
        self.evidence_changes(how, WAITS[1])

    @rule(wait=st.sampled_from(WAITS))
    def all_is_well_for_a_while(self, wait: timedelta) -> None:
        self.evidence_changes("fine", WAITS[0])
        self.passes(wait)

    @precondition(lambda self: self.seen.exists)
    @rule()
    def completes(self) -> None:
        self.seen = replace(self.seen, phase=Phase.COMPLETE, updated=3)
        self.passes(WAITS[0])

    @precondition(lambda self: self.seen.exists)
    @rule(effect=st.sampled_from(HoldEffect))
    def comes_further(self, effect: HoldEffect) -> None:
        self.seen = replace(self.seen, effect=effect)
        self.passes(WAITS[0])

    @precondition(lambda self: self.seen.exists)
    @rule(uid=st.integers(2, 9), number=st.integers(1, 7))
    def is_made_anew(self, uid: int, number: int) -> None:
        if uid % 2:
            self.seen = MISSING
            self.passes(WAITS[0])
        self.lost = True
        self.seen = workload_state(
            version(number), Phase.ROLLING, uid=f"d{uid}", ever_complete=False
        )
        self.passes(WAITS[0])

    @precondition(lambda self: self.seen.exists)
    @rule()
    def a_person_pauses(self) -> None:
        holders = tuple(sorted({*self.seen.pause_managers, PERSON}))
        self.seen = replace(self.seen, paused=True, pause_managers=holders)
        self.passes(WAITS[0])

    @precondition(lambda self: self.seen.paused)
    @rule()
    def a_person_resumes(self) -> None:
        held = self.standing.release if self.seen.held_by_us else None
        self.seen = replace(self.seen, paused=False, pause_managers=(), held_by_us=False)
        self.lost = True
        self.passes(WAITS[0])
        release = self.standing.release
        respected = self.rollout.on_external_resume is OnExternalResume.RESPECT
        if held is not None and release is not None and respected:
            assert release.resumed_at is not None
            assert not self.seen.held_by_us, "who resumes what we hold is obeyed"

    @rule(reason=st.sampled_from([None, None, None, "migration"]))
    def a_person_holds_or_lets_go(self, reason: str | None) -> None:
        self.rollout = replace(self.rollout, hold_reason=reason)
        self.passes(WAITS[0])

    @rule(mode=st.sampled_from([Mode.ENFORCE] * 4 + [Mode.AUDIT, Mode.OFF]))
    def the_mode_changes(self, mode: Mode) -> None:
        self.rollout = replace(self.rollout, mode=mode)
        self.passes(WAITS[0])

    @rule(wait=st.sampled_from(WAITS))
    def the_operator_is_killed_and_started(self, wait: timedelta) -> None:
        before = self.standing
        resumed = decode_rollout_status(encode_rollout_status(before), None)
        assert resumed is not None
        assert replace(resumed, bodies=before.bodies) == before
        self.standing = resumed
        self.passes(wait)

    # What the reconciler does

    def round(self) -> None:
        self.acted = []
        for _ in range(3):
            self.looks()
            if self.done.workload_action is None:
                return
            self.acted.append(self.done.workload_action)
            self.performs(self.done.workload_action)
        self.looks()
        assert self.done.workload_action is None, "it never comes to rest"

    def looks(self) -> None:
        before = self.standing
        self.done = step(self.rollout, before, self.seen, self.slos, None, self.now)
        self.standing = self.done.state
        self.judges(before)

    def performs(self, action: WorkloadAction) -> None:
        if isinstance(action, HoldWorkload):
            holders = tuple(sorted({*self.seen.pause_managers, MANAGER}))
            self.seen = replace(self.seen, held_by_us=True, paused=True, pause_managers=holders)
            self.lost = False
        else:
            holders = tuple(one for one in self.seen.pause_managers if one != MANAGER)
            self.seen = replace(
                self.seen, held_by_us=False, paused=bool(holders), pause_managers=holders
            )
            self.lost = True

    @invariant()
    def nothing_is_decided_otherwise_before_it_is_looked_at_again(self) -> None:
        """Without news: neither at once, nor a millisecond before the moment that was given."""
        first = self.again(self.now)
        until = first.look_again_at or self.now + timedelta(days=1)
        assert until > self.now
        assert facts(self.again(until - timedelta(milliseconds=1))) == facts(first)

    def again(self, now: datetime) -> StepResult:
        return step(self.rollout, self.standing, self.seen, self.slos, None, now)

    # What must hold of each single step

    def judges(self, before: RolloutState) -> None:
        done, release = self.done, self.standing.release
        if isinstance(done.workload_action, HoldWorkload):
            assert not self.seen.held_by_us, "held twice"
            assert self.lost, "held again although nobody took the hold away"
            assert self.rollout.mode is Mode.ENFORCE
            assert release is not None
            assert not is_stable(self.standing, release.id), "a return is never held"
            assert done.decisions is not None
            assert done.decisions.release is not None
            assert not done.decisions.release.proceeds
        if isinstance(done.workload_action, ReleaseWorkload):
            assert self.seen.held_by_us, "what is not ours is never given back"
            self.may_be_given_back()
        self.hysteresis(before)

    def may_be_given_back(self) -> None:
        """While a hold is on evidence, nothing but permission, a return or an end gives it back."""
        release = self.standing.release
        if release is None or self.rollout.mode is not Mode.ENFORCE:
            return
        assert self.done.decisions is not None
        decision = self.done.decisions.release
        assert decision is not None
        assert decision.proceeds
        assert decision.verdict is not Verdict.HOLD

    def hysteresis(self, before: RolloutState) -> None:
        """A gate that closed for burning or lack of budget opens after its calm at the soonest."""
        if self.rollout.mode is Mode.OFF:
            self.held_since = None
            return
        gate, memory = self.standing.gate, self.standing.memory
        assert gate is not None
        if self.held_since is not None and gate.state is GateState.OPEN:
            assert self.now - self.held_since >= CALM
            assert self.now - self.held_since >= timedelta(
                milliseconds=before.memory.calm_required.milliseconds
            )
            self.held_since = None
        if gate.reason in HOLD_CAUSES and before.memory.held_for is None:
            self.held_since = self.now
            recent = [at for at in memory.recent_holds if self.now - at < timedelta(hours=2)]
            minutes = min(10 * 2 ** (len(recent) - 1), 120)
            assert memory.calm_required.seconds == minutes * 60

    # What must hold at rest

    @invariant()
    def what_is_ours_is_told_and_nothing_else(self) -> None:
        assert self.standing.hold.active is self.seen.held_by_us
        assert (self.standing.hold.manager == MANAGER) is self.seen.held_by_us

    @invariant()
    def a_persons_pause_stays(self) -> None:
        if PERSON in self.seen.pause_managers:
            assert self.seen.paused

    @invariant()
    def a_release_that_may_not_go_on_is_held_unless_something_is_in_the_way(self) -> None:
        release = self.standing.release
        if self.done.decisions is None or release is None or self.rollout.mode is not Mode.ENFORCE:
            assert not self.seen.held_by_us
            return
        decision = self.done.decisions.release
        assert decision is not None
        if decision.proceeds:
            assert not self.seen.held_by_us
        elif not self.seen.held_by_us:
            hold = self.standing.hold
            assert self.seen.effect is HoldEffect.NONE or hold.contested_by or len(hold.lost_at) > 1

    @invariant()
    def admission_reads_what_was_decided(self) -> None:
        gate = self.standing.gate
        assert gate is not None
        enforced = self.rollout.mode is Mode.ENFORCE
        assert self.done.record.admits is (gate.state is GateState.OPEN or not enforced)
        assert self.done.record.message == gate.message
        assert "\n" not in gate.message
        assert len(gate.message) <= 1_024

    @invariant()
    def without_admissible_evidence_nothing_is_decided_but_unknown(self) -> None:
        gate = self.standing.gate
        if self.slos is EVIDENCE["lost"] and self.rollout.mode is not Mode.OFF:
            by_hand = self.rollout.hold_reason is not None
            assert gate.verdict is (Verdict.HOLD if by_hand else Verdict.UNKNOWN)
            assert gate.state is not GateState.OPEN

    @invariant()
    def a_returns_permission_is_its_own(self) -> None:
        assert self.standing.gate.reason not in (
            Reason.ROLLBACK_PERMITTED,
            Reason.FIRST_RELEASE_PERMITTED,
            Reason.OVERRIDE_ACTIVE,
        )

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.standing.history) <= HISTORY_KEPT
        assert len(self.standing.stable) <= STABLE_KEPT
        assert len(self.standing.bodies) <= STABLE_KEPT
        assert len(self.standing.memory.recent_holds) <= 17

    @invariant()
    def what_ran_before_may_be_returned_to(self) -> None:
        """Once something ran completely there is always a way back."""
        assert not self.standing.complete or self.standing.stable


GateMachine.TestCase.settings = settings(
    max_examples=draws.size(commit=50, full=200), stateful_step_count=40
)
TestGateMachine = GateMachine.TestCase

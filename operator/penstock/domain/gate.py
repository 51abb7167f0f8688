"""The gate of one Rollout: from observation and evidence to its state and the actions to take.

Pure: ``step`` returns the next state and the actions in their order. The engine carries them out,
and after a hold or a release it observes the workload and steps again. The GateRecord comes first,
because only admission stops a release without delay. A hold is written before the status that shows
it, because closing is safe at any time. The status is written before a release, so that a crash in
between repeats the release instead of mistaking it for a person's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from penstock.domain import messages
from penstock.domain.actions import (
    Action,
    HoldWorkload,
    ReleaseWorkload,
    WorkloadAction,
    WriteGateRecord,
    WriteStatus,
)
from penstock.domain.deadlines import SECOND_TRY_AFTER, look_again_at
from penstock.domain.decide import decide, prepare
from penstock.domain.decision import (
    Decision,
    DecisionInput,
    DecisionPoint,
    Decisions,
    ReleaseInput,
    SloEvidence,
)
from penstock.domain.effective_policy import CALM
from penstock.domain.external_resume import detect_external_resume, is_respected, recent_losses
from penstock.domain.gate_record import record
from penstock.domain.memory import HOLD_CAUSES, Memory
from penstock.domain.messages import GateMessage
from penstock.domain.quantities import Duration, Ratio
from penstock.domain.release_tracking import (
    drop_from_stable,
    is_stable,
    observe_workload,
    update_probation,
)
from penstock.domain.rollout import (
    InFlight,
    Mode,
    OnDelete,
    Rollout,
)
from penstock.domain.rollout_state import (
    HISTORY_KEPT,
    Gate,
    GateRecord,
    Hold,
    RolloutState,
    Spent,
    Transition,
)
from penstock.domain.thresholds import breach_reason, remaining_share
from penstock.domain.verdict import GateState, Reason, Verdict
from penstock.domain.workload import HOLD_MANAGER_PREFIX, HoldEffect, WorkloadState


def hold_manager(rollout: Rollout) -> str:
    """The field manager of this Rollout's hold: a separate one, so that no two prune each other."""
    return HOLD_MANAGER_PREFIX + rollout.ref.uid


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of one round.

    Attributes:
        state: the Rollout's state now.
        decisions: the decisions behind it; None where nothing is enforced.
        actions: what to do, in this order.
        look_again_at: when the same input leads to another decision; None: never.
    """

    state: RolloutState
    decisions: Decisions | None
    actions: tuple[Action, ...]
    look_again_at: datetime | None = None

    @property
    def record(self) -> GateRecord:
        """What admission reads."""
        return next(one.record for one in self.actions if isinstance(one, WriteGateRecord))

    @property
    def workload_action(self) -> WorkloadAction | None:
        """What is done to the workload; it is observed again afterwards."""
        found = (one for one in self.actions if isinstance(one, HoldWorkload | ReleaseWorkload))
        return next(found, None)


def step(
    rollout: Rollout,
    before: RolloutState,
    workload: WorkloadState,
    slos: tuple[SloEvidence, ...],
    conflicting: str | None,
    now: datetime,
) -> StepResult:
    """One round for one Rollout.

    Args:
        rollout: what its author wrote.
        before: its state before.
        workload: the workload, just observed.
        slos: its SLOs with evidence, at least one; empty only while ``mode`` is Off.
        conflicting: name of another Rollout that already guards this workload; None if there is
            none.
        now: the instant, in UTC.
    """
    state = detect_external_resume(
        rollout, before, observe_workload(before, workload, now), workload, now
    )
    state = replace(state, generation=rollout.generation)
    if rollout.mode is Mode.OFF or conflicting is not None:
        reason = Reason.DISABLED if conflicting is None else Reason.WORKLOAD_CONFLICT
        return _not_enforcing(rollout, state, workload, reason, conflicting, now)
    facts = prepare(_decision_input(rollout, state, workload, slos, now))
    decisions = decide(facts)
    state = replace(state, memory=_after_decision(facts, decisions, workload))
    action = _workload_action(rollout, state, workload, decisions.release, now)
    state = _with_hold(rollout, state, workload, action, now)
    if decisions.gate.reason in HOLD_CAUSES and not _was_held(before) and state.release is None:
        # With a release in progress it is that which is suspect, and it is not stable yet.
        state = drop_from_stable(state)
    permitted = decisions.gate.verdict is Verdict.PERMIT
    state = update_probation(state, workload, permitted=permitted, calm=_calm(facts), now=now)
    state = _with_release_reason(state, decisions)
    message = messages.gate(rollout, state, workload, decisions, now)
    state = _with_gate(state, decisions.gate, message, now)
    wanted = record(rollout, state, decisions.gate)
    actions = _actions(wanted, decisions.gate.state, decisions.gate.reason, action)
    return StepResult(state, decisions, actions, look_again_at(state, facts, _calm(facts)))


def _actions(
    wanted: GateRecord, state: GateState, reason: Reason, action: WorkloadAction | None
) -> tuple[Action, ...]:
    first = WriteGateRecord(wanted, f"{state} {reason}")
    match action:
        case None:
            return (first, WriteStatus())
        case HoldWorkload():
            return (first, action)
        case ReleaseWorkload():
            return (first, WriteStatus(), action)


def _decision_input(
    rollout: Rollout,
    state: RolloutState,
    workload: WorkloadState,
    slos: tuple[SloEvidence, ...],
    now: datetime,
) -> DecisionInput:
    person = rollout.hold_reason if rollout.hold_reason is not None else workload.person_holds
    named = state.gate.slo if state.gate else ""
    release = state.release
    if release is None:
        return DecisionInput(slos, state.memory, person, None, now, named)
    under_way = ReleaseInput(
        id=release.id,
        returns=is_stable(state, release.id),
        first=not release.from_hash,
        origin=release.origin,
        resumed_by_person=release.resumed_at is not None and is_respected(rollout),
        held=workload.held_by_us,
    )
    return DecisionInput(slos, state.memory, person, under_way, now, named)


def _after_decision(facts: DecisionInput, decisions: Decisions, workload: WorkloadState) -> Memory:
    """A hold for either question is a hold to recover from: the gate's, else the release's.

    A burn hold whose calm was read from thin evidence is over as well, once it is given back: else
    the silence that follows would close the gate again.
    """
    gate, release, now, calm = decisions.gate, decisions.release, facts.now, _calm(facts)
    by = {
        slo.name for slo in facts.slos if any(breach_reason(slo, point) for point in DecisionPoint)
    }
    settled = facts.memory.after_decision(gate.verdict, gate.reason, calm, now, by)
    if release is not None and release.verdict is Verdict.HOLD and release.reason in HOLD_CAUSES:
        settled = settled.after_decision(Verdict.HOLD, release.reason, calm, now, by)
        return replace(settled, last_known=gate.verdict)
    return settled.after_recovery(now) if gate.proceeds and not workload.held_by_us else settled


def _calm(facts: DecisionInput) -> Duration:
    """How long it must have been calm: the strictest of the policies that apply."""
    return max((slo.policy.calm for slo in facts.slos if slo.policy), default=CALM)


def _workload_action(
    rollout: Rollout,
    state: RolloutState,
    workload: WorkloadState,
    release: Decision | None,
    now: datetime,
) -> WorkloadAction | None:
    if not _wants_hold(rollout, workload, release):
        return ReleaseWorkload() if workload.held_by_us else None
    keep = rollout.on_delete is OnDelete.KEEP_HELD
    hold = HoldWorkload(hold_manager(rollout), keep)
    if workload.held_by_us:
        # What becomes of the hold when its Rollout goes is written on it, and may have changed.
        return None if workload.keep_held is keep else hold
    if workload.effect is HoldEffect.NONE or state.hold.contested_by:
        return None
    losses = recent_losses(state.hold.lost_at, now)
    waiting = len(losses) > 1 and now - losses[-1] < SECOND_TRY_AFTER
    return None if waiting else hold


def _wants_hold(rollout: Rollout, workload: WorkloadState, release: Decision | None) -> bool:
    return (
        rollout.mode is Mode.ENFORCE
        and rollout.enforcement.in_flight is InFlight.HOLD
        and workload.unsupported_reason is None
        and release is not None
        and not release.proceeds
    )


def _with_hold(
    rollout: Rollout,
    state: RolloutState,
    workload: WorkloadState,
    action: WorkloadAction | None,
    now: datetime,
) -> RolloutState:
    """The hold as it was read back; one that is about to be released counts as released."""
    hold = state.hold
    active = workload.held_by_us and not isinstance(action, ReleaseWorkload)
    holds = active or isinstance(action, HoldWorkload) or _cannot_hold(state, workload)
    effect = workload.effect if holds else None
    contested = hold.contested_by if state.release is not None else ""
    lost_at = hold.lost_at if state.release is not None else ()
    since = (hold.since or now) if active else None
    manager = hold_manager(rollout) if active else ""
    return replace(
        state,
        hold=Hold(
            active, manager, effect, since, lost_at, contested, "" if active else hold.refused
        ),
    )


def _cannot_hold(state: RolloutState, workload: WorkloadState) -> bool:
    return state.release is not None and workload.effect is HoldEffect.NONE


def _was_held(state: RolloutState) -> bool:
    return state.memory.held_for is not None


def _with_release_reason(state: RolloutState, decisions: Decisions) -> RolloutState:
    if state.release is None or decisions.release is None:
        return state
    named, reason = decisions.gate.slo, decisions.release.reason
    spent = _spent(named, state.release.started_at) if named else None
    release = replace(state.release, reason=reason, spent=spent)
    share = remaining_share(named) if named else None
    if share is not None and not release.remaining_at_start:
        release = replace(release, remaining_at_start=Ratio(share).rounded(4))
    return replace(state, release=release)


def _spent(slo: SloEvidence, since: datetime) -> Spent | None:
    reading = slo.evidence.reading
    share = reading.spent_since(since) if reading else None
    return Spent(slo.name, Decimal(share.rounded(4))) if share else None


def _with_gate(
    state: RolloutState, decision: Decision, message: GateMessage, now: datetime
) -> RolloutState:
    slo = decision.slo.name if decision.slo else ""
    return _placed(state, decision.verdict, decision.state, decision.reason, slo, message, now)


def _placed(
    state: RolloutState,
    verdict: Verdict,
    gate_state: GateState,
    reason: Reason,
    slo: str,
    message: GateMessage,
    now: datetime,
) -> RolloutState:
    former = state.gate
    same = former is not None and (former.state, former.reason) == (gate_state, reason)
    since = former.since if same and former is not None else now
    gate = Gate(
        verdict=verdict,
        state=gate_state,
        reason=reason,
        slo=slo,
        message=message.text,
        since=since,
        decided_at=now,
        summary=message.summary,
        effect=message.effect,
        opens_when=message.opens_when,
        advice=message.advice,
    )
    placed = replace(state, gate=gate)
    if same:
        return placed
    entry = Transition(now, verdict, gate_state, reason, slo, message.text)
    memory = replace(state.memory, serial=state.memory.serial + 1)
    return replace(placed, memory=memory, history=(entry, *state.history)[:HISTORY_KEPT])


def _not_enforcing(
    rollout: Rollout,
    state: RolloutState,
    workload: WorkloadState,
    reason: Reason,
    conflicting: str | None,
    now: datetime,
) -> StepResult:
    """Off, or second on its workload: it enforces nothing and gives back its hold."""
    action = ReleaseWorkload() if workload.held_by_us else None
    memory = replace(Memory(), serial=state.memory.serial)
    state = replace(state, memory=memory, proving_since=None)
    if state.release is not None:
        state = replace(state, release=replace(state.release, reason=None, spent=None))
    state = _with_hold(rollout, state, workload, action, now)
    message = messages.not_enforcing(rollout, conflicting)
    state = _placed(state, Verdict.UNKNOWN, GateState.OPEN, reason, "", message, now)
    wanted = record(rollout, state, None)
    return StepResult(state, None, _actions(wanted, GateState.OPEN, reason, action))

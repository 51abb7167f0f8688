"""The gate of one Rollout: from what is seen and measured to where it stands and what to do.

Pure: ``step`` returns the next standing and the actions in their order; the engine carries them
out, and after a hold or a release it observes the workload and steps again. Admission's record
comes first: it is the line without a window. A hold is written before the status that shows it,
because closing is safe at any time. The status is written before a release, so that a crash in
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
from penstock.domain.case import Case, Decision, Judged, Judgement, Question, Release
from penstock.domain.deadlines import SECOND_TRY_AFTER, look_again_at
from penstock.domain.decide import judgement, noticed
from penstock.domain.external_resume import detect_external_resume, is_respected, recent_losses
from penstock.domain.gate_record import record
from penstock.domain.guard import CALM
from penstock.domain.judge import crossing, share_left
from penstock.domain.memory import CAUSES, Memory
from penstock.domain.messages import GateMessage
from penstock.domain.progress import follow, is_stable, proving, without_suspect
from penstock.domain.quantities import Duration, Ratio
from penstock.domain.rollout import (
    InFlight,
    Mode,
    OnDelete,
    Rollout,
)
from penstock.domain.standing import (
    HISTORY_KEPT,
    Gate,
    Hold,
    Record,
    Spent,
    Standing,
    Transition,
)
from penstock.domain.verdict import GateState, Reason, Verdict
from penstock.domain.workload import HOLD_MANAGER_PREFIX, Effect, Observation


def hold_manager(rollout: Rollout) -> str:
    """The field manager of this Rollout's hold: one each, so that two never prune one another."""
    return HOLD_MANAGER_PREFIX + rollout.ref.uid


@dataclass(frozen=True, slots=True)
class StepResult:
    """One round's result.

    Attributes:
        standing: where the Rollout stands now.
        judgement: by which judgement; None where nothing is enforced.
        actions: what to do, in this order.
        look_again_at: when the same input is decided otherwise; None while it never is.
    """

    standing: Standing
    judgement: Judgement | None
    actions: tuple[Action, ...]
    look_again_at: datetime | None = None

    @property
    def record(self) -> Record:
        """What admission reads."""
        return next(one.record for one in self.actions if isinstance(one, WriteGateRecord))

    @property
    def workload_action(self) -> WorkloadAction | None:
        """What is done to the workload; it is observed again afterwards."""
        found = (one for one in self.actions if isinstance(one, HoldWorkload | ReleaseWorkload))
        return next(found, None)


def step(
    rollout: Rollout,
    before: Standing,
    seen: Observation,
    slos: tuple[Judged, ...],
    rival: str | None,
    now: datetime,
) -> StepResult:
    """One round for one Rollout.

    Args:
        rollout: what its author wrote.
        before: where it stood.
        seen: the workload, looked at just now.
        slos: its SLOs with evidence, at least one; empty only while ``mode`` is Off.
        rival: name of another Rollout that has this workload already; None if there is none.
        now: the instant, in UTC.
    """
    standing = detect_external_resume(rollout, before, follow(before, seen, now), seen, now)
    standing = replace(standing, generation=rollout.generation)
    if rollout.mode is Mode.OFF or rival is not None:
        reason = Reason.DISABLED if rival is None else Reason.WORKLOAD_CONFLICT
        return _stood_down(rollout, standing, seen, reason, rival, now)
    case = noticed(_case(rollout, standing, seen, slos, now))
    judged = judgement(case)
    standing = replace(standing, memory=_settled(case, judged, seen))
    action = _workload_action(rollout, standing, seen, judged.release, now)
    standing = _with_hold(rollout, standing, seen, action, now)
    if judged.gate.reason in CAUSES and not _was_held(before) and standing.release is None:
        # With a release under way it is that which is suspect, and it is not stable yet.
        standing = without_suspect(standing)
    permitted = judged.gate.verdict is Verdict.PERMIT
    standing = proving(standing, seen, permitted=permitted, calm=_calm(case), now=now)
    standing = _with_release_told(standing, judged)
    message = messages.gate(rollout, standing, seen, judged, now)
    standing = _with_gate(standing, judged.gate, message, now)
    wanted = record(rollout, standing, judged.gate)
    actions = _actions(wanted, judged.gate.state, judged.gate.reason, action)
    return StepResult(standing, judged, actions, look_again_at(standing, case, _calm(case)))


def _actions(
    wanted: Record, state: GateState, reason: Reason, action: WorkloadAction | None
) -> tuple[Action, ...]:
    first = WriteGateRecord(wanted, f"{state} {reason}")
    match action:
        case None:
            return (first, WriteStatus())
        case HoldWorkload():
            return (first, action)
        case ReleaseWorkload():
            return (first, WriteStatus(), action)


def _case(
    rollout: Rollout,
    standing: Standing,
    seen: Observation,
    slos: tuple[Judged, ...],
    now: datetime,
) -> Case:
    person = rollout.hold_reason if rollout.hold_reason is not None else seen.person_holds
    named = standing.gate.slo if standing.gate else ""
    release = standing.release
    if release is None:
        return Case(slos, standing.memory, person, None, now, named)
    under_way = Release(
        id=release.id,
        returns=is_stable(standing, release.id),
        first=not release.from_hash,
        onset=release.onset,
        resumed_by_person=release.resumed_at is not None and is_respected(rollout),
        held=seen.ours,
    )
    return Case(slos, standing.memory, person, under_way, now, named)


def _settled(case: Case, judged: Judgement, seen: Observation) -> Memory:
    """A hold for either question is a hold to recover from: the gate's, else the release's.

    A burn hold whose calm was read from thin evidence is over as well, once it is given back: else
    the silence that follows would close the gate again.
    """
    gate, release, now, calm = judged.gate, judged.release, case.now, _calm(case)
    by = {one.name for one in case.slos if any(crossing(one, question) for question in Question)}
    settled = case.memory.settled(gate.verdict, gate.reason, calm, now, by)
    if release is not None and release.verdict is Verdict.HOLD and release.reason in CAUSES:
        settled = settled.settled(Verdict.HOLD, release.reason, calm, now, by)
        return replace(settled, last_known=gate.verdict)
    return settled.recovered(now) if gate.proceeds and not seen.ours else settled


def _calm(case: Case) -> Duration:
    """How long it must have been calm: the strictest of the policies that apply."""
    return max((one.guard.calm for one in case.slos if one.guard), default=CALM)


def _workload_action(
    rollout: Rollout,
    standing: Standing,
    seen: Observation,
    release: Decision | None,
    now: datetime,
) -> WorkloadAction | None:
    if not _wants_hold(rollout, seen, release):
        return ReleaseWorkload() if seen.ours else None
    keep = rollout.on_delete is OnDelete.KEEP_HELD
    hold = HoldWorkload(hold_manager(rollout), keep)
    if seen.ours:
        # What becomes of the hold when its Rollout goes is written on it, and may have changed.
        return None if seen.kept is keep else hold
    if seen.effect is Effect.NONE or standing.hold.contested_by:
        return None
    losses = recent_losses(standing.hold.lost_at, now)
    waiting = len(losses) > 1 and now - losses[-1] < SECOND_TRY_AFTER
    return None if waiting else hold


def _wants_hold(rollout: Rollout, seen: Observation, release: Decision | None) -> bool:
    return (
        rollout.mode is Mode.ENFORCE
        and rollout.enforcement.in_flight is InFlight.HOLD
        and seen.refusal is None
        and release is not None
        and not release.proceeds
    )


def _with_hold(
    rollout: Rollout,
    standing: Standing,
    seen: Observation,
    action: WorkloadAction | None,
    now: datetime,
) -> Standing:
    """The hold as it was read back; one that is about to be released counts as released."""
    hold = standing.hold
    active = seen.ours and not isinstance(action, ReleaseWorkload)
    holds = active or isinstance(action, HoldWorkload) or _cannot_hold(standing, seen)
    effect = seen.effect if holds else None
    contested = hold.contested_by if standing.release is not None else ""
    lost_at = hold.lost_at if standing.release is not None else ()
    since = (hold.since or now) if active else None
    manager = hold_manager(rollout) if active else ""
    return replace(
        standing,
        hold=Hold(
            active, manager, effect, since, lost_at, contested, "" if active else hold.refused
        ),
    )


def _cannot_hold(standing: Standing, seen: Observation) -> bool:
    return standing.release is not None and seen.effect is Effect.NONE


def _was_held(standing: Standing) -> bool:
    return standing.memory.held_for is not None


def _with_release_told(standing: Standing, judged: Judgement) -> Standing:
    if standing.release is None or judged.release is None:
        return standing
    named, reason = judged.gate.slo, judged.release.reason
    spent = _spent(named, standing.release.started_at) if named else None
    release = replace(standing.release, reason=reason, spent=spent)
    share = share_left(named) if named else None
    if share is not None and not release.remaining_at_start:
        release = replace(release, remaining_at_start=Ratio(share).rounded(4))
    return replace(standing, release=release)


def _spent(slo: Judged, since: datetime) -> Spent | None:
    reading = slo.evidence.reading
    share = reading.spent_since(since) if reading else None
    return Spent(slo.name, Decimal(share.rounded(4))) if share else None


def _with_gate(
    standing: Standing, decision: Decision, message: GateMessage, now: datetime
) -> Standing:
    slo = decision.slo.name if decision.slo else ""
    return _placed(standing, decision.verdict, decision.state, decision.reason, slo, message, now)


def _placed(
    standing: Standing,
    verdict: Verdict,
    state: GateState,
    reason: Reason,
    slo: str,
    message: GateMessage,
    now: datetime,
) -> Standing:
    former = standing.gate
    same = former is not None and (former.state, former.reason) == (state, reason)
    since = former.since if same and former is not None else now
    gate = Gate(
        verdict=verdict,
        state=state,
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
    placed = replace(standing, gate=gate)
    if same:
        return placed
    entry = Transition(now, verdict, state, reason, slo, message.text)
    memory = replace(standing.memory, serial=standing.memory.serial + 1)
    return replace(placed, memory=memory, history=(entry, *standing.history)[:HISTORY_KEPT])


def _stood_down(
    rollout: Rollout,
    standing: Standing,
    seen: Observation,
    reason: Reason,
    rival: str | None,
    now: datetime,
) -> StepResult:
    """Off, or second on its workload: it enforces nothing and gives back its hold."""
    action = ReleaseWorkload() if seen.ours else None
    memory = replace(Memory(), serial=standing.memory.serial)
    standing = replace(standing, memory=memory, proving_since=None)
    if standing.release is not None:
        standing = replace(standing, release=replace(standing.release, reason=None, spent=None))
    standing = _with_hold(rollout, standing, seen, action, now)
    message = messages.not_enforcing(rollout, rival)
    standing = _placed(standing, Verdict.UNKNOWN, GateState.OPEN, reason, "", message, now)
    wanted = record(rollout, standing, None)
    return StepResult(standing, None, _actions(wanted, GateState.OPEN, reason, action))

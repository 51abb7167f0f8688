"""Decides when a status is worth a write: on a transition, a moved budget, and as a heartbeat.

At rest nothing else is written, so that thousands of SLOs cost the API server nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from penstock.domain.budget import NOTABLE
from penstock.domain.refs import ObjectRef
from penstock.domain.rollout_state import RolloutState
from penstock.domain.slo_status import SloStatus
from penstock.domain.source_status import SourceReason, SourceStatus
from penstock.domain.verdict import GateState, Reason
from penstock.engine.ports import Notification
from penstock.engine.schedule import offset

HEARTBEAT = timedelta(minutes=10)
BUDGET_AT_MOST_EVERY = WORDS_AT_MOST_EVERY = timedelta(minutes=1)
PROGRESS_AT_MOST_EVERY = timedelta(seconds=5)
READING_THE_PAST = (Reason.WARMING_UP, Reason.MIGRATING)
# These change only when an author does something, never by themselves.
BY_AUTHORS = frozenset(
    {
        SourceReason.INVALID,
        SourceReason.SECRET_NOT_FOUND,
        SourceReason.SECRET_FORBIDDEN,
        SourceReason.SECRET_INVALID,
    }
)


def should_write(ref: ObjectRef, status: object, last: object) -> bool:
    """Whether to write a status now; without a rule for its kind, whenever it has changed.

    Args:
        ref: the object of the status.
        status: the current status.
        last: what was written last; None: nothing, or something of another kind.
    """
    match status:
        case SloStatus():
            return should_write_slo(status, last if isinstance(last, SloStatus) else None)
        case SourceStatus():
            return should_write_source(status, last if isinstance(last, SourceStatus) else None)
        case RolloutState():
            return should_write_rollout(
                ref, status, last if isinstance(last, RolloutState) else None
            )
        case _:
            return status != last


def transition(ref: ObjectRef, status: object, last: object, now: datetime) -> Notification | None:
    """The notification for a status that was written; None if nothing that people act on changed.

    An SLO's status sends none: people act on gates, which depend on it.
    """
    match status:
        case SloStatus():
            return None
        case SourceStatus():
            if not source_is_transition(status, last if isinstance(last, SourceStatus) else None):
                return None
            ready = status.ready
            warning = ready.status != "True"
            return Notification(status.kind, ref, warning, ready.reason, ready.message, now)
        case RolloutState():
            gate = status.gate
            known = last if isinstance(last, RolloutState) else None
            if gate is None or not rollout_is_transition(status, known):
                return None
            warning = gate.state is not GateState.OPEN
            return Notification("Rollout", ref, warning, gate.reason, gate.message, now)
        case _:
            return None


def should_write_slo(status: SloStatus, last: SloStatus | None) -> bool:
    """Whether to write an SLO's status now."""
    if last is None or _slo_transition(status, last):
        return True
    age = status.evaluated_at - last.evaluated_at
    if age >= heartbeat_after(status.ref, last.evaluated_at):
        return True
    backfilled = status.reason in READING_THE_PAST and status.summary != last.summary
    moved = backfilled or _moved(status.remaining, last.remaining)
    return age >= BUDGET_AT_MOST_EVERY and moved


def _slo_transition(status: SloStatus, last: SloStatus) -> bool:
    facts = [
        (one.generation, one.state, one.reason, one.objective, one.window, one.remaining is None)
        for one in (status, last)
    ]
    return facts[0] != facts[1]


def should_write_source(status: SourceStatus, last: SourceStatus | None) -> bool:
    """Whether to write a source's status now."""
    if last is None or source_is_transition(status, last) or status.generation != last.generation:
        return True
    age = status.reported_at - last.reported_at
    if age >= heartbeat_after(status.ref, last.reported_at):
        return True
    reworded = status.ready.message != last.ready.message
    return reworded and (status.ready.reason in BY_AUTHORS or age >= WORDS_AT_MOST_EVERY)


def source_is_transition(status: SourceStatus, last: SourceStatus | None) -> bool:
    """Whether to notify: it became ready or unready, or is unready for another reason."""
    marks = [one and (one.ref, one.ready.status, one.ready.reason) for one in (status, last)]
    return marks[0] != marks[1]


def should_write_rollout(
    ref: ObjectRef, rollout_state: RolloutState, last: RolloutState | None
) -> bool:
    """Whether to write a Rollout's status now."""
    if last is None or _facts(rollout_state) != _facts(last):
        return True
    if rollout_state.gate is None or last.gate is None:
        return False
    age = rollout_state.gate.decided_at - last.gate.decided_at
    if age >= heartbeat_after(ref, last.gate.decided_at):
        return True
    if age >= BUDGET_AT_MOST_EVERY and _moved(_spent(rollout_state), _spent(last)):
        return True
    progress = rollout_state.workload != last.workload
    return progress and age >= PROGRESS_AT_MOST_EVERY


def _spent(rollout_state: RolloutState) -> Decimal | None:
    spent = rollout_state.release.spent if rollout_state.release else None
    return spent.share if spent else None


def _facts(rollout_state: RolloutState) -> tuple[object, ...]:
    """Everything that readers act on or a restart must not lose, without changing numbers."""
    gate, workload, memory = rollout_state.gate, rollout_state.workload, rollout_state.memory
    return (
        gate and (gate.verdict, gate.state, gate.reason, gate.slo),
        workload and (workload.name, workload.uid, workload.phase),
        rollout_state.release and replace(rollout_state.release, spent=None),
        rollout_state.complete,
        rollout_state.stable,
        rollout_state.proving_since,
        rollout_state.hold,
        rollout_state.settings,
        rollout_state.generation,
        (
            memory.held_for,
            memory.held_by,
            memory.calm_since,
            memory.calm_required,
            memory.recent_holds,
        ),
        (memory.unknown, memory.unknown_since, memory.last_known),
        tuple(
            (condition.type, condition.status, condition.reason)
            for condition in rollout_state.conditions
        ),
    )


def rollout_is_transition(rollout_state: RolloutState, last: RolloutState | None) -> bool:
    """Whether to notify: the gate changed, a hold began or ended, or a person resumed."""
    marks = [
        state
        and (
            state.gate and (state.gate.state, state.gate.reason),
            state.hold.active,
            state.hold.contested_by,
            state.release and state.release.resumed_at,
        )
        for state in (rollout_state, last)
    ]
    return marks[0] != marks[1]


def heartbeat_after(ref: ObjectRef, written_at: datetime) -> timedelta:
    """How long after its last write a status is written again although nothing has happened.

    Five to ten minutes, moved towards the object's own moment in each ten: statuses that were
    written together at a start drift apart. Written 4 minutes past its moment: again after 8, then
    9, then 9.5.
    """
    own = offset(f"{ref.namespace}/{ref.name}", HEARTBEAT.total_seconds())
    past = (written_at.timestamp() - own) % HEARTBEAT.total_seconds()
    return HEARTBEAT - timedelta(seconds=past / 2)


def _moved(one: Decimal | None, other: Decimal | None) -> bool:
    if one is None or other is None:
        return one is not other
    return abs(one - other) >= NOTABLE

"""When a status is worth a write: on a transition, when the budget moved, and as a heartbeat.

At rest nothing else is written, so that thousands of SLOs cost the API server nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from penstock.domain.budget import NOTABLE
from penstock.domain.refs import ObjectRef
from penstock.domain.report import SloReport
from penstock.domain.source_report import SourceReason, SourceReport
from penstock.domain.standing import Standing
from penstock.domain.verdict import GateState, Reason
from penstock.engine.ports import Notification
from penstock.engine.schedule import offset

HEARTBEAT = timedelta(minutes=10)
BUDGET_AT_MOST_EVERY = WORDS_AT_MOST_EVERY = timedelta(minutes=1)
PROGRESS_AT_MOST_EVERY = timedelta(seconds=5)
READING_THE_PAST = (Reason.WARMING_UP, Reason.MIGRATING)
# What these say changes by what an author does, and not by itself.
BY_AUTHORS = frozenset(
    {
        SourceReason.INVALID,
        SourceReason.SECRET_NOT_FOUND,
        SourceReason.SECRET_FORBIDDEN,
        SourceReason.SECRET_INVALID,
    }
)


def should_write(ref: ObjectRef, status: object, last: object) -> bool:
    """Whether a status is written now; one of a kind without a rule of its own, when it changed.

    Args:
        ref: whose status it is.
        status: what it says now.
        last: what was written last; None: nothing, or something of another kind.
    """
    match status:
        case SloReport():
            return should_write_slo(status, last if isinstance(last, SloReport) else None)
        case SourceReport():
            return should_write_source(status, last if isinstance(last, SourceReport) else None)
        case Standing():
            return should_write_rollout(ref, status, last if isinstance(last, Standing) else None)
        case _:
            return status != last


def transition(ref: ObjectRef, status: object, last: object, now: datetime) -> Notification | None:
    """What people are notified of once a status is written; None where nothing they act on moved.

    An SLO's status is not notified of: what depends on it is a gate.
    """
    match status:
        case SloReport():
            return None
        case SourceReport():
            if not source_is_transition(status, last if isinstance(last, SourceReport) else None):
                return None
            ready = status.ready
            warning = ready.status != "True"
            return Notification(status.kind, ref, warning, ready.reason, ready.message, now)
        case Standing():
            gate = status.gate
            known = last if isinstance(last, Standing) else None
            if gate is None or not rollout_is_transition(status, known):
                return None
            warning = gate.state is not GateState.OPEN
            return Notification("Rollout", ref, warning, gate.reason, gate.message, now)
        case _:
            return None


def should_write_slo(report: SloReport, last: SloReport | None) -> bool:
    """Whether an SLO's status is written now."""
    if last is None or _slo_transition(report, last):
        return True
    age = report.evaluated_at - last.evaluated_at
    if age >= heartbeat_after(report.ref, last.evaluated_at):
        return True
    backfilled = report.reason in READING_THE_PAST and report.summary != last.summary
    moved = backfilled or _moved(report.remaining, last.remaining)
    return age >= BUDGET_AT_MOST_EVERY and moved


def _slo_transition(report: SloReport, last: SloReport) -> bool:
    facts = [
        (one.generation, one.state, one.reason, one.objective, one.window, one.remaining is None)
        for one in (report, last)
    ]
    return facts[0] != facts[1]


def should_write_source(report: SourceReport, last: SourceReport | None) -> bool:
    """Whether a source's status is written now."""
    if last is None or source_is_transition(report, last) or report.generation != last.generation:
        return True
    age = report.told_at - last.told_at
    if age >= heartbeat_after(report.ref, last.told_at):
        return True
    reworded = report.ready.message != last.ready.message
    return reworded and (report.ready.reason in BY_AUTHORS or age >= WORDS_AT_MOST_EVERY)


def source_is_transition(report: SourceReport, last: SourceReport | None) -> bool:
    """Whether it is worth an Event: it is ready or not, or not for another reason."""
    marks = [one and (one.ref, one.ready.status, one.ready.reason) for one in (report, last)]
    return marks[0] != marks[1]


def should_write_rollout(ref: ObjectRef, standing: Standing, last: Standing | None) -> bool:
    """Whether a Rollout's status is written now."""
    if last is None or _facts(standing) != _facts(last):
        return True
    if standing.gate is None or last.gate is None:
        return False
    age = standing.gate.decided_at - last.gate.decided_at
    if age >= heartbeat_after(ref, last.gate.decided_at):
        return True
    if age >= BUDGET_AT_MOST_EVERY and _moved(_spent(standing), _spent(last)):
        return True
    progress = standing.workload != last.workload
    return progress and age >= PROGRESS_AT_MOST_EVERY


def _spent(standing: Standing) -> Decimal | None:
    spent = standing.release.spent if standing.release else None
    return spent.share if spent else None


def _facts(standing: Standing) -> tuple[object, ...]:
    """All that a reader acts on, and all that a restart must not lose; no moving numbers."""
    gate, workload, memory = standing.gate, standing.workload, standing.memory
    return (
        gate and (gate.verdict, gate.state, gate.reason, gate.slo),
        workload and (workload.name, workload.uid, workload.phase),
        standing.release and replace(standing.release, spent=None),
        standing.complete,
        standing.stable,
        standing.proving_since,
        standing.hold,
        standing.settings,
        standing.generation,
        (
            memory.held_for,
            memory.held_by,
            memory.calm_since,
            memory.calm_required,
            memory.recent_holds,
        ),
        (memory.unknown, memory.unknown_since, memory.last_known),
        tuple((one.type, one.status, one.reason) for one in standing.conditions),
    )


def rollout_is_transition(standing: Standing, last: Standing | None) -> bool:
    """Whether it is worth an Event: the gate moved, a hold came or went, a person resumed it."""
    marks = [
        one
        and (
            one.gate and (one.gate.state, one.gate.reason),
            one.hold.active,
            one.hold.contested_by,
            one.release and one.release.resumed_at,
        )
        for one in (standing, last)
    ]
    return marks[0] != marks[1]


def heartbeat_after(ref: ObjectRef, written_at: datetime) -> timedelta:
    """How long after its last write a status is written again though nothing has happened.

    Five to ten minutes, drawn towards a moment of the object's own in each ten: what was written
    together at a start drifts apart. Written 4 minutes past its moment: after 8, then 9, then 9.5.
    """
    own = offset(f"{ref.namespace}/{ref.name}", HEARTBEAT.total_seconds())
    past = (written_at.timestamp() - own) % HEARTBEAT.total_seconds()
    return HEARTBEAT - timedelta(seconds=past / 2)


def _moved(one: Decimal | None, other: Decimal | None) -> bool:
    if one is None or other is None:
        return one is not other
    return abs(one - other) >= NOTABLE

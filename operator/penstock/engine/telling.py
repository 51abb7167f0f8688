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
from penstock.domain.verdict import Reason
from penstock.engine.schedule import phase

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


def slo_is_worth_telling(report: SloReport, told: SloReport | None) -> bool:
    """Whether an SLO's status is written now."""
    if told is None or _slo_transition(report, told):
        return True
    age = report.evaluated_at - told.evaluated_at
    if age >= heartbeat_after(report.ref, told.evaluated_at):
        return True
    backfilled = report.reason in READING_THE_PAST and report.summary != told.summary
    moved = backfilled or _moved(report.remaining, told.remaining)
    return age >= BUDGET_AT_MOST_EVERY and moved


def _slo_transition(report: SloReport, told: SloReport) -> bool:
    facts = [
        (one.generation, one.state, one.reason, one.objective, one.window, one.remaining is None)
        for one in (report, told)
    ]
    return facts[0] != facts[1]


def source_is_worth_telling(report: SourceReport, told: SourceReport | None) -> bool:
    """Whether a source's status is written now."""
    if told is None or source_is_transition(report, told) or report.generation != told.generation:
        return True
    age = report.told_at - told.told_at
    if age >= heartbeat_after(report.ref, told.told_at):
        return True
    reworded = report.ready.message != told.ready.message
    return reworded and (report.ready.reason in BY_AUTHORS or age >= WORDS_AT_MOST_EVERY)


def source_is_transition(report: SourceReport, told: SourceReport | None) -> bool:
    """Whether it is worth an Event: it is ready or not, or not for another reason."""
    marks = [one and (one.ref, one.ready.status, one.ready.reason) for one in (report, told)]
    return marks[0] != marks[1]


def rollout_is_worth_telling(ref: ObjectRef, standing: Standing, told: Standing | None) -> bool:
    """Whether a Rollout's status is written now."""
    if told is None or _facts(standing) != _facts(told):
        return True
    if standing.gate is None or told.gate is None:
        return False
    age = standing.gate.decided_at - told.gate.decided_at
    if age >= heartbeat_after(ref, told.gate.decided_at):
        return True
    if age >= BUDGET_AT_MOST_EVERY and _moved(_spent(standing), _spent(told)):
        return True
    progress = standing.workload != told.workload
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


def is_transition(standing: Standing, told: Standing | None) -> bool:
    """Whether it is worth an Event: the gate moved, a hold came or went, a person resumed it."""
    marks = [
        one
        and (
            one.gate and (one.gate.state, one.gate.reason),
            one.hold.active,
            one.hold.contested_by,
            one.release and one.release.resumed_at,
        )
        for one in (standing, told)
    ]
    return marks[0] != marks[1]


def heartbeat_after(ref: ObjectRef, told_at: datetime) -> timedelta:
    """How long after its last write a status is written again though nothing has happened.

    Five to ten minutes, drawn towards a moment of the object's own in each ten: what was written
    together at a start drifts apart. Written 4 minutes past its moment: after 8, then 9, then 9.5.
    """
    own = phase(f"{ref.namespace}/{ref.name}", HEARTBEAT.total_seconds())
    past = (told_at.timestamp() - own) % HEARTBEAT.total_seconds()
    return HEARTBEAT - timedelta(seconds=past / 2)


def _moved(one: Decimal | None, other: Decimal | None) -> bool:
    if one is None or other is None:
        return one is not other
    return abs(one - other) >= NOTABLE

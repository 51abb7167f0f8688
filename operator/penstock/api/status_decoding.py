"""A Rollout's status and its GateRecord back to the state that they were encoded from.

Statuses can be edited by people and written by other versions of us. What cannot be read is left
out, and never read as something that opens a gate: a state without memory decides afresh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import ValidationError

from penstock.api.common import Condition as ConditionModel
from penstock.api.gate_record import GateRecord, RecordedTemplate
from penstock.api.rollout_status import (
    GateStatus,
    MemoryStatus,
    ReleaseStatus,
    RolloutStatus,
    TransitionStatus,
)
from penstock.api.slo import SLODisplay, SLOStatus
from penstock.api.source import SourceStatus as SourceStatusModel
from penstock.domain.decision import ReleaseOrigin
from penstock.domain.evidence import EvidenceGrade
from penstock.domain.memory import HoldCause, Memory
from penstock.domain.quantities import Duration, Ratio
from penstock.domain.refs import ObjectRef
from penstock.domain.rollout_state import (
    Condition,
    EffectiveSetting,
    Gate,
    Hold,
    ReleaseState,
    RolloutState,
    Spent,
    StableTemplate,
    Transition,
    WorkloadSummary,
)
from penstock.domain.slo import SourceKind
from penstock.domain.slo_status import SloState, SloStatus
from penstock.domain.source_status import READY, SourceStatus
from penstock.domain.template import PodTemplate, pod_template
from penstock.domain.verdict import GateState, Reason, Verdict
from penstock.domain.workload import HoldEffect, Phase

M = TypeVar("M")
T = TypeVar("T")

YEARS = range(2000, 3000)
LONGEST_SECONDS = 10 * 366 * 86_400


def decode_rollout_status(
    status: Mapping[str, Any] | None, record: Mapping[str, Any] | None
) -> RolloutState | None:
    """What a Rollout's status remembers; None when it has none yet or none that can be read.

    Args:
        status: the ``status`` of the Rollout's body.
        record: the body of its GateRecord, which keeps the stable templates themselves.
    """
    if not status:
        return None
    try:
        model = RolloutStatus.model_validate(status)
        return _rollout_state(model, _bodies(record))
    except (ValidationError, ValueError, TypeError):
        return None


def decode_slo_status(ref: ObjectRef, status: Mapping[str, Any] | None) -> SloStatus | None:
    """What an SLO's status said last, as far as a new report is compared with it; else None."""
    try:
        model = SLOStatus.model_validate(status or {})
        ready = next(
            (condition for condition in model.conditions or () if condition.type == "Ready"), None
        )
        if model.state is None or model.evaluated_at is None or ready is None:
            return None
        shown = model.display or SLODisplay()
        left = model.budget.remaining_ratio if model.budget else None
        return SloStatus(
            ref=ref,
            generation=model.observed_generation or 0,
            state=SloState(model.state),
            reason=Reason(ready.reason),
            summary=model.summary or "",
            objective=shown.objective or "",
            window=shown.window or "",
            indicator=shown.indicator or "",
            evaluated_at=_time(model.evaluated_at),
            remaining=Decimal(left) if left else None,
            conditions=_conditions(model.conditions),
        )
    except (ValidationError, ValueError, TypeError, ArithmeticError):
        return None


def decode_source_status(
    kind: SourceKind, ref: ObjectRef, status: Mapping[str, Any] | None
) -> SourceStatus | None:
    """What a source's status said last; None where it says nothing that can be read.

    When it was written does not stand there: as far as is known when it changed.
    """
    try:
        model = SourceStatusModel.model_validate(status or {})
        ready = next(
            (condition for condition in _conditions(model.conditions) if condition.type == READY),
            None,
        )
        if ready is None:
            return None
        answered = _given(model.last_answered_at, _time)
        generation = model.observed_generation or 0
        return SourceStatus(kind, ref, generation, ready, answered, answered or ready.since)
    except (ValidationError, ValueError, TypeError):
        return None


def _conditions(models: Iterable[ConditionModel] | None) -> tuple[Condition, ...]:
    return tuple(
        Condition(
            condition.type,
            condition.status,
            condition.reason,
            condition.message,
            _time(condition.last_transition_time),
        )
        for condition in models or ()
    )


def _rollout_state(model: RolloutStatus, bodies: Mapping[str, PodTemplate]) -> RolloutState:
    memory = model.memory or MemoryStatus()
    return RolloutState(
        memory=_memory(memory),
        gate=next(_readable(_gate, [model.gate] if model.gate else []), None),
        workload=next(_readable(_workload_summary, [model]), None),
        release=next(_readable(_release, [model]), None),
        complete=memory.complete or "",
        stable=tuple(
            StableTemplate(
                one.hash, tuple(one.images or ()), _time(one.completed_at), one.source or ""
            )
            for one in model.stable or ()
            if one.completed_at
        ),
        proving_since=_given(memory.proving_since, _time),
        hold=_hold(model),
        history=tuple(_readable(_transition, model.history or ())),
        conditions=_conditions(model.conditions),
        settings=tuple(
            EffectiveSetting(one.field, one.value, one.source)
            for one in model.effective_policy or ()
        ),
        generation=model.observed_generation or 0,
        bodies=bodies,
    )


def _readable(read: Callable[[M], T], parts: Iterable[M]) -> Iterator[T]:
    """The parts that can be read: a word of a newer version costs no more than what it is in."""
    for part in parts:
        try:
            yield read(part)
        except (ValueError, TypeError, AttributeError):
            continue


def _memory(model: MemoryStatus) -> Memory:
    return Memory(
        serial=model.serial or 0,
        held_for=_given(model.held_for, _cause),
        held_by=tuple(model.held_by or ()),
        calm_since=_given(model.calm_since, _time),
        calm_required=_length(model.calm_required or 0),
        recent_holds=tuple(_time(at) for at in model.recent_holds or ()),
        unknown=_given(model.unknown, EvidenceGrade),
        unknown_since=_given(model.unknown_since, _time),
        last_known=_given(model.last_known, Verdict),
    )


def _cause(word: str) -> HoldCause:
    """Of a hold that a newer version made for a cause of its own: the one that holds longest."""
    return next(_readable(HoldCause, [word]), HoldCause.BUDGET)


def _gate(model: GateStatus) -> Gate:
    return Gate(
        Verdict(model.verdict or ""),
        GateState(model.state or ""),
        Reason(model.reason or ""),
        model.slo or "",
        model.message or "",
        _time(model.since),
        _time(model.decided_at or model.since),
        model.summary or "",
        model.effect or "",
        model.opens_when or "",
        model.advice or "",
    )


def _transition(model: TransitionStatus) -> Transition:
    return Transition(
        _time(model.at),
        Verdict(model.verdict),
        GateState(model.state),
        Reason(model.reason),
        model.slo or "",
        model.message or "",
    )


def _workload_summary(model: RolloutStatus) -> WorkloadSummary | None:
    seen = model.workload
    if seen is None or not seen.phase:
        return None
    return WorkloadSummary(
        seen.name or "", seen.uid or "", Phase(seen.phase), seen.updated or 0, seen.total or 0
    )


def _release(model: RolloutStatus) -> ReleaseState | None:
    release = model.release
    if release is None or not release.id or not release.started_at:
        return None
    return ReleaseState(
        id=release.id,
        started_at=_time(release.started_at),
        from_hash=release.from_hash or "",
        remaining_at_start=release.remaining_at_start or "",
        origin=ReleaseOrigin(release.onset or ReleaseOrigin.ADMITTED),
        resumed_at=_given(release.resumed_at, _time),
        reason=next(_readable(Reason, [release.reason] if release.reason else []), None),
        spent=next(_readable(_spent, [release]), None),
    )


def _spent(model: ReleaseStatus) -> Spent | None:
    if not model.spent_ratio or not model.spent_slo:
        return None
    return Spent(model.spent_slo, Ratio.parse(model.spent_ratio).value)


def _hold(model: RolloutStatus) -> Hold:
    hold = model.hold
    if hold is None:
        return Hold()
    return Hold(
        active=bool(hold.active),
        manager=hold.manager or "",
        effect=next(_readable(HoldEffect, [hold.effective] if hold.effective else []), None),
        since=_given(hold.since, _time),
        lost_at=tuple(_time(at) for at in hold.lost_at or ()),
        contested_by=hold.contested_by or "",
    )


def _bodies(record: Mapping[str, Any] | None) -> dict[str, PodTemplate]:
    """Stable templates by hash; the record is a cache, so one that cannot be read costs nothing."""
    if not record:
        return {}
    try:
        data = GateRecord.model_validate({"data": record.get("data")}).data
    except ValidationError:
        return {}
    return {template.hash: template for template in _readable(_template, data.templates or ())}


def _template(model: RecordedTemplate) -> PodTemplate:
    return pod_template(model.template, model.source or "")


def _given(value: str | None, read: Callable[[str], T]) -> T | None:
    return read(value) if value else None


def _time(text: str | None) -> datetime:
    """A moment with its zone; Penstock never writes one without a zone.

    Nor is one at the end of the calendar, where adding a time to it would fail later on.
    """
    at = datetime.fromisoformat(text or "")
    if at.tzinfo is None or at.year not in YEARS:
        raise ValueError(f"{text} has no time zone, or is of no time that we can have been in")
    return at.astimezone(UTC)


def _length(seconds: int) -> Duration:
    if not 0 <= seconds <= LONGEST_SECONDS:
        raise ValueError(f"{seconds} s is not a time for which a gate waits")
    return Duration.of_seconds(seconds)

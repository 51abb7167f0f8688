"""Values of the core to bodies of our objects: statuses and GateRecords.

The other way round from ``parse``; what is printed here is read back by ``resume``. Texts that were
measured elsewhere are cut here, so that no status grows beyond what the API server takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from penstock.api.common import Condition as ConditionModel
from penstock.api.gate_record import GateRecordData, RecordedTemplate, RecordedWorkload
from penstock.api.rollout_status import (
    EffectiveSetting,
    GateStatus,
    HoldStatus,
    MemoryStatus,
    ReleaseStatus,
    RolloutStatus,
    StableTemplate,
    TransitionStatus,
    WorkloadStatus,
)
from penstock.api.slo import (
    BudgetStatus,
    BurnRateStatus,
    ForecastStatus,
    SLODisplay,
    SLOStatus,
)
from penstock.api.source import SourceStatus
from penstock.domain.evidence import NO_FORECAST, Forecast
from penstock.domain.quantities import Ratio
from penstock.domain.report import SloReport
from penstock.domain.source_report import SourceReport
from penstock.domain.standing import Condition, Record, Standing
from penstock.domain.wording import cut, percent, times
from penstock.errors import SpecInvalid

LONGEST_TEXT = 1_024
MOST_LISTED = 32


def slo_status(report: SloReport) -> dict[str, Any]:
    """The whole status of an SLO."""
    remaining = report.remaining
    burns = report.burns
    return SLOStatus(
        state=report.state,
        summary=_cut(report.summary),
        budget=_budget(report),
        burn_rates=[BurnRateStatus(window=str(look), rate=f"{burn:.2f}") for look, burn in burns],
        forecast=_forecast(report.forecast),
        coverage=_ratio(report.coverage),
        evaluated_at=_time(report.evaluated_at),
        display=SLODisplay(
            objective=report.objective,
            window=report.window,
            indicator=report.indicator,
            budget_left=None if remaining is None else percent(remaining),
            burn=times(burns[0][1]) if burns else None,
        ),
        observed_generation=report.generation,
        conditions=_conditions(report.conditions, report.generation),
    ).dump()


def _budget(report: SloReport) -> BudgetStatus | None:
    """None where nothing is known: server-side apply makes null of a map that has lost all it had,
    and the API server refuses that.
    """
    found = BudgetStatus(
        remaining_ratio=_ratio(report.remaining),
        remaining_seconds=report.remaining_time,
        remaining_events=report.remaining_events,
        allowed_events=report.allowed_events,
    )
    return found if found.dump() else None


def rollout_status(standing: Standing) -> dict[str, Any]:
    """The whole status of a Rollout."""
    return RolloutStatus(
        gate=_gate(standing),
        workload=_workload(standing),
        release=_release(standing),
        stable=[
            StableTemplate(
                hash=one.hash,
                images=[_cut(image) for image in one.images[:MOST_LISTED]],
                completed_at=_time(one.completed_at),
                source=one.source or None,
            )
            for one in standing.stable
        ],
        hold=_hold(standing),
        memory=_memory(standing),
        effective_policy=[
            EffectiveSetting(field=one.field, value=_cut(one.value), source=one.source)
            for one in standing.settings
        ],
        history=[
            TransitionStatus(
                at=_time(one.at),
                verdict=one.verdict,
                state=one.state,
                reason=one.reason,
                slo=one.slo or None,
                message=_cut(one.message),
            )
            for one in standing.history
        ],
        observed_generation=standing.generation,
        conditions=_conditions(standing.conditions, standing.generation),
    ).dump()


def source_status(report: SourceReport) -> dict[str, Any]:
    """The whole status of a source."""
    return SourceStatus(
        observed_generation=report.generation,
        last_answered_at=_maybe(report.answered_at),
        conditions=_conditions((report.ready,), report.generation),
    ).dump()


def invalid_status(problem: SpecInvalid, generation: int, now: datetime) -> dict[str, Any]:
    """The status of an object that cannot be acted on: one condition, nothing else is claimed."""
    ready = Condition("Ready", "False", "SpecInvalid", str(problem), now)
    return {
        "observedGeneration": generation,
        "conditions": [one.dump() for one in _conditions((ready,), generation)],
    }


def record_data(record: Record) -> dict[str, Any]:
    """What the admission policy reads."""
    return GateRecordData(
        workload=RecordedWorkload(
            api_version=record.api_version, kind=record.kind, name=record.workload
        ),
        admits=record.admits,
        admission="Warn" if record.warns else "Deny",
        message=_cut(record.message),
        templates=[
            RecordedTemplate(
                hash=body.hash,
                completed_at=_time(at),
                source=body.source or None,
                template=dict(body.body),
            )
            for body, at in record.templates
        ],
    ).dump()


def _gate(standing: Standing) -> GateStatus | None:
    gate = standing.gate
    if gate is None:
        return None
    return GateStatus(
        verdict=gate.verdict,
        state=gate.state,
        reason=gate.reason,
        message=_cut(gate.message),
        summary=_cut(gate.summary) or None,
        effect=_cut(gate.effect) or None,
        opens_when=_cut(gate.opens_when) or None,
        advice=_cut(gate.advice) or None,
        slo=gate.slo or None,
        since=_time(gate.since),
        decided_at=_time(gate.decided_at),
    )


def _workload(standing: Standing) -> WorkloadStatus | None:
    seen = standing.workload
    if seen is None:
        return None
    return WorkloadStatus(
        name=seen.name,
        uid=seen.uid or None,
        phase=seen.phase,
        updated=seen.updated,
        total=seen.total,
    )


def _release(standing: Standing) -> ReleaseStatus | None:
    release = standing.release
    if release is None:
        return None
    return ReleaseStatus(
        id=release.id,
        started_at=_time(release.started_at),
        remaining_at_start=release.remaining_at_start or None,
        spent_ratio=_ratio(release.spent.share) if release.spent else None,
        spent_slo=release.spent.slo if release.spent else None,
        from_hash=release.from_hash or None,
        reason=release.reason,
        onset=release.onset,
        resumed_at=_maybe(release.resumed_at),
    )


def _hold(standing: Standing) -> HoldStatus:
    hold = standing.hold
    return HoldStatus(
        active=hold.active,
        effective=hold.effect,
        since=_maybe(hold.since),
        manager=hold.manager or None,
        lost_at=[_time(at) for at in hold.lost_at] or None,
        contested_by=_cut(hold.contested_by) or None,
    )


def _memory(standing: Standing) -> MemoryStatus:
    memory = standing.memory
    return MemoryStatus(
        serial=memory.serial,
        held_for=memory.held_for,
        held_by=list(memory.held_by) or None,
        calm_since=_maybe(memory.calm_since),
        calm_required=memory.calm_required.milliseconds // 1_000,
        recent_holds=[_time(at) for at in memory.recent_holds] or None,
        unknown=memory.unknown,
        unknown_since=_maybe(memory.unknown_since),
        last_known=memory.last_known,
        complete=standing.complete or None,
        proving_since=_maybe(standing.proving_since),
    )


def _conditions(conditions: Iterable[Condition], generation: int) -> list[ConditionModel]:
    return [
        ConditionModel(
            type=one.type,
            status=one.status,
            reason=one.reason,
            message=_cut(one.message),
            last_transition_time=_time(one.since),
            observed_generation=generation,
        )
        for one in conditions
    ]


def _forecast(forecast: Forecast) -> ForecastStatus | None:
    """To the minute: what is forecast moves with every evaluation."""
    if forecast == NO_FORECAST:
        return None
    exhausted, recovers = forecast.exhausted_at, forecast.recovers_at
    return ForecastStatus(
        exhausted_at=None if exhausted is None else _time(exhausted.replace(second=0)),
        recovers_at=None if recovers is None else _time(recovers.replace(second=0)),
    )


def _ratio(share: Decimal | None) -> str | None:
    return None if share is None else Ratio(share).rounded(4)


def _time(at: datetime) -> str:
    """RFC 3339 in UTC, to the microsecond where there is one: memory must read back what it was."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _maybe(at: datetime | None) -> str | None:
    return None if at is None else _time(at)


def _cut(text: str) -> str:
    return cut(text, LONGEST_TEXT)

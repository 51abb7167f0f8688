"""Values of the core to bodies of our objects: statuses and GateRecords.

The other way round from ``parse``; what is printed here is read back by ``resume``. Texts that were
measured elsewhere are cut here, so that no status grows beyond what the API server takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
from penstock.api.source import SourceStatus as SourceStatusModel
from penstock.domain.evidence import NO_FORECAST, Forecast
from penstock.domain.quantities import Ratio
from penstock.domain.rollout_state import Condition, GateRecord, RolloutState
from penstock.domain.slo_status import SloStatus
from penstock.domain.source_status import SourceStatus
from penstock.domain.wording import cut, percent, times
from penstock.errors import SpecInvalid

LONGEST_TEXT = 1_024
MOST_LISTED = 32


def encode_slo_status(status: SloStatus) -> dict[str, Any]:
    """The whole status of an SLO."""
    remaining = status.remaining
    burns = status.burns
    return SLOStatus(
        state=status.state,
        summary=_cut(status.summary),
        budget=_budget(status),
        burn_rates=[
            BurnRateStatus(window=str(burn_window), rate=f"{burn:.2f}")
            for burn_window, burn in burns
        ],
        forecast=_forecast(status.forecast),
        coverage=_ratio(status.coverage),
        evaluated_at=_time(status.evaluated_at),
        display=SLODisplay(
            objective=status.objective,
            window=status.window,
            indicator=status.indicator,
            budget_left=None if remaining is None else percent(remaining),
            burn=times(burns[0][1]) if burns else None,
        ),
        observed_generation=status.generation,
        conditions=_conditions(status.conditions, status.generation),
    ).dump()


def _budget(status: SloStatus) -> BudgetStatus | None:
    """None where nothing is known: server-side apply makes null of a map that has lost all it had,
    and the API server refuses that.
    """
    found = BudgetStatus(
        remaining_ratio=_ratio(status.remaining),
        remaining_seconds=status.remaining_time,
        remaining_events=status.remaining_events,
        allowed_events=status.allowed_events,
    )
    return found if found.dump() else None


def encode_rollout_status(state: RolloutState) -> dict[str, Any]:
    """The whole status of a Rollout."""
    return RolloutStatus(
        gate=_gate(state),
        workload=_workload(state),
        release=_release(state),
        stable=[
            StableTemplate(
                hash=stable.hash,
                images=[_cut(image) for image in stable.images[:MOST_LISTED]],
                completed_at=_time(stable.completed_at),
                source=stable.source or None,
            )
            for stable in state.stable
        ],
        hold=_hold(state),
        memory=_memory(state),
        effective_policy=[
            EffectiveSetting(field=stable.field, value=_cut(stable.value), source=stable.source)
            for stable in state.settings
        ],
        history=[
            TransitionStatus(
                at=_time(stable.at),
                verdict=stable.verdict,
                state=stable.state,
                reason=stable.reason,
                slo=stable.slo or None,
                message=_cut(stable.message),
            )
            for stable in state.history
        ],
        observed_generation=state.generation,
        conditions=_conditions(state.conditions, state.generation),
    ).dump()


def encode_source_status(status: SourceStatus) -> dict[str, Any]:
    """The whole status of a source."""
    return SourceStatusModel(
        observed_generation=status.generation,
        last_answered_at=_maybe(status.answered_at),
        conditions=_conditions((status.ready,), status.generation),
    ).dump()


def encode_invalid_status(
    problem: SpecInvalid,
    generation: int,
    now: datetime,
    present: Mapping[str, Any],
    *,
    keep: bool,
) -> dict[str, Any]:
    """The status of an object that cannot be acted on: its Ready condition says why.

    Args:
        problem: which field is wrong, and what to write instead.
        generation: the object's generation that has the problem.
        now: the instant, in UTC.
        present: the status as it is; may be empty.
        keep: everything else in it stays as it is; otherwise nothing else is claimed.
    """
    former = present.get("conditions") or ()
    known = next((condition for condition in former if condition["type"] == "Ready"), None)
    (ready,) = _conditions(
        (Condition("Ready", "False", "SpecInvalid", str(problem), now),), generation
    )
    written = ready.dump()
    if known is not None and known["status"] == "False":
        written["lastTransitionTime"] = known["lastTransitionTime"]
    others = [condition for condition in former if condition["type"] != "Ready"]
    return {
        **(present if keep else {}),
        "observedGeneration": generation,
        "conditions": [written, *(others if keep else ())],
    }


def encode_gate_record(record: GateRecord) -> dict[str, Any]:
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


def _gate(state: RolloutState) -> GateStatus | None:
    gate = state.gate
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


def _workload(state: RolloutState) -> WorkloadStatus | None:
    seen = state.workload
    if seen is None:
        return None
    return WorkloadStatus(
        name=seen.name,
        uid=seen.uid or None,
        phase=seen.phase,
        updated=seen.updated,
        total=seen.total,
    )


def _release(state: RolloutState) -> ReleaseStatus | None:
    release = state.release
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
        onset=release.origin,
        resumed_at=_maybe(release.resumed_at),
    )


def _hold(state: RolloutState) -> HoldStatus:
    hold = state.hold
    return HoldStatus(
        active=hold.active,
        effective=hold.effect,
        since=_maybe(hold.since),
        manager=hold.manager or None,
        lost_at=[_time(at) for at in hold.lost_at] or None,
        contested_by=_cut(hold.contested_by) or None,
    )


def _memory(state: RolloutState) -> MemoryStatus:
    memory = state.memory
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
        complete=state.complete or None,
        proving_since=_maybe(state.proving_since),
    )


def _conditions(conditions: Iterable[Condition], generation: int) -> list[ConditionModel]:
    return [
        ConditionModel(
            type=condition.type,
            status=condition.status,
            reason=condition.reason,
            message=_cut(condition.message),
            last_transition_time=_time(condition.since),
            observed_generation=generation,
        )
        for condition in conditions
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

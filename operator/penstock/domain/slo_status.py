"""The content of an SLO's status: the measured budget, in plain numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from penstock.domain import budget, slo_messages
from penstock.domain.evidence import NO_FORECAST, CountUnit, Evidence, EvidenceGrade, Forecast
from penstock.domain.indicator import (
    Indicator,
    LatencyIndicator,
    ProbeIndicator,
    QueryIndicator,
    RatioIndicator,
)
from penstock.domain.quantities import Duration
from penstock.domain.refs import ObjectRef
from penstock.domain.rollout_state import Condition, Truth
from penstock.domain.slo import Slo
from penstock.domain.verdict import Reason
from penstock.domain.window import length

# At or under this share, or burning faster than even, an SLO is at risk.
AT_RISK = Decimal("0.1")


class SloState(StrEnum):
    """The state of an SLO."""

    HEALTHY = "Healthy"
    AT_RISK = "AtRisk"
    EXHAUSTED = "Exhausted"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class SloStatus:
    """The content of one SLO's status.

    Attributes:
        remaining: share of the budget that is left, negative once overspent; None if unknown.
        remaining_time: the same as seconds of full outage.
        remaining_events, allowed_events: the same as bad events.
        burns: burn rate by burn window, shortest first.
        forecast: when the budget is exhausted, or back.
        coverage: the share of the window that has data.
    """

    ref: ObjectRef
    generation: int
    state: SloState
    reason: Reason
    summary: str
    objective: str
    window: str
    indicator: str
    evaluated_at: datetime
    remaining: Decimal | None = None
    remaining_time: int | None = None
    remaining_events: int | None = None
    allowed_events: int | None = None
    burns: tuple[tuple[Duration, Decimal], ...] = ()
    conditions: tuple[Condition, ...] = ()
    forecast: Forecast = NO_FORECAST
    coverage: Decimal | None = None


def slo_status(slo: Slo, evidence: Evidence, now: datetime, before: SloStatus | None) -> SloStatus:
    """What an SLO's status says after one evaluation."""
    reading = evidence.reading
    remaining = reading.remaining.value if reading and reading.remaining else None
    usable = evidence.grade is not EvidenceGrade.OUTAGE
    status = SloStatus(
        ref=slo.ref,
        generation=slo.generation,
        state=_state(evidence, remaining),
        reason=_reason(evidence, remaining),
        summary=slo_messages.summary(
            slo.ref.name, slo.objective, slo.window, reading if usable else None, evidence.detail
        ),
        objective=str(slo.objective),
        window=str(slo.window),
        indicator=indicator_name(slo.indicator),
        evaluated_at=reading.at if reading else now,
    )
    if reading is not None and usable:
        status = _with_numbers(status, slo, evidence, now)
    return _with_conditions(status, evidence, before, now)


def indicator_name(indicator: Indicator) -> str:
    """The kind of indicator, as the manifest names it."""
    match indicator:
        case RatioIndicator():
            return "ratio"
        case LatencyIndicator():
            return "latency"
        case ProbeIndicator():
            return "probe"
        case QueryIndicator():
            return "query"
    return "rawRatio"


def _state(evidence: Evidence, remaining: Decimal | None) -> SloState:
    if evidence.grade is not EvidenceGrade.FRESH or remaining is None or evidence.reading is None:
        return SloState.UNKNOWN
    if remaining <= 0:
        return SloState.EXHAUSTED
    burn_windows = evidence.reading.burn_windows
    burning = any(
        burn is not None and burn.value > 1
        for burn in (
            evidence.reading.burn(burn_window) for burn_window in sorted(burn_windows)[-1:]
        )
    )
    return SloState.AT_RISK if remaining <= AT_RISK or burning else SloState.HEALTHY


def _reason(evidence: Evidence, remaining: Decimal | None) -> Reason:
    if evidence.grade is EvidenceGrade.FRESH and remaining is not None and remaining <= 0:
        return Reason.BUDGET_EXHAUSTED
    return evidence.reason


def _with_numbers(status: SloStatus, slo: Slo, evidence: Evidence, now: datetime) -> SloStatus:
    reading = evidence.reading
    if reading is None:
        return status
    remaining = reading.remaining
    seconds = budget.allowed_time(slo.objective, length(slo.window, now)).seconds
    allowed = None
    if reading.unit is CountUnit.EVENTS:
        allowed = budget.allowed_events(slo.objective, int(reading.window_counts.total))
    burns = tuple(
        (burn_window, burn.value)
        for burn_window in sorted(reading.burn_windows)
        if (burn := reading.burn(burn_window)) is not None
    )
    return replace(
        status,
        remaining=remaining.value if remaining else None,
        remaining_time=int(remaining.value * seconds) if remaining else None,
        remaining_events=int(remaining.value * allowed) if remaining and allowed else None,
        allowed_events=None if allowed is None else int(allowed),
        burns=burns,
        forecast=reading.forecast,
        coverage=reading.coverage,
    )


def _with_conditions(
    made: SloStatus, evidence: Evidence, before: SloStatus | None, now: datetime
) -> SloStatus:
    fresh = evidence.grade is EvidenceGrade.FRESH
    measured = evidence.grade is not EvidenceGrade.OUTAGE
    left = made.remaining is not None and made.remaining > 0
    available: Truth = ("True" if left else "False") if fresh else "Unknown"
    former = before.conditions if before else ()
    evaluated: Truth = "True" if measured else "False"
    wanted: tuple[tuple[str, Truth], ...] = (
        ("Ready", evaluated),
        ("Evaluated", evaluated),
        ("BudgetAvailable", available),
    )
    return replace(
        made,
        conditions=tuple(
            condition(former, type_, status, made.reason, made.summary, now)
            for type_, status in wanted
        ),
    )


def condition(
    former: tuple[Condition, ...],
    type_: str,
    status: Truth,
    reason: str,
    message: str,
    now: datetime,
) -> Condition:
    """A condition whose time of transition moves only when its status does."""
    same = next((one for one in former if one.type == type_ and one.status == status), None)
    return Condition(type_, status, reason, message, same.since if same else now)

"""What an SLO's status says: the budget measured, in plain numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from penstock.domain import budget, slo_messages
from penstock.domain.evidence import NO_FORECAST, Evidence, Forecast, Grade, Unit
from penstock.domain.indicator import (
    Indicator,
    LatencyIndicator,
    ProbeIndicator,
    QueryIndicator,
    RatioIndicator,
)
from penstock.domain.quantities import Duration
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import Slo
from penstock.domain.standing import Condition, Truth
from penstock.domain.verdict import Reason
from penstock.domain.window import length

# At or under this share, or burning faster than even, an SLO is at risk.
AT_RISK = Decimal("0.1")


class State(StrEnum):
    """How an SLO stands."""

    HEALTHY = "Healthy"
    AT_RISK = "AtRisk"
    EXHAUSTED = "Exhausted"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class SloReport:
    """All that one SLO's status says.

    Attributes:
        remaining: share of the budget that is left, negative once overspent; None if unknown.
        remaining_time: the same as seconds of full outage.
        remaining_events, allowed_events: the same as bad events.
        burns: burn rate by look back, shortest first.
        forecast: when nothing is left any more, or something again.
        coverage: the share of the window that there is data of.
    """

    ref: ObjectRef
    generation: int
    state: State
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


def report(slo: Slo, evidence: Evidence, now: datetime, before: SloReport | None) -> SloReport:
    """What an SLO's status says after one evaluation."""
    reading = evidence.reading
    remaining = reading.remaining.value if reading and reading.remaining else None
    usable = evidence.grade is not Grade.OUTAGE
    made = SloReport(
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
        made = _with_numbers(made, slo, evidence, now)
    return _with_conditions(made, evidence, before, now)


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


def _state(evidence: Evidence, remaining: Decimal | None) -> State:
    if evidence.grade is not Grade.FRESH or remaining is None or evidence.reading is None:
        return State.UNKNOWN
    if remaining <= 0:
        return State.EXHAUSTED
    looks = evidence.reading.looks
    burning = any(
        burn is not None and burn.value > 1
        for burn in (evidence.reading.burn(look) for look in sorted(looks)[-1:])
    )
    return State.AT_RISK if remaining <= AT_RISK or burning else State.HEALTHY


def _reason(evidence: Evidence, remaining: Decimal | None) -> Reason:
    if evidence.grade is Grade.FRESH and remaining is not None and remaining <= 0:
        return Reason.BUDGET_EXHAUSTED
    return evidence.reason


def _with_numbers(made: SloReport, slo: Slo, evidence: Evidence, now: datetime) -> SloReport:
    reading = evidence.reading
    if reading is None:
        return made
    remaining = reading.remaining
    seconds = budget.allowed_time(slo.objective, length(slo.window, now)).seconds
    allowed = None
    if reading.unit is Unit.EVENTS:
        allowed = budget.allowed_events(slo.objective, int(reading.whole.total))
    burns = tuple(
        (look, burn.value)
        for look in sorted(reading.looks)
        if (burn := reading.burn(look)) is not None
    )
    return replace(
        made,
        remaining=remaining.value if remaining else None,
        remaining_time=int(remaining.value * seconds) if remaining else None,
        remaining_events=int(remaining.value * allowed) if remaining and allowed else None,
        allowed_events=None if allowed is None else int(allowed),
        burns=burns,
        forecast=reading.forecast,
        coverage=reading.coverage,
    )


def _with_conditions(
    made: SloReport, evidence: Evidence, before: SloReport | None, now: datetime
) -> SloReport:
    fresh = evidence.grade is Grade.FRESH
    measured = evidence.grade is not Grade.OUTAGE
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

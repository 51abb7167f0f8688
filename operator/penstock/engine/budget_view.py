"""A read model of budgets, which every replica has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from penstock.domain.cached_object import Resource
from penstock.domain.evidence import Evidence, EvidenceGrade
from penstock.domain.quantities import Duration
from penstock.domain.slo_status import SloStatus
from penstock.engine.evidence_store import EvidenceStore
from penstock.engine.evidence_view import MISSED_EVALUATIONS, EvaluationIntervals
from penstock.engine.object_cache import Key, ObjectCache

# The heartbeat of a status is ten minutes.
STATUS_HOLDS_FOR = timedelta(minutes=11)


@dataclass(frozen=True, slots=True)
class Budget:
    """One SLO's budget.

    Attributes:
        remaining: the share that is left, negative once overspent; None if unknown.
        burns: burn rate by burn window, shortest first.
        measured_at: the instant that the figures are for; None if nothing was measured.
        reason: why there is no figure, or the state of the budget.
        is_current: whether the figures can be relied on.
    """

    namespace: str
    slo: str
    remaining: Decimal | None
    burns: tuple[tuple[Duration, Decimal], ...]
    measured_at: datetime | None
    reason: str
    is_current: bool


class BudgetView:
    """Answers from evidence if this replica measures, otherwise from the cached statuses."""

    def __init__(
        self, cache: ObjectCache, evidence: EvidenceStore, intervals: EvaluationIntervals
    ) -> None:
        self._cache, self._evidence = cache, evidence
        self._measured_holds_for = timedelta(seconds=MISSED_EVALUATIONS * intervals.rest)

    def get(self, key: Key, now: datetime) -> Budget | None:
        """The budget of one SLO as of ``now``, in UTC; None if there is no such SLO."""
        obj = self._cache.get(Resource.SLO, key)
        if obj is None:
            return None
        cached = self._evidence.get(key)
        if cached is not None and cached.slo.ref.uid == obj.ref.uid:
            return _measured(key, cached.evidence, now - self._measured_holds_for)
        if isinstance(obj.slo_or_source_status, SloStatus):
            return _reported(key, obj.slo_or_source_status, now)
        return Budget(*key, None, (), None, "NotEvaluated", False)


def _measured(key: Key, evidence: Evidence, since: datetime) -> Budget:
    reading = evidence.reading
    if reading is None:
        return Budget(*key, None, (), None, evidence.reason, False)
    burns = ((window, reading.burn(window)) for window in sorted(reading.burn_windows))
    return Budget(
        *key,
        reading.remaining.value if reading.remaining is not None else None,
        tuple((window, burn.value) for window, burn in burns if burn is not None),
        reading.at,
        evidence.reason,
        evidence.grade is EvidenceGrade.FRESH and reading.at >= since,
    )


def _reported(key: Key, status: SloStatus, now: datetime) -> Budget:
    is_current = now - status.evaluated_at <= STATUS_HOLDS_FOR
    return Budget(
        *key, status.remaining, status.burns, status.evaluated_at, status.reason, is_current
    )

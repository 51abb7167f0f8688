"""The read model of budgets: by evidence where there is some, else by the status."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from penstock.domain.cached_object import CachedObject, Resource
from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.slo_status import slo_status
from penstock.engine.budget_view import Budget, BudgetView
from penstock.engine.evidence_store import CachedEvidence, EvidenceStore
from penstock.engine.evidence_view import EvaluationIntervals
from penstock.engine.object_cache import ObjectCache
from support.decision_fixtures import NOW, reading
from support.reports import SLO

KEY = (SLO.ref.namespace, SLO.ref.name)
INTERVALS = EvaluationIntervals(rest=60.0, hot=10.0)
FRESH = Evidence(EvidenceKind.FRESH, reading=reading("0.25", burn="2"))


def ask(
    evidence: Evidence | None = None,
    status: object = None,
    after: timedelta = timedelta(minutes=1),
    uid: str = SLO.ref.uid,
) -> Budget:
    cache, store = ObjectCache(), EvidenceStore()
    cache.upsert(Resource.SLO, CachedObject(replace(SLO.ref, uid=uid), 1, SLO, status=status))
    if evidence is not None:
        store.put(KEY, CachedEvidence(SLO, evidence, 0.0))
    found = BudgetView(cache, store, INTERVALS).get(KEY, NOW + after)
    assert found is not None
    return found


def test_a_budget_that_this_replica_measures_is_the_measured_one() -> None:
    found = ask(FRESH, slo_status(SLO, Evidence(EvidenceKind.UNREACHABLE), NOW, None))
    assert (found.remaining, found.measured_at, found.is_current) == (Decimal("0.25"), NOW, True)
    assert {burn for _, burn in found.burns} == {Decimal(2)}
    assert [window for window, _ in found.burns] == sorted(window for window, _ in found.burns)


def test_a_measurement_that_is_three_intervals_old_is_not_current() -> None:
    assert ask(FRESH, after=timedelta(minutes=3)).is_current
    assert not ask(FRESH, after=timedelta(minutes=3, seconds=1)).is_current


def test_a_budget_that_cannot_be_measured_has_a_reason_and_no_figure() -> None:
    found = ask(Evidence(EvidenceKind.UNREACHABLE, "connection refused"))
    assert (found.remaining, found.burns, found.is_current) == (None, (), False)
    assert found.reason == "MetricsUnreachable"


def test_a_budget_of_too_few_events_is_not_relied_on() -> None:
    thin = Evidence(EvidenceKind.INSUFFICIENT_EVENTS, "", reading("0.25"))
    assert not ask(thin).is_current


def test_a_standby_reads_the_status_and_relies_on_it_for_eleven_minutes() -> None:
    status = slo_status(SLO, FRESH, NOW, None)
    found = ask(status=status, after=timedelta(minutes=11))
    assert (found.remaining, found.measured_at, found.is_current) == (Decimal("0.25"), NOW, True)
    assert found.burns == status.burns
    assert not ask(status=status, after=timedelta(minutes=11, seconds=1)).is_current


def test_evidence_of_a_former_namesake_is_not_used() -> None:
    found = ask(FRESH, uid="another")
    assert (found.remaining, found.reason, found.is_current) == (None, "NotEvaluated", False)


def test_an_slo_that_is_not_there_has_no_budget() -> None:
    assert BudgetView(ObjectCache(), EvidenceStore(), INTERVALS).get(KEY, NOW) is None

"""What an SLO's status says after one evaluation."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from penstock.domain.evidence import (
    REASONS,
    EventCounts,
    Evidence,
    EvidenceGrade,
    EvidenceKind,
    evidence_of,
)
from penstock.domain.indicator import (
    QueryIndicator,
    RawRatioIndicator,
)
from penstock.domain.rollout_state import Condition
from penstock.domain.slo_status import SloState, SloStatus, condition, indicator_name, slo_status
from penstock.domain.verdict import Reason
from support.decision_fixtures import NOW, reading
from support.indicators import latency, probe
from support.reports import SLO

OUTAGE = [kind for kind in EvidenceKind if Evidence(kind).grade is EvidenceGrade.OUTAGE]
THIN = [kind for kind in EvidenceKind if Evidence(kind).grade is EvidenceGrade.THIN]
LATER = NOW + timedelta(minutes=1)


def reported(
    left: str = "0.5", burn: str = "0", kind: EvidenceKind = EvidenceKind.FRESH, **looks: str
):
    named = {look.strip("_"): rate for look, rate in looks.items()}
    return slo_status(SLO, Evidence(kind, "", reading(left, burn, named)), NOW, None)


@pytest.mark.parametrize(
    ("left", "burn", "state"),
    [
        ("0.5", "1", SloState.HEALTHY),
        ("0.1001", "0", SloState.HEALTHY),
        ("0.1", "0", SloState.AT_RISK),
        ("0.0001", "0", SloState.AT_RISK),
        ("0", "0", SloState.EXHAUSTED),
        ("-1", "50", SloState.EXHAUSTED),
    ],
)
def test_the_state_is_of_the_budget_that_is_left(left: str, burn: str, state: SloState) -> None:
    assert reported(left, burn).state is state


def test_burning_faster_than_even_over_the_longest_window_is_a_risk() -> None:
    assert reported(_6h="1.01").state is SloState.AT_RISK
    assert reported(_6h="1", _1h="50").state is SloState.HEALTHY


@pytest.mark.parametrize("kind", [*OUTAGE, *THIN])
def test_missing_and_thin_evidence_make_the_state_unknown_by_their_reason(
    kind: EvidenceKind,
) -> None:
    for made in (reported("-1", kind=kind), slo_status(SLO, Evidence(kind, "why"), NOW, None)):
        assert (made.state, made.reason) == (SloState.UNKNOWN, REASONS[kind])


def test_the_reason_of_a_measured_budget() -> None:
    assert reported("0.0001").reason is Reason.BUDGET_HEALTHY
    assert reported("0").reason is Reason.BUDGET_EXHAUSTED


def test_numbers_are_plain_and_of_the_whole_window() -> None:
    made = reported("0.372", "1.3")
    assert made.remaining == Decimal("0.372")
    assert (made.remaining_events, made.allowed_events) == (3_720, 10_000)
    # 1 % of 30 days is 25,920 s.
    assert made.remaining_time == 9_642
    assert [(str(look), rate) for look, rate in made.burns] == [
        (look, Decimal("1.3")) for look in ("5m", "30m", "1h", "6h")
    ]


def test_what_is_overspent_is_below_zero() -> None:
    made = reported("-0.5")
    assert (made.remaining, made.remaining_events) == (Decimal("-0.5"), -5_000)
    assert made.remaining_time == -12_960


def test_thin_evidence_has_its_numbers_and_an_outage_has_none() -> None:
    assert reported("0.5", kind=EvidenceKind.INSUFFICIENT_EVENTS).remaining == Decimal("0.5")
    stale = reported("0.5", kind=EvidenceKind.STALE)
    assert (stale.remaining, stale.burns, stale.allowed_events) == (None, (), None)
    assert "no budget figure" in stale.summary


def test_an_slo_whose_indicator_is_being_replaced_says_so_and_keeps_its_numbers() -> None:
    evidence = Evidence(
        EvidenceKind.MIGRATING, "Migrating: so far 37%", reading("0.5"), reading("0.9")
    )
    status = slo_status(SLO, evidence, NOW, None)
    assert (status.state, status.reason, status.remaining) == (
        SloState.HEALTHY,
        Reason.MIGRATING,
        Decimal("0.5"),
    )
    assert [(condition.status, condition.reason) for condition in status.conditions] == [
        ("True", "Migrating")
    ] * 3
    assert status.summary.endswith("; Migrating: so far 37%")


def test_without_events_there_is_no_share_and_no_error() -> None:
    silent = replace(reading(total=Decimal(0)), window_counts=EventCounts(Decimal(0), Decimal(0)))
    status = slo_status(SLO, evidence_of(silent, 0), NOW, None)
    assert (status.state, status.reason) == (SloState.UNKNOWN, Reason.NO_TRAFFIC)
    assert (status.remaining, status.remaining_time, status.remaining_events) == (None, None, None)
    assert status.allowed_events == 0


@pytest.mark.parametrize(
    ("total", "kind"),
    [
        ("0", EvidenceKind.NO_TRAFFIC),
        ("99", EvidenceKind.INSUFFICIENT_EVENTS),
        ("100", EvidenceKind.FRESH),
    ],
)
def test_few_events_are_thin_evidence(total: str, kind: EvidenceKind) -> None:
    few = replace(reading(), window_counts=EventCounts(Decimal(0), Decimal(total)))
    assert evidence_of(few, 100).kind is kind
    assert evidence_of(few, 100).reading is few


def test_it_is_of_the_instant_that_was_measured() -> None:
    read = replace(reading(), at=NOW - timedelta(seconds=3))
    assert (
        slo_status(SLO, Evidence(EvidenceKind.FRESH, "", read), NOW, None).evaluated_at == read.at
    )
    assert slo_status(SLO, Evidence(EvidenceKind.UNREACHABLE), NOW, None).evaluated_at == NOW


def statuses(status: SloStatus) -> dict[str, str]:
    return {condition.type: condition.status for condition in status.conditions}


@pytest.mark.parametrize(
    ("left", "kind", "told"),
    [
        ("0.5", EvidenceKind.FRESH, ("True", "True", "True")),
        ("0", EvidenceKind.FRESH, ("True", "True", "False")),
        ("0.5", EvidenceKind.NO_TRAFFIC, ("True", "True", "Unknown")),
        ("0.5", EvidenceKind.UNREACHABLE, ("False", "False", "Unknown")),
    ],
)
def test_conditions_distinguish_measured_from_available(
    left: str, kind: EvidenceKind, told: tuple[str, str, str]
) -> None:
    assert statuses(reported(left, kind=kind)) == dict(
        zip(("Ready", "Evaluated", "BudgetAvailable"), told, strict=True)
    )


def test_the_time_of_a_condition_moves_only_with_its_status() -> None:
    first = reported()
    evidence = Evidence(EvidenceKind.FRESH, "", reading("0.4"))
    again = slo_status(SLO, evidence, LATER, first)
    assert {condition.since for condition in again.conditions} == {NOW}
    spent = slo_status(SLO, Evidence(EvidenceKind.FRESH, "", reading("0")), LATER, again)
    assert [condition.since for condition in spent.conditions] == [NOW, NOW, LATER]


def test_a_condition_of_another_type_is_no_former_one() -> None:
    former = (Condition("Ready", "True", "a", "b", NOW),)
    assert condition(former, "Ready", "True", "c", "d", LATER).since == NOW
    assert condition(former, "Ready", "False", "c", "d", LATER).since == LATER
    assert condition(former, "Evaluated", "True", "c", "d", LATER).since == LATER


@pytest.mark.parametrize(
    ("indicator", "name"),
    [
        (SLO.indicator, "ratio"),
        (latency("http_bucket", "300ms"), "latency"),
        (probe("probe_success"), "probe"),
        (QueryIndicator("a", "b"), "query"),
        (RawRatioIndicator("a"), "rawRatio"),
    ],
)
def test_an_indicator_is_named_as_the_manifest_names_it(indicator, name: str) -> None:
    assert indicator_name(indicator) == name
    assert (
        slo_status(
            replace(SLO, indicator=indicator), Evidence(EvidenceKind.STALE), NOW, None
        ).indicator
        == name
    )

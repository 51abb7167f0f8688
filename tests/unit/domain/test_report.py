"""What an SLO's status says after one evaluation."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from penstock.domain.evidence import REASONS, Count, Evidence, Grade, Kind, judged
from penstock.domain.indicator import (
    QueryIndicator,
    RawRatioIndicator,
)
from penstock.domain.report import SloReport, State, condition, indicator_name, report
from penstock.domain.standing import Condition
from penstock.domain.verdict import Reason
from support.cases import NOW, reading
from support.indicators import latency, probe
from support.reports import SLO

OUTAGE = [kind for kind in Kind if Evidence(kind).grade is Grade.OUTAGE]
THIN = [kind for kind in Kind if Evidence(kind).grade is Grade.THIN]
LATER = NOW + timedelta(minutes=1)


def reported(left: str = "0.5", burn: str = "0", kind: Kind = Kind.FRESH, **looks: str):
    named = {look.strip("_"): rate for look, rate in looks.items()}
    return report(SLO, Evidence(kind, "", reading(left, burn, named)), NOW, None)


@pytest.mark.parametrize(
    ("left", "burn", "state"),
    [
        ("0.5", "1", State.HEALTHY),
        ("0.1001", "0", State.HEALTHY),
        ("0.1", "0", State.AT_RISK),
        ("0.0001", "0", State.AT_RISK),
        ("0", "0", State.EXHAUSTED),
        ("-1", "50", State.EXHAUSTED),
    ],
)
def test_the_state_is_of_the_budget_that_is_left(left: str, burn: str, state: State) -> None:
    assert reported(left, burn).state is state


def test_burning_faster_than_even_over_the_longest_look_is_a_risk() -> None:
    assert reported(_6h="1.01").state is State.AT_RISK
    assert reported(_6h="1", _1h="50").state is State.HEALTHY


@pytest.mark.parametrize("kind", [*OUTAGE, *THIN])
def test_missing_and_thin_evidence_make_the_state_unknown_by_their_reason(kind: Kind) -> None:
    for made in (reported("-1", kind=kind), report(SLO, Evidence(kind, "why"), NOW, None)):
        assert (made.state, made.reason) == (State.UNKNOWN, REASONS[kind])


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
    assert reported("0.5", kind=Kind.INSUFFICIENT_EVENTS).remaining == Decimal("0.5")
    stale = reported("0.5", kind=Kind.STALE)
    assert (stale.remaining, stale.burns, stale.allowed_events) == (None, (), None)
    assert "no budget figure" in stale.summary


def test_an_slo_whose_indicator_is_being_replaced_says_so_and_keeps_its_numbers() -> None:
    told = Evidence(Kind.MIGRATING, "Migrating: so far 37%", reading("0.5"), reading("0.9"))
    made = report(SLO, told, NOW, None)
    assert (made.state, made.reason, made.remaining) == (
        State.HEALTHY,
        Reason.MIGRATING,
        Decimal("0.5"),
    )
    assert [(one.status, one.reason) for one in made.conditions] == [("True", "Migrating")] * 3
    assert made.summary.endswith("; Migrating: so far 37%")


def test_without_events_there_is_no_share_and_no_error() -> None:
    silent = replace(reading(total=Decimal(0)), whole=Count(Decimal(0), Decimal(0)))
    made = report(SLO, judged(silent, 0), NOW, None)
    assert (made.state, made.reason) == (State.UNKNOWN, Reason.NO_TRAFFIC)
    assert (made.remaining, made.remaining_time, made.remaining_events) == (None, None, None)
    assert made.allowed_events == 0


@pytest.mark.parametrize(
    ("total", "kind"),
    [("0", Kind.NO_TRAFFIC), ("99", Kind.INSUFFICIENT_EVENTS), ("100", Kind.FRESH)],
)
def test_few_events_are_thin_evidence(total: str, kind: Kind) -> None:
    few = replace(reading(), whole=Count(Decimal(0), Decimal(total)))
    assert judged(few, 100).kind is kind
    assert judged(few, 100).reading is few


def test_it_is_of_the_instant_that_was_measured() -> None:
    read = replace(reading(), at=NOW - timedelta(seconds=3))
    assert report(SLO, Evidence(Kind.FRESH, "", read), NOW, None).evaluated_at == read.at
    assert report(SLO, Evidence(Kind.UNREACHABLE), NOW, None).evaluated_at == NOW


def statuses(made: SloReport) -> dict[str, str]:
    return {one.type: one.status for one in made.conditions}


@pytest.mark.parametrize(
    ("left", "kind", "told"),
    [
        ("0.5", Kind.FRESH, ("True", "True", "True")),
        ("0", Kind.FRESH, ("True", "True", "False")),
        ("0.5", Kind.NO_TRAFFIC, ("True", "True", "Unknown")),
        ("0.5", Kind.UNREACHABLE, ("False", "False", "Unknown")),
    ],
)
def test_conditions_tell_measured_from_available(
    left: str, kind: Kind, told: tuple[str, str, str]
) -> None:
    assert statuses(reported(left, kind=kind)) == dict(
        zip(("Ready", "Evaluated", "BudgetAvailable"), told, strict=True)
    )


def test_the_time_of_a_condition_moves_only_with_its_status() -> None:
    first = reported()
    evidence = Evidence(Kind.FRESH, "", reading("0.4"))
    again = report(SLO, evidence, LATER, first)
    assert {one.since for one in again.conditions} == {NOW}
    spent = report(SLO, Evidence(Kind.FRESH, "", reading("0")), LATER, again)
    assert [one.since for one in spent.conditions] == [NOW, NOW, LATER]


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
        report(replace(SLO, indicator=indicator), Evidence(Kind.STALE), NOW, None).indicator == name
    )

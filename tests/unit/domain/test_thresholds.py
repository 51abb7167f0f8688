"""One SLO at a time: what its policy can use, what crosses, what is calm, which is worst."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from penstock.domain import thresholds
from penstock.domain.decision import DecisionPoint, SloEvidence
from penstock.domain.evidence import EventCounts, Evidence, EvidenceGrade, EvidenceKind
from penstock.domain.policy import InFlightPolicy, Policy, StartPolicy
from penstock.domain.quantities import Duration, Percentage
from penstock.domain.verdict import Reason
from support.decision_fixtures import (
    HOT_FAST,
    HOT_SLOW,
    OBJECTIVE,
    completed,
    pair,
    reading,
    slo,
    unmeasured,
)

START, GO_ON = DecisionPoint.START, DecisionPoint.CONTINUE


def with_counts(slo: SloEvidence, **looks: tuple[str, str]) -> SloEvidence:
    """The SLO with bad and all events of some looks back replaced."""
    read = slo.evidence.reading
    assert read is not None
    counts = {
        Duration.parse(look.strip("_")): EventCounts(Decimal(bad), Decimal(total))
        for look, (bad, total) in looks.items()
    }
    evidence = replace(
        slo.evidence, reading=replace(read, burn_windows={**read.burn_windows, **counts})
    )
    return replace(slo, evidence=evidence)


def without_look(slo: SloEvidence, *looks: str) -> SloEvidence:
    read = slo.evidence.reading
    assert read is not None
    gone = {Duration.parse(look) for look in looks}
    kept = {look: count for look, count in read.burn_windows.items() if look not in gone}
    return replace(slo, evidence=replace(slo.evidence, reading=replace(read, burn_windows=kept)))


# admissible


def test_evidence_that_the_policy_can_use_stays_as_it_is() -> None:
    for one in (slo(), slo(kind=EvidenceKind.NO_TRAFFIC), unmeasured()):
        assert thresholds.with_usable_evidence(one) is one


def test_a_burn_window_that_was_not_read_makes_evidence_absent_and_is_named() -> None:
    for kind in (EvidenceKind.FRESH, EvidenceKind.NO_TRAFFIC):
        one = thresholds.with_usable_evidence(without_look(slo(kind=kind), "5m", "6h"))
        assert one.evidence == Evidence(EvidenceKind.ABSENT, "no data for the last 5m, 6h")


def test_the_window_itself_is_a_burn_window_that_is_always_read() -> None:
    read = reading(window="2m")
    slo = SloEvidence(
        "checkout",
        Evidence(EvidenceKind.FRESH, "", replace(read, burn_windows={})),
        completed(None, "2m"),
    )
    assert thresholds.with_usable_evidence(slo) is slo


def test_a_pair_that_can_never_fire_makes_the_policy_invalid_and_is_named() -> None:
    policy = Policy(burn=(pair("1h", "5m", "100"), pair("6h", "30m", "2")))
    evidence = thresholds.with_usable_evidence(slo(policy=policy)).evidence
    message = (
        "spec.policy.burn: 1h/5m at 100 can never fire at an objective of 99%; lower the factor"
    )
    assert evidence == Evidence(EvidenceKind.POLICY_INVALID, message)
    assert (
        thresholds.with_usable_evidence(unmeasured(policy=policy)).evidence.kind
        is EvidenceKind.UNREACHABLE
    )


def test_without_a_policy_or_a_reading_nothing_is_replaced() -> None:
    lost = SloEvidence("checkout", Evidence(EvidenceKind.SLO_INVALID, "no indicator"), None)
    assert thresholds.with_usable_evidence(lost) is lost


# apart


def test_while_an_indicator_is_replaced_it_counts_as_two() -> None:
    former, new = reading("0.5"), reading("0.1", "3")
    evidence = Evidence(EvidenceKind.MIGRATING, "Migrating", former, new)
    both = thresholds.split_migration(replace(slo(), evidence=evidence))
    assert [one.evidence.reading for one in both] == [former, new]
    assert {(one.name, one.evidence.kind) for one in both} == {("checkout", EvidenceKind.MIGRATING)}
    assert [thresholds.split_migration(one) for one in both] == [(one,) for one in both]


def test_any_other_slo_counts_once() -> None:
    """What is known so far of a new SLO is no budget yet."""
    young = replace(slo(kind=EvidenceKind.WARMING_UP).evidence, so_far=reading("-1"))
    for one in (slo(), unmeasured(), replace(slo(), evidence=young)):
        assert thresholds.split_migration(one) == (one,)


# crossing


def test_nothing_crosses_without_a_reading_or_a_policy_or_in_an_outage() -> None:
    bad = slo("-1", looks=HOT_FAST)
    stale = replace(bad, evidence=replace(bad.evidence, kind=EvidenceKind.STALE))
    for one in (unmeasured(), replace(bad, policy=None), stale):
        assert thresholds.breach_reason(one, START) is thresholds.breach_reason(one, GO_ON) is None


def test_budget_comes_before_burn() -> None:
    one = slo("0", looks=HOT_FAST)
    assert thresholds.breach_reason(one, START) is Reason.BUDGET_EXHAUSTED
    assert thresholds.breach_reason(one, GO_ON) is Reason.BUDGET_EXHAUSTED


def test_each_question_has_a_threshold_of_its_own() -> None:
    policy = Policy(
        start=StartPolicy(Percentage.parse("10%")),
        in_flight=InFlightPolicy(Percentage.parse("5%"), Decimal(1)),
    )
    at = {left: slo(left, "2", policy=policy) for left in ("0.11", "0.1", "0.06", "0.05", "0")}
    start = {left: thresholds.breach_reason(one, START) for left, one in at.items()}
    go_on = {left: thresholds.breach_reason(one, GO_ON) for left, one in at.items()}
    low, none = Reason.BUDGET_LOW, Reason.BUDGET_EXHAUSTED
    assert start == {"0.11": None, "0.1": low, "0.06": low, "0.05": low, "0": none}
    assert go_on == {"0.11": None, "0.1": None, "0.06": None, "0.05": low, "0": none}


def test_the_start_of_a_release_does_not_ask_whether_errors_continue() -> None:
    assert thresholds.breach_reason(slo("0", "0"), START) is Reason.BUDGET_EXHAUSTED
    assert thresholds.breach_reason(slo("0", "0"), GO_ON) is None


@pytest.mark.parametrize(("bad", "reason"), [("4.999", None), ("5", Reason.BURNING_FAST)])
def test_a_pair_needs_five_bad_events_in_its_long_window(bad: str, reason: Reason | None) -> None:
    one = with_counts(slo(), _1h=(bad, "6"), _5m=("1", "1"))
    assert thresholds.breach_reason(one, START) is reason


def test_a_pair_that_asks_for_no_bad_events_is_hot_on_the_first() -> None:
    policy = Policy(burn=(pair("1h", "5m", "14.4", 0),))
    one = with_counts(slo(policy=policy), _1h=("1", "1"), _5m=("1", "1"))
    assert thresholds.breach_reason(one, START) is Reason.BURNING_FAST


def test_of_several_pairs_only_the_first_burns_fast() -> None:
    assert thresholds.breach_reason(slo(looks=HOT_SLOW), START) is Reason.BURNING_SLOW
    pairs = (pair("1h", "5m", "14.4"), pair("6h", "30m", "6"), pair("1d", "2h", "3"))
    third = slo(looks={"1d": "4", "2h": "4"}, policy=Policy(burn=pairs))
    assert thresholds.breach_reason(third, START) is Reason.BURNING_SLOW


def test_the_hottest_pair_is_the_fastest_that_is_hot_few_bad_events_do_not_count() -> None:
    few = with_counts(slo(looks=HOT_SLOW), _1h=("4", "4"), _5m=("4", "4"))
    read, policy = few.evidence.reading, few.policy
    assert read is not None
    assert policy is not None
    assert thresholds.fastest_firing_rule(read, policy) is policy.burn_rules[1]
    assert thresholds.fastest_firing_rule(reading(), policy) is None


def test_a_reading_without_events_has_no_budget_to_cross() -> None:
    empty = replace(reading(total=Decimal(0)), window_counts=EventCounts(Decimal(0), Decimal(0)))
    slo = SloEvidence("checkout", Evidence(EvidenceKind.FRESH, "", empty), completed())
    assert thresholds.breach_reason(slo, START) is None
    assert thresholds.remaining_share(slo) is None


# quiet


@pytest.mark.parametrize(
    ("short", "long", "calm"),
    [
        ("0", "0", True),
        ("0.9999", "1.9999", True),
        ("1", "0", False),
        ("0", "2", False),
        ("1", "2", False),
        ("0.9999", "2", False),
        ("1", "1.9999", False),
    ],
)
def test_quiet_is_under_one_and_under_two(short: str, long: str, calm: bool) -> None:
    assert thresholds.is_calm(slo(looks={"5m": short, "30m": long})) is calm


def test_other_burn_windows_may_still_be_loud() -> None:
    assert thresholds.is_calm(slo("-3", "50", looks={"5m": "0", "30m": "0"}))


def test_thin_evidence_can_be_quiet_and_silence_cannot() -> None:
    thin = slo(kind=EvidenceKind.INSUFFICIENT_EVENTS)
    assert thin.evidence.grade is EvidenceGrade.THIN
    assert thresholds.is_calm(thin)
    assert not thresholds.is_calm(with_counts(thin, _30m=("0", "0"), _5m=("0", "0")))
    assert thresholds.is_calm(with_counts(thin, _30m=("0", "1"), _5m=("0", "0")))


def test_nothing_is_quiet_without_a_reading_or_a_policy_or_in_an_outage() -> None:
    stale = replace(slo().evidence, kind=EvidenceKind.STALE)
    blank = unmeasured(EvidenceKind.WARMING_UP)
    for one in (unmeasured(), blank, replace(slo(), policy=None), replace(slo(), evidence=stale)):
        assert not thresholds.is_calm(one)


def test_a_pair_whose_long_window_was_not_read_is_not_hot() -> None:
    one = without_look(slo(looks=HOT_SLOW), "1h")
    assert thresholds.breach_reason(one, START) is Reason.BURNING_SLOW


def test_an_unread_window_is_not_quiet() -> None:
    assert not thresholds.is_calm(without_look(slo(), "30m"))
    with pytest.raises(LookupError, match="5m was not read"):
        thresholds.is_calm(without_look(slo(), "5m"))


# margin, share, worst


@pytest.mark.parametrize(
    ("left", "start", "margin", "short"),
    [
        ("0.0099", "0%", "1%", True),
        ("0.01", "0%", "1%", False),
        ("0.1", "10%", "0%", False),
        ("0.0999", "10%", "0%", True),
        ("0.9999", "100%", "1%", True),
        ("1", "100%", "1%", False),
    ],
)
def test_margin_is_counted_from_the_threshold_and_a_whole_budget_is_enough(
    left: str, start: str, margin: str, short: bool
) -> None:
    guard = replace(
        completed(Policy(start=StartPolicy(Percentage.parse(start)))),
        margin=Percentage.parse(margin).ratio.value,
    )
    assert thresholds.is_below_margin(replace(slo(left), policy=guard)) is short


def test_unknown_budget_is_short_of_any_margin() -> None:
    assert thresholds.is_below_margin(unmeasured())
    assert thresholds.is_below_margin(replace(slo("1"), policy=None))


def test_share_left_is_what_was_measured() -> None:
    assert thresholds.remaining_share(slo("0.372")) == Decimal("0.372")
    assert thresholds.remaining_share(unmeasured()) is None


def test_worst_goes_by_severity_then_budget_then_name() -> None:
    ranked = [
        (slo("0.9", name="z"), Reason.BUDGET_EXHAUSTED),
        (slo("0.8", name="y"), Reason.BURNING_FAST),
        (slo("0.7", name="x"), Reason.BURNING_SLOW),
        (slo("0.1", name="w"), Reason.BUDGET_LOW),
        (slo("0.2", name="t"), Reason.BUDGET_LOW),
        (slo("0.2", name="u"), Reason.BUDGET_LOW),
        (unmeasured(name="a"), Reason.BUDGET_LOW),
        (slo("0", name="v"), Reason.NO_TRAFFIC),
    ]
    for first, one in enumerate(ranked):
        assert thresholds.worst(ranked[first:], "") == one
        assert thresholds.worst(reversed(ranked[first:]), "") == one
    assert thresholds.worst((), "") is None


@pytest.mark.parametrize(
    ("left", "named"),
    [("0.905", "b"), ("0.9051", "a"), ("0.8", "b"), ("0.9", "b")],
)
def test_the_one_that_is_named_gives_way_to_one_with_half_a_point_less(
    left: str, named: str
) -> None:
    both = [(slo("0.9", name="a"), Reason.BUDGET_LOW), (slo(left, name="b"), Reason.BUDGET_LOW)]
    for order in (both, reversed(both)):
        found = thresholds.worst(order, "b")
        assert found is not None
        assert found[0].name == named


def test_the_one_that_is_named_gives_way_to_a_graver_one_at_once() -> None:
    graver = (slo("0.9", name="a"), Reason.BURNING_FAST)
    assert thresholds.worst([(slo("0.1", name="b"), Reason.BUDGET_LOW), graver], "b") == graver


def test_one_without_a_figure_stays_named_only_among_its_like() -> None:
    silent = [(unmeasured(name=name), Reason.BUDGET_LOW) for name in ("a", "b")]
    assert thresholds.worst(silent, "b") == silent[1]
    measured = (slo("0.9", name="c"), Reason.BUDGET_LOW)
    assert thresholds.worst([*silent, measured], "b") == measured


def test_a_name_that_is_no_candidate_is_not_kept() -> None:
    one = (slo(name="a"), Reason.BUDGET_LOW)
    assert thresholds.worst([one], "gone") == one


def test_the_objective_of_these_cases_makes_exact_figures() -> None:
    assert reading("0.372", "14.4").remaining.value == Decimal("0.372")
    assert reading("0.372", "14.4").burn(Duration.parse("1h")).value == Decimal("14.4")
    assert str(OBJECTIVE) == "99%"


# silent


def test_silence_is_read_where_nothing_happened_in_the_longer_window_of_calm() -> None:
    assert thresholds.has_no_traffic(slo(total=Decimal(0)))
    assert thresholds.has_no_traffic(slo(kind=EvidenceKind.NO_TRAFFIC, total=Decimal(0)))
    assert not thresholds.has_no_traffic(slo())
    assert not thresholds.has_no_traffic(with_counts(slo(), _5m=("0", "0")))
    assert thresholds.has_no_traffic(with_counts(slo(), _30m=("0", "0")))
    assert not thresholds.has_no_traffic(with_counts(slo(), _30m=("0", "0.5")))


def test_what_was_not_read_is_not_silent() -> None:
    silent = slo(total=Decimal(0))
    assert not thresholds.has_no_traffic(unmeasured())
    assert not thresholds.has_no_traffic(unmeasured(EvidenceKind.WARMING_UP))
    assert not thresholds.has_no_traffic(without_look(silent, "30m"))
    assert not thresholds.has_no_traffic(replace(silent, policy=None))
    stale = replace(silent, evidence=replace(silent.evidence, kind=EvidenceKind.STALE))
    assert not thresholds.has_no_traffic(stale)


def test_thin_evidence_shows_no_margin() -> None:
    assert not thresholds.is_below_margin(slo())
    assert thresholds.is_below_margin(slo(kind=EvidenceKind.INSUFFICIENT_EVENTS))
    assert thresholds.is_below_margin(
        SloEvidence("checkout", Evidence(EvidenceKind.FRESH), slo().policy)
    )

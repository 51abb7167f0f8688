"""What holds of every decision, whatever the evidence, the policy and the past."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.decide import decide, prepare
from penstock.domain.decision import DecisionInput, ReleaseInput, SloEvidence
from penstock.domain.evidence import EvidenceGrade
from penstock.domain.memory import HoldCause
from penstock.domain.thresholds import is_below_margin, is_calm, split_migration
from penstock.domain.verdict import GateState, Reason, Verdict
from support.decision_fixtures import NOW
from support.decision_strategies import decision_inputs, maybe, worse

RANK = {Verdict.PERMIT: 0, Verdict.UNKNOWN: 1, Verdict.HOLD: 2}


def judged(facts: DecisionInput):
    return decide(prepare(facts))


def decisions(facts: DecisionInput):
    both = judged(facts)
    return [one for one in (both.gate, both.release) if one is not None]


@given(decision_inputs())
def test_every_case_has_an_answer_and_always_the_same(case: DecisionInput) -> None:
    answer = judged(case)
    assert answer == judged(case)
    assert (answer.release is None) is (case.release is None)


@given(decision_inputs())
def test_a_permit_proceeds_a_hold_does_not_and_the_state_says_what_is_done(
    case: DecisionInput,
) -> None:
    for decision in decisions(case):
        if decision.verdict is not Verdict.UNKNOWN:
            assert decision.proceeds is (decision.verdict is Verdict.PERMIT)
        assert (decision.state is GateState.OPEN) is decision.proceeds


@given(decision_inputs(), st.randoms(use_true_random=False))
def test_the_order_of_slos_is_irrelevant(case: DecisionInput, random) -> None:
    slos = list(case.slos)
    random.shuffle(slos)
    assert judged(replace(case, slos=tuple(slos))) == judged(case)


@given(decision_inputs().filter(lambda facts: any(slo.evidence.so_far for slo in facts.slos)))
def test_while_an_indicator_is_replaced_neither_lets_through_what_the_other_refuses(
    case: DecisionInput,
) -> None:
    """A hold is taken to be for all SLOs, so that none is left out of what it waits for."""
    case = replace(case, memory=replace(case.memory, held_by=()))
    both = judged(case)
    for side in (0, 1):
        slos = tuple(split_migration(one)[-side] for one in case.slos)
        alone = judged(replace(case, slos=slos))
        if not alone.gate.proceeds:
            assert not both.gate.proceeds
        if alone.release is not None and both.release is not None and not alone.release.proceeds:
            assert not both.release.proceeds


@st.composite
def worsened(draw: st.DrawFn) -> tuple[DecisionInput, DecisionInput]:
    """A case, and the same with more bad events in one SLO; all else equal."""
    case = draw(decision_inputs())
    index = draw(st.integers(0, len(case.slos) - 1))
    one = case.slos[index]
    reading = one.evidence.reading
    if reading is None:
        return case, case
    amounts = st.integers(0, 1_000_000).map(Decimal)
    where: st.SearchStrategy = maybe(st.sampled_from(sorted(reading.burn_windows)))
    more = draw(st.dictionaries(where if reading.burn_windows else st.none(), amounts, min_size=1))
    evidence = replace(one.evidence, reading=worse(reading, more))
    slos = (*case.slos[:index], replace(one, evidence=evidence), *case.slos[index + 1 :])
    return case, replace(case, slos=slos)


@given(worsened())
def test_more_bad_events_permit_nothing_that_was_held(
    both: tuple[DecisionInput, DecisionInput],
) -> None:
    for before, after in zip(*map(decisions, both), strict=True):
        assert after.proceeds <= before.proceeds
        assert RANK[after.verdict] >= RANK[before.verdict]


@given(decision_inputs())
def test_unknown_ends_no_hold_but_one_whose_end_was_read_of_all_that_it_is_for(
    case: DecisionInput,
) -> None:
    now = prepare(case)
    gate = decide(now).gate
    if gate.verdict is Verdict.UNKNOWN and gate.proceeds and now.memory.held_for is not None:
        assert_end_was_read(now)


@given(decision_inputs())
def test_unknown_releases_nothing_held_but_what_its_hold_is_read_to_be_over_for(
    case: DecisionInput,
) -> None:
    now = prepare(case)
    decision = decide(now).release
    held = now.release is not None and now.release.held
    if decision is not None and decision.verdict is Verdict.UNKNOWN and decision.proceeds and held:
        assert now.memory.held_for is not None
        assert_end_was_read(now)


def assert_end_was_read(facts: DecisionInput) -> None:
    """Calm of all that have events, and of those that the hold is for; margin of the same."""
    memory = facts.memory
    assert memory.is_calm_long_enough(NOW)
    assert all(slo.evidence.reading is not None for slo in facts.slos)
    assert all(slo.evidence.grade is not EvidenceGrade.OUTAGE for slo in facts.slos)
    for_these = [slo for slo in facts.slos if slo.name in memory.held_by or not memory.held_by]
    assert all(is_calm(slo) for slo in for_these)
    assert any(is_calm(slo) for slo in facts.slos)
    if memory.held_for is HoldCause.BUDGET:
        assert all(slo.evidence.grade is EvidenceGrade.FRESH for slo in for_these)
        assert not any(is_below_margin(slo) for slo in for_these)


@given(decision_inputs())
def test_missing_evidence_alone_is_never_a_hold_nor_a_permit(case: DecisionInput) -> None:
    lost = tuple(one for one in prepare(case).slos if one.evidence.reading is None)
    if lost:
        gate = judged(replace(case, slos=lost, person=None)).gate
        assert gate.verdict is Verdict.UNKNOWN


@given(decision_inputs())
def test_a_release_leaves_the_gate_as_it_is(case: DecisionInput) -> None:
    gate = judged(replace(case, release=None)).gate
    assert judged(case).gate == gate
    returning = judged(replace(case, release=ReleaseInput("5d4f8c7b9", returns=True)))
    assert returning.gate == gate
    assert returning.release is not None
    assert returning.release.reason is Reason.ROLLBACK_PERMITTED


@given(decision_inputs())
def test_the_slo_that_is_named_is_one_of_those_that_were_judged(case: DecisionInput) -> None:
    slos: tuple[SloEvidence, ...] = prepare(case).slos
    for decision in decisions(case):
        assert (
            decision.slo is None
            or any(decision.slo is one for one in slos)
            or (decision.slo in slos)
        )
        if decision.verdict is Verdict.UNKNOWN:
            assert decision.slo is not None
            assert decision.reason is decision.slo.evidence.reason


@given(decision_inputs())
def test_whoever_holds_by_hand_is_named_unless_the_release_continues_anyway(
    case: DecisionInput,
) -> None:
    both = judged(replace(case, person="migration"))
    assert (both.gate.reason, both.gate.proceeds) == (Reason.HELD_BY_PERSON, False)
    if both.release is not None:
        passing = case.release is not None and (
            case.release.returns or case.release.first or case.release.resumed_by_person
        )
        assert both.release.proceeds is passing


@given(decision_inputs())
def test_noticing_twice_is_noticing_once(case: DecisionInput) -> None:
    assert prepare(prepare(case)) == prepare(case)

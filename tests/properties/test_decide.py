"""What holds of every decision, whatever the evidence, the policy and the past."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.case import Case, Judged, Release
from penstock.domain.decide import judgement, noticed
from penstock.domain.evidence import Grade
from penstock.domain.judge import apart, quiet, short_of_margin
from penstock.domain.memory import Cause
from penstock.domain.verdict import GateState, Reason, Verdict
from support.cases import NOW
from support.worlds import cases, maybe, worse

RANK = {Verdict.PERMIT: 0, Verdict.UNKNOWN: 1, Verdict.HOLD: 2}


def judged(case: Case):
    return judgement(noticed(case))


def decisions(case: Case):
    both = judged(case)
    return [one for one in (both.gate, both.release) if one is not None]


@given(cases())
def test_every_case_has_an_answer_and_always_the_same(case: Case) -> None:
    answer = judged(case)
    assert answer == judged(case)
    assert (answer.release is None) is (case.release is None)


@given(cases())
def test_a_permit_proceeds_a_hold_does_not_and_the_state_says_what_is_done(case: Case) -> None:
    for decision in decisions(case):
        if decision.verdict is not Verdict.UNKNOWN:
            assert decision.proceeds is (decision.verdict is Verdict.PERMIT)
        assert (decision.state is GateState.OPEN) is decision.proceeds


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_slos_is_irrelevant(case: Case, random) -> None:
    slos = list(case.slos)
    random.shuffle(slos)
    assert judged(replace(case, slos=tuple(slos))) == judged(case)


@given(cases().filter(lambda case: any(one.evidence.so_far for one in case.slos)))
def test_while_an_indicator_is_replaced_neither_lets_through_what_the_other_refuses(
    case: Case,
) -> None:
    """A hold is taken to be for all SLOs, so that none is left out of what it waits for."""
    case = replace(case, memory=replace(case.memory, held_by=()))
    both = judged(case)
    for side in (0, 1):
        slos = tuple(apart(one)[-side] for one in case.slos)
        alone = judged(replace(case, slos=slos))
        if not alone.gate.proceeds:
            assert not both.gate.proceeds
        if alone.release is not None and both.release is not None and not alone.release.proceeds:
            assert not both.release.proceeds


@st.composite
def worsened(draw: st.DrawFn) -> tuple[Case, Case]:
    """A case, and the same with more bad events in one SLO; all else equal."""
    case = draw(cases())
    index = draw(st.integers(0, len(case.slos) - 1))
    one = case.slos[index]
    reading = one.evidence.reading
    if reading is None:
        return case, case
    amounts = st.integers(0, 1_000_000).map(Decimal)
    where: st.SearchStrategy = maybe(st.sampled_from(sorted(reading.looks)))
    more = draw(st.dictionaries(where if reading.looks else st.none(), amounts, min_size=1))
    evidence = replace(one.evidence, reading=worse(reading, more))
    slos = (*case.slos[:index], replace(one, evidence=evidence), *case.slos[index + 1 :])
    return case, replace(case, slos=slos)


@given(worsened())
def test_more_bad_events_permit_nothing_that_was_held(both: tuple[Case, Case]) -> None:
    for before, after in zip(*map(decisions, both), strict=True):
        assert after.proceeds <= before.proceeds
        assert RANK[after.verdict] >= RANK[before.verdict]


@given(cases())
def test_unknown_ends_no_hold_but_one_whose_end_was_read_of_all_that_it_is_for(
    case: Case,
) -> None:
    now = noticed(case)
    gate = judgement(now).gate
    if gate.verdict is Verdict.UNKNOWN and gate.proceeds and now.memory.held_for is not None:
        assert_end_was_read(now)


@given(cases())
def test_unknown_releases_nothing_held_but_what_its_hold_is_read_to_be_over_for(
    case: Case,
) -> None:
    now = noticed(case)
    decision = judgement(now).release
    held = now.release is not None and now.release.held
    if decision is not None and decision.verdict is Verdict.UNKNOWN and decision.proceeds and held:
        assert now.memory.held_for is not None
        assert_end_was_read(now)


def assert_end_was_read(case: Case) -> None:
    """Calm of all that have events, and of those that the hold is for; margin of the same."""
    memory = case.memory
    assert memory.calm_enough(NOW)
    assert all(one.evidence.reading is not None for one in case.slos)
    assert all(one.evidence.grade is not Grade.OUTAGE for one in case.slos)
    for_these = [one for one in case.slos if one.name in memory.held_by or not memory.held_by]
    assert all(quiet(one) for one in for_these)
    assert any(quiet(one) for one in case.slos)
    if memory.held_for is Cause.BUDGET:
        assert all(one.evidence.grade is Grade.FRESH for one in for_these)
        assert not any(short_of_margin(one) for one in for_these)


@given(cases())
def test_missing_evidence_alone_is_never_a_hold_nor_a_permit(case: Case) -> None:
    lost = tuple(one for one in noticed(case).slos if one.evidence.reading is None)
    if lost:
        gate = judged(replace(case, slos=lost, person=None)).gate
        assert gate.verdict is Verdict.UNKNOWN


@given(cases())
def test_a_release_leaves_the_gate_as_it_is(case: Case) -> None:
    gate = judged(replace(case, release=None)).gate
    assert judged(case).gate == gate
    returning = judged(replace(case, release=Release("5d4f8c7b9", returns=True)))
    assert returning.gate == gate
    assert returning.release is not None
    assert returning.release.reason is Reason.ROLLBACK_PERMITTED


@given(cases())
def test_the_slo_that_is_named_is_one_of_those_that_were_judged(case: Case) -> None:
    slos: tuple[Judged, ...] = noticed(case).slos
    for decision in decisions(case):
        assert (
            decision.slo is None
            or any(decision.slo is one for one in slos)
            or (decision.slo in slos)
        )
        if decision.verdict is Verdict.UNKNOWN:
            assert decision.slo is not None
            assert decision.reason is decision.slo.evidence.reason


@given(cases())
def test_whoever_holds_by_hand_is_named_unless_the_release_goes_on_anyway(case: Case) -> None:
    both = judged(replace(case, person="migration"))
    assert (both.gate.reason, both.gate.proceeds) == (Reason.HELD_BY_PERSON, False)
    if both.release is not None:
        passing = case.release is not None and (
            case.release.returns or case.release.first or case.release.resumed_by_person
        )
        assert both.release.proceeds is passing


@given(cases())
def test_noticing_twice_is_noticing_once(case: Case) -> None:
    assert noticed(noticed(case)) == noticed(case)

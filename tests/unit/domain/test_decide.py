"""One test for each row of the truth table in ``decide.py``, named by the row, and its borders."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from penstock.domain import decide
from penstock.domain.decision import (
    Decision,
    DecisionPoint,
    ReleaseInput,
    ReleaseOrigin,
    SloEvidence,
)
from penstock.domain.evidence import REASONS, Evidence, EvidenceGrade, EvidenceKind
from penstock.domain.memory import HoldCause, Memory
from penstock.domain.policy import (
    InFlightPolicy,
    Policy,
    ResumePolicy,
    StartPolicy,
    UnknownPolicy,
    UnknownThen,
)
from penstock.domain.quantities import Duration, Percentage
from penstock.domain.verdict import GateState, Reason, Verdict
from support.decision_fixtures import (
    HOT_FAST,
    HOT_SLOW,
    ago,
    answers,
    budget_hold,
    burn_hold,
    decision_input,
    pair,
    slo,
    unmeasured,
)

HOLD, PERMIT, UNKNOWN = Verdict.HOLD, Verdict.PERMIT, Verdict.UNKNOWN
RELEASE = ReleaseInput("5d4f8c7b9")
HELD = ReleaseInput("5d4f8c7b9", held=True)
THIN = [kind for kind in EvidenceKind if Evidence(kind).grade is EvidenceGrade.THIN]
OUTAGE = [kind for kind in EvidenceKind if Evidence(kind).grade is EvidenceGrade.OUTAGE]


def said(decision: Decision | None) -> tuple[Verdict, Reason, bool]:
    assert decision is not None
    return decision.verdict, decision.reason, decision.proceeds


def named(decision: Decision | None) -> str:
    assert decision is not None
    assert decision.slo is not None
    return decision.slo.name


def floor(start: str = "10%", in_flight: str | None = None, burn_above: str = "1") -> Policy:
    held_at = None if in_flight is None else Percentage.parse(in_flight)
    return Policy(
        start=StartPolicy(Percentage.parse(start)),
        in_flight=InFlightPolicy(held_at, Decimal(burn_above)),
    )


def outage(keep_last: str, then: UnknownThen) -> Policy:
    return Policy(outage=UnknownPolicy(Duration.parse(keep_last), then))


def thin(keep_last: str, then: UnknownThen) -> Policy:
    return Policy(thin=UnknownPolicy(Duration.parse(keep_last), then))


def missing_since(text: str, grade: EvidenceGrade, last: Verdict = PERMIT) -> Memory:
    return Memory(unknown=grade, unknown_since=ago(text), last_known=last)


def migrating(former: SloEvidence, new: SloEvidence) -> SloEvidence:
    """The former indicator answers, what is known of the new one counts besides."""
    both = Evidence(
        EvidenceKind.MIGRATING, "Migrating", former.evidence.reading, new.evidence.reading
    )
    return replace(former, evidence=both)


# The gate


@pytest.mark.parametrize(
    ("former", "new", "reason"),
    [
        (slo("0.5"), slo("0.9"), None),
        (slo("-0.1"), slo("0.9"), Reason.BUDGET_EXHAUSTED),
        (slo("0.5"), slo("-0.1"), Reason.BUDGET_EXHAUSTED),
        (slo("0.5", looks=HOT_FAST), slo("0.9"), Reason.BURNING_FAST),
        (slo("0.5"), slo("0.9", looks=HOT_FAST), Reason.BURNING_FAST),
    ],
)
def test_g2_while_an_indicator_is_replaced_either_may_hold(
    former: SloEvidence, new: SloEvidence, reason: Reason | None
) -> None:
    expected = (HOLD, reason, False) if reason else (PERMIT, Reason.BUDGET_HEALTHY, True)
    assert said(answers(migrating(former, new)).gate) == expected


def test_g3_while_an_indicator_is_replaced_a_window_that_one_lacks_is_missing() -> None:
    lacking = slo()
    read = lacking.evidence.reading
    assert read is not None
    gone = replace(read, burn_windows={})
    lacking = replace(lacking, evidence=replace(lacking.evidence, reading=gone))
    for both in (migrating(slo(), lacking), migrating(lacking, slo())):
        assert said(answers(both).gate) == (UNKNOWN, Reason.EVIDENCE_ABSENT, False)


def test_g1_a_persons_own_hold_comes_before_everything() -> None:
    for one in (slo(), slo("-1"), unmeasured()):
        assert said(answers(one, person="migration").gate) == (HOLD, Reason.HELD_BY_PERSON, False)


def test_g1_a_hold_without_words_is_a_hold() -> None:
    assert said(answers(person="").gate) == (HOLD, Reason.HELD_BY_PERSON, False)


@pytest.mark.parametrize(
    ("left", "reason"),
    [
        ("0.0001", Reason.BUDGET_HEALTHY),
        ("0", Reason.BUDGET_EXHAUSTED),
        ("-0.5", Reason.BUDGET_EXHAUSTED),
    ],
)
def test_g2_nothing_starts_at_zero_budget(left: str, reason: Reason) -> None:
    gate = answers(slo(left)).gate
    assert (gate.reason, gate.proceeds) == (reason, reason is Reason.BUDGET_HEALTHY)
    assert gate.verdict is (PERMIT if gate.proceeds else HOLD)


@pytest.mark.parametrize(
    ("left", "reason"),
    [
        ("0.1001", Reason.BUDGET_HEALTHY),
        ("0.1", Reason.BUDGET_LOW),
        ("0.0001", Reason.BUDGET_LOW),
        ("0", Reason.BUDGET_EXHAUSTED),
    ],
)
def test_g2_nothing_starts_at_the_authors_floor(left: str, reason: Reason) -> None:
    assert answers(slo(left, policy=floor("10%"))).gate.reason is reason


@pytest.mark.parametrize(
    ("looks", "reason"),
    [
        (HOT_FAST, Reason.BURNING_FAST),
        (HOT_SLOW, Reason.BURNING_SLOW),
        ({**HOT_FAST, **HOT_SLOW}, Reason.BURNING_FAST),
        ({"1h": "14.4", "5m": "15"}, Reason.BUDGET_HEALTHY),
        ({"1h": "15", "5m": "14.4"}, Reason.BUDGET_HEALTHY),
        ({"1h": "99"}, Reason.BUDGET_HEALTHY),
        ({"5m": "99"}, Reason.BUDGET_HEALTHY),
    ],
)
def test_g2_a_burn_pair_is_hot_when_both_windows_are_above_its_factor(
    looks: dict[str, str], reason: Reason
) -> None:
    gate = answers(slo(looks=looks)).gate
    assert (gate.reason, gate.proceeds) == (reason, reason is Reason.BUDGET_HEALTHY)


def test_g2_of_several_the_worst_is_named_whatever_their_order() -> None:
    slos = [
        slo("0.05", policy=floor("10%"), name="low"),
        slo(looks=HOT_SLOW, name="slow"),
        slo(looks=HOT_FAST, name="fast"),
        slo("-0.2", name="spent"),
        slo("-0.3", name="overspent"),
        slo(name="fine"),
    ]
    for ranked in ("overspent", "spent", "fast", "slow", "low", "fine"):
        assert named(answers(*slos).gate) == named(answers(*reversed(slos)).gate) == ranked
        slos = [one for one in slos if one.name != ranked]


def test_g2_comes_before_evidence_that_another_lacks() -> None:
    gate = answers(unmeasured(name="a"), slo("0", name="b")).gate
    assert said(gate) == (HOLD, Reason.BUDGET_EXHAUSTED, False)
    assert named(gate) == "b"


def test_g2_thin_evidence_is_judged_by_burn_and_not_by_budget() -> None:
    hot = slo("-1", looks=HOT_FAST, kind=EvidenceKind.INSUFFICIENT_EVENTS)
    assert said(answers(hot).gate) == (HOLD, Reason.BURNING_FAST, False)
    spent = slo("-1", kind=EvidenceKind.INSUFFICIENT_EVENTS)
    assert said(answers(spent).gate) == (UNKNOWN, Reason.INSUFFICIENT_EVENTS, True)


@pytest.mark.parametrize("kind", OUTAGE)
def test_g3_in_an_outage_nothing_new_starts(kind: EvidenceKind) -> None:
    for since in ("0s", "4m", "5m", "1h"):
        memory = missing_since(since, EvidenceGrade.OUTAGE)
        gate = answers(unmeasured(kind), memory=memory).gate
        assert said(gate) == (UNKNOWN, REASONS[kind], False)
        assert gate.state is GateState.UNKNOWN


@pytest.mark.parametrize(("since", "starts"), [("0s", False), ("4m59s", False), ("5m", True)])
def test_g3_an_outage_that_permits_does_so_after_keep_last(since: str, starts: bool) -> None:
    one = unmeasured(policy=outage("5m", UnknownThen.PERMIT))
    gate = answers(one, memory=missing_since(since, EvidenceGrade.OUTAGE)).gate
    assert said(gate) == (UNKNOWN, Reason.METRICS_UNREACHABLE, starts)
    assert gate.state is (GateState.OPEN if starts else GateState.UNKNOWN)


@pytest.mark.parametrize("kind", THIN)
def test_g3_thin_evidence_permits_where_it_is_quiet(kind: EvidenceKind) -> None:
    gate = answers(slo(kind=kind)).gate
    assert said(gate) == (UNKNOWN, REASONS[kind], True)
    assert gate.state is GateState.OPEN


@pytest.mark.parametrize(
    ("since", "last", "starts"),
    [
        ("0s", PERMIT, True),
        ("4m59s", PERMIT, True),
        ("4m59s", HOLD, False),
        ("4m59s", None, False),
        ("5m", PERMIT, False),
    ],
)
def test_g3_thin_evidence_is_as_it_was_for_keep_last_and_then_as_its_policy_says(
    since: str, last: Verdict, starts: bool
) -> None:
    one = slo(kind=EvidenceKind.NO_TRAFFIC, policy=thin("5m", UnknownThen.HOLD))
    gate = answers(one, memory=missing_since(since, EvidenceGrade.THIN, last)).gate
    assert said(gate) == (UNKNOWN, Reason.NO_TRAFFIC, starts)


def test_g3_the_graver_class_is_named_then_the_first_by_name() -> None:
    quiet = slo(kind=EvidenceKind.NO_TRAFFIC, name="a")
    lost = [unmeasured(EvidenceKind.STALE, name="c"), unmeasured(EvidenceKind.ABSENT, name="b")]
    gate = answers(quiet, *lost, slo(name="0")).gate
    assert (named(gate), gate.reason) == ("b", Reason.EVIDENCE_ABSENT)


def test_g3_each_slo_without_evidence_must_let_it_pass() -> None:
    lenient = unmeasured(name="a", policy=outage("0s", UnknownThen.PERMIT))
    assert answers(lenient, slo(kind=EvidenceKind.NO_TRAFFIC, name="b")).gate.proceeds
    assert not answers(lenient, unmeasured(name="b")).gate.proceeds


def test_g3_an_slo_that_is_missing_has_no_policy_and_holds() -> None:
    lost = SloEvidence("checkout", Evidence(EvidenceKind.SLO_NOT_FOUND, "no such SLO"), None)
    assert said(answers(lost).gate) == (UNKNOWN, Reason.SLO_NOT_FOUND, False)
    late = missing_since("5m", EvidenceGrade.OUTAGE)
    assert not answers(lost, memory=late, release=RELEASE).release.proceeds
    early = missing_since("4m59s", EvidenceGrade.OUTAGE)
    assert answers(lost, memory=early, release=RELEASE).release.proceeds


def test_g3_unknown_never_ends_a_hold() -> None:
    for then in UnknownThen:
        slo = unmeasured(policy=outage("0s", then))
        for memory in (burn_hold("1h"), budget_hold("1h")):
            assert said(answers(slo, memory=memory).gate) == (
                UNKNOWN,
                Reason.METRICS_UNREACHABLE,
                False,
            )


@pytest.mark.parametrize(("calm", "starts"), [(None, False), ("9m59s", False), ("10m", True)])
def test_g3_a_burn_hold_ends_on_calm_that_thin_evidence_has_shown(
    calm: str | None, starts: bool
) -> None:
    one = slo(kind=EvidenceKind.INSUFFICIENT_EVENTS)
    assert answers(one, memory=burn_hold(calm)).gate.proceeds is starts
    assert not answers(one, memory=budget_hold(calm)).gate.proceeds


def test_g3_silence_is_no_calm() -> None:
    silent = slo(kind=EvidenceKind.NO_TRAFFIC, total=Decimal(0))
    assert not answers(silent, memory=burn_hold("1h")).gate.proceeds


SILENT = {"kind": EvidenceKind.NO_TRAFFIC, "total": Decimal(0), "name": "idle"}


def by(memory: Memory, *names: str) -> Memory:
    return replace(memory, held_by=names)


@pytest.mark.parametrize(("calm", "starts"), [("9m59s", False), ("10m", True)])
@pytest.mark.parametrize("hold", [burn_hold, budget_hold])
def test_g3_an_slo_without_events_keeps_no_hold_that_is_for_another(hold, calm, starts) -> None:
    memory = by(hold(calm), "checkout")
    gate = answers(slo(), slo(**SILENT), memory=memory).gate
    assert said(gate) == (UNKNOWN, Reason.NO_TRAFFIC, starts)
    refusing = slo(**SILENT, policy=thin("0s", UnknownThen.HOLD))
    assert not answers(slo(), refusing, memory=memory).gate.proceeds


@pytest.mark.parametrize("names", [("idle",), ("checkout", "idle"), ()])
@pytest.mark.parametrize("hold", [burn_hold, budget_hold])
def test_g3_an_slo_without_events_keeps_a_hold_that_is_for_it_too(hold, names) -> None:
    memory = by(hold("1h"), *names)
    assert not answers(slo(), slo(**SILENT), memory=memory).gate.proceeds


def test_g3_few_events_of_another_must_be_calm_and_need_no_margin() -> None:
    few = {"kind": EvidenceKind.INSUFFICIENT_EVENTS, "name": "few"}
    for hold in (burn_hold("1h"), budget_hold("1h")):
        memory = by(hold, "checkout")
        assert answers(slo(), slo("-1", **few), memory=memory).gate.proceeds
        assert not answers(slo(), slo(burn="3", **few), memory=memory).gate.proceeds
    assert not answers(
        slo("0.005"), slo(**few), memory=by(budget_hold("1h"), "checkout")
    ).gate.proceeds
    assert not answers(slo(), slo(**few), memory=by(budget_hold("1h"), "few")).gate.proceeds


def test_g3_where_no_slo_that_a_hold_is_for_is_left_silence_is_still_no_calm() -> None:
    assert not answers(slo(**SILENT), memory=by(burn_hold("1h"), "gone")).gate.proceeds


def test_g3_an_outage_of_another_keeps_a_hold_whatever_its_policy_permits() -> None:
    lost = unmeasured(name="lost", policy=outage("0s", UnknownThen.PERMIT))
    memory = by(burn_hold("1h"), "checkout")
    assert not answers(slo(), lost, memory=memory).gate.proceeds


def test_g3_a_hold_in_force_is_not_kept_open_by_keep_last() -> None:
    one = slo(kind=EvidenceKind.NO_TRAFFIC, policy=thin("5m", UnknownThen.PERMIT))
    memory = replace(missing_since("1m", EvidenceGrade.THIN), held_for=HoldCause.BURN)
    assert memory.last_known is PERMIT
    assert not answers(one, memory=memory).gate.proceeds


@pytest.mark.parametrize(
    ("calm", "reason"),
    [
        (None, Reason.RECOVERING),
        ("9m59s", Reason.RECOVERING),
        ("10m", Reason.BUDGET_HEALTHY),
        ("1h", Reason.BUDGET_HEALTHY),
    ],
)
def test_g4_a_burn_hold_lasts_until_it_was_calm_for_long_enough(
    calm: str | None, reason: Reason
) -> None:
    healthy = reason is Reason.BUDGET_HEALTHY
    gate = answers(slo("0.0001"), memory=burn_hold(calm)).gate
    assert said(gate) == (PERMIT if healthy else HOLD, reason, healthy)


@pytest.mark.parametrize(
    ("burn_short", "burn_long", "reason"),
    [
        ("0.99", "1.99", Reason.BUDGET_HEALTHY),
        ("1", "1.99", Reason.RECOVERING),
        ("0.99", "2", Reason.RECOVERING),
    ],
)
def test_g4_calm_ends_with_the_next_error(burn_short: str, burn_long: str, reason: Reason) -> None:
    noisy = slo(looks={"5m": burn_short, "30m": burn_long})
    assert answers(noisy, memory=burn_hold("1h")).gate.reason is reason


def test_g4_all_slos_must_be_calm() -> None:
    slos = (slo(name="a"), slo(name="b", burn="3"))
    assert answers(*slos, memory=burn_hold("1h")).gate.reason is Reason.RECOVERING


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("a",), Reason.BUDGET_HEALTHY),
        (("b",), Reason.RECOVERING),
        (("a", "b"), Reason.RECOVERING),
        ((), Reason.RECOVERING),
    ],
)
def test_g4_calm_is_not_asked_of_one_that_rests_unless_the_hold_is_for_it(names, reason) -> None:
    """Its window is full of events, and none of them is of the last half hour."""
    slos = (slo(name="a"), slo(name="b", total=Decimal(0)))
    assert answers(*slos, memory=by(burn_hold("1h"), *names)).gate.reason is reason


@pytest.mark.parametrize(
    ("left", "reason"),
    [("0.0099", Reason.RECOVERING), ("0.01", Reason.BUDGET_HEALTHY)],
)
def test_g4_a_budget_hold_also_waits_for_its_margin(left: str, reason: Reason) -> None:
    assert answers(slo(left), memory=budget_hold("10m")).gate.reason is reason
    assert answers(slo(left), memory=budget_hold("9m59s")).gate.reason is Reason.RECOVERING


@pytest.mark.parametrize(
    ("left", "reason"), [("0.1199", Reason.RECOVERING), ("0.12", Reason.BUDGET_HEALTHY)]
)
def test_g4_the_margin_counts_from_the_authors_floor(left: str, reason: Reason) -> None:
    margin = ResumePolicy(margin=Percentage.parse("2%"))
    policy = Policy(start=StartPolicy(Percentage.parse("10%")), resume=margin)
    assert answers(slo(left, policy=policy), memory=budget_hold("1h")).gate.reason is reason


def test_g4_every_slo_must_be_above_its_margin() -> None:
    slos = (slo(name="a"), slo("0.005", name="b"))
    for memory in (budget_hold("1h"), by(budget_hold("1h"), "a")):
        gate = answers(*slos, memory=memory).gate
        assert (gate.reason, named(gate)) == (Reason.RECOVERING, "b")


def test_g5_otherwise_it_may_start_and_the_poorest_slo_is_named() -> None:
    gate = answers(slo(name="a"), slo("0.2", name="c"), slo("0.2", name="b")).gate
    assert said(gate) == (PERMIT, Reason.BUDGET_HEALTHY, True)
    assert (named(gate), gate.state) == ("b", GateState.OPEN)


# The release under way


def release(*slos: SloEvidence, memory: Memory | None = None, **facts: object) -> Decision | None:
    person = facts.pop("person", None)
    under_way = ReleaseInput("5d4f8c7b9", **facts)  # type: ignore[arg-type]
    assert person is None or isinstance(person, str)
    return answers(*slos, memory=memory, person=person, release=under_way).release


def test_no_release_no_answer_about_it() -> None:
    assert answers().release is None


ADVERSE = {
    "a person's hold": {"person": "migration"},
    "no budget": {"slos": (slo("-1", "20"),)},
    "an outage": {"slos": (unmeasured(),), "memory": missing_since("1h", EvidenceGrade.OUTAGE)},
    "recovering": {"memory": budget_hold(), "held": True},
    "past a closed gate": {"slos": (slo("-1", "20"),), "origin": ReleaseOrigin.WHILE_CLOSED},
    "ungated": {"slos": (slo("-1", "20"),), "origin": ReleaseOrigin.RECREATED},
}


@pytest.mark.parametrize("adverse", ADVERSE)
@pytest.mark.parametrize(
    ("fact", "reason"),
    [
        ("returns", Reason.ROLLBACK_PERMITTED),
        ("first", Reason.FIRST_RELEASE_PERMITTED),
        ("resumed_by_person", Reason.OVERRIDE_ACTIVE),
    ],
)
def test_r1_r2_r3_pass_whatever_the_gate_says(fact: str, reason: Reason, adverse: str) -> None:
    facts = dict(ADVERSE[adverse])
    slos = facts.pop("slos", (slo(),))
    decision = release(*slos, **{fact: True}, **facts)  # type: ignore[arg-type, misc]
    assert said(decision) == (PERMIT, reason, True)


def test_r1_a_return_is_reported_as_such_although_it_is_first_and_resumed() -> None:
    decision = release(returns=True, first=True, resumed_by_person=True)
    assert said(decision) == (PERMIT, Reason.ROLLBACK_PERMITTED, True)


def test_r1_a_return_never_opens_the_gate() -> None:
    for slos, memory in (((slo("-1"),), None), ((unmeasured(),), None), ((slo(),), budget_hold())):
        both = answers(*slos, memory=memory, release=ReleaseInput("5d4f8c7b9", returns=True))
        assert both.gate == answers(*slos, memory=memory).gate
        assert not both.gate.proceeds


def test_r2_a_first_release_is_reported_as_such_although_it_is_resumed() -> None:
    decision = release(first=True, resumed_by_person=True)
    assert said(decision) == (PERMIT, Reason.FIRST_RELEASE_PERMITTED, True)


def test_r3_a_person_who_resumed_is_obeyed_although_a_person_holds() -> None:
    decision = release(resumed_by_person=True, person="migration")
    assert said(decision) == (PERMIT, Reason.OVERRIDE_ACTIVE, True)


@pytest.mark.parametrize("adverse", [name for name in ADVERSE if name != "a person's hold"])
def test_r4_a_persons_own_hold_holds_the_release_and_is_named_first(adverse: str) -> None:
    facts = dict(ADVERSE[adverse])
    slos = facts.pop("slos", (slo(),))
    decision = release(*slos, person="migration", **facts)  # type: ignore[arg-type, misc]
    assert said(decision) == (HOLD, Reason.HELD_BY_PERSON, False)


@pytest.mark.parametrize(
    ("onset", "reason"),
    [
        (ReleaseOrigin.WHILE_CLOSED, Reason.ADMITTED_WHILE_CLOSED),
        (ReleaseOrigin.RECREATED, Reason.RELEASED_UNGATED),
    ],
)
def test_r5_what_slipped_past_the_gate_is_held_while_nothing_may_start(
    onset: ReleaseOrigin, reason: Reason
) -> None:
    shut = slo("0.05", policy=floor("10%"), name="low")
    decision = release(shut, origin=onset)
    assert said(decision) == (HOLD, reason, False)
    assert named(decision) == "low"
    assert said(release(shut)) == (PERMIT, Reason.BUDGET_HEALTHY, True)


@pytest.mark.parametrize("onset", list(ReleaseOrigin))
def test_r5_ends_when_something_may_start(onset: ReleaseOrigin) -> None:
    assert said(release(origin=onset)) == (PERMIT, Reason.BUDGET_HEALTHY, True)


def test_r5_comes_before_what_the_slos_say_of_a_release() -> None:
    for slos in ((slo("-1", "20"),), (unmeasured(),)):
        decision = release(*slos, origin=ReleaseOrigin.WHILE_CLOSED)
        assert said(decision) == (HOLD, Reason.ADMITTED_WHILE_CLOSED, False)


@pytest.mark.parametrize(
    ("left", "burn", "reason"),
    [
        ("0", "1.01", Reason.BUDGET_EXHAUSTED),
        ("0", "1", Reason.BUDGET_HEALTHY),
        ("-2", "0", Reason.BUDGET_HEALTHY),
        ("0.0001", "1.01", Reason.BUDGET_HEALTHY),
    ],
)
def test_r6_without_budget_a_release_is_held_only_while_errors_continue(
    left: str, burn: str, reason: Reason
) -> None:
    decision = release(slo(left, looks={"1h": burn}))
    assert decision is not None
    assert (decision.reason, decision.proceeds) == (reason, reason is Reason.BUDGET_HEALTHY)


@pytest.mark.parametrize(
    ("left", "burn", "reason"),
    [
        ("0.05", "2.01", Reason.BUDGET_LOW),
        ("0.05", "2", Reason.BUDGET_HEALTHY),
        ("0.0501", "2.01", Reason.BUDGET_HEALTHY),
    ],
)
def test_r6_keeps_to_what_the_author_wrote_for_releases_in_progress(
    left: str, burn: str, reason: Reason
) -> None:
    one = slo(left, looks={"1h": burn}, policy=floor("0%", "5%", "2"))
    decision = release(one)
    assert decision is not None
    assert decision.reason is reason


@pytest.mark.parametrize(
    ("looks", "reason"),
    [(HOT_FAST, Reason.BURNING_FAST), (HOT_SLOW, Reason.BURNING_SLOW)],
)
def test_r6_a_hot_burn_pair_holds_a_release(looks: dict[str, str], reason: Reason) -> None:
    assert said(release(slo(looks=looks))) == (HOLD, reason, False)


def test_r6_comes_before_evidence_that_another_lacks() -> None:
    decision = release(unmeasured(name="a"), slo(looks=HOT_FAST, name="b"))
    assert said(decision) == (HOLD, Reason.BURNING_FAST, False)


def test_r6_a_written_pair_judges_whether_errors_continue_by_its_own_window() -> None:
    policy = Policy(burn=(pair("20s", "5s", "50"),))
    going_on = slo("0", looks={"20s": "1.01"}, policy=policy)
    assert said(release(going_on)) == (HOLD, Reason.BUDGET_EXHAUSTED, False)
    over = slo("0", looks={"20s": "1"}, policy=policy)
    assert said(release(over)) == (PERMIT, Reason.BUDGET_HEALTHY, True)


@pytest.mark.parametrize(
    ("since", "held", "goes_on"),
    [
        ("0s", False, True),
        ("4m59s", False, True),
        ("5m", False, False),
        ("0s", True, False),
        ("5m", True, False),
    ],
)
def test_r7_in_an_outage_a_release_is_as_it_was_for_keep_last_and_then_held(
    since: str, held: bool, goes_on: bool
) -> None:
    decision = release(unmeasured(), memory=missing_since(since, EvidenceGrade.OUTAGE), held=held)
    assert said(decision) == (UNKNOWN, Reason.METRICS_UNREACHABLE, goes_on)


@pytest.mark.parametrize(("held", "goes_on"), [(False, True), (True, False)])
def test_r7_an_outage_that_permits_does_not_end_a_hold(held: bool, goes_on: bool) -> None:
    one = unmeasured(policy=outage("5m", UnknownThen.PERMIT))
    memory = missing_since("1h", EvidenceGrade.OUTAGE)
    assert said(release(one, memory=memory, held=held))[2] is goes_on


@pytest.mark.parametrize(
    ("memory", "goes_on"),
    [
        (Memory(), False),
        (burn_hold("9m59s"), False),
        (burn_hold("10m"), True),
        (budget_hold("1h"), False),
    ],
)
def test_r7_on_thin_evidence_only_a_calm_burn_hold_ends(memory: Memory, goes_on: bool) -> None:
    one = slo(kind=EvidenceKind.INSUFFICIENT_EVENTS)
    assert said(release(one, memory=memory, held=True))[2] is goes_on
    assert said(release(one, memory=Memory()))[2]


def test_r7_comes_before_recovering() -> None:
    decision = release(unmeasured(), memory=burn_hold(), held=True)
    assert said(decision) == (UNKNOWN, Reason.METRICS_UNREACHABLE, False)


@pytest.mark.parametrize(
    ("memory", "left", "reason"),
    [
        (burn_hold(), "0.5", Reason.RECOVERING),
        (burn_hold("9m59s"), "0.5", Reason.RECOVERING),
        (burn_hold("10m"), "0.5", Reason.BUDGET_HEALTHY),
        (budget_hold("1h"), "0.0099", Reason.RECOVERING),
        (budget_hold("1h"), "0.01", Reason.BUDGET_HEALTHY),
    ],
)
def test_r8_a_held_release_waits_for_calm_and_margin(
    memory: Memory, left: str, reason: Reason
) -> None:
    healthy = reason is Reason.BUDGET_HEALTHY
    decision = release(slo(left), memory=memory, held=True)
    assert said(decision) == (PERMIT if healthy else HOLD, reason, healthy)
    assert named(decision) == "checkout"


def test_r8_a_release_that_is_not_held_waits_for_nothing() -> None:
    decision = release(memory=budget_hold())
    assert said(decision) == (PERMIT, Reason.BUDGET_HEALTHY, True)


def test_r9_otherwise_it_continues_and_the_poorest_slo_is_named() -> None:
    decision = release(slo(name="a"), slo("0", name="b"))
    assert said(decision) == (PERMIT, Reason.BUDGET_HEALTHY, True)
    assert named(decision) == "b"


def test_r9_a_release_that_began_continues_although_nothing_new_may_start() -> None:
    both = answers(slo("0.05", policy=floor("10%")), release=RELEASE)
    assert said(both.gate) == (HOLD, Reason.BUDGET_LOW, False)
    assert said(both.release) == (PERMIT, Reason.BUDGET_HEALTHY, True)


def test_one_slo_without_evidence_is_enough_for_the_time_to_begin() -> None:
    memory = decision_input(
        slo(name="a"), unmeasured(name="b"), slo(kind=EvidenceKind.NO_TRAFFIC, name="c")
    ).memory
    assert (memory.unknown, memory.unknown_since) == (EvidenceGrade.OUTAGE, ago("0s"))


def test_each_answer_says_which_question_it_is_of() -> None:
    for one in (slo(), slo("-1", "20"), unmeasured()):
        for memory in (None, burn_hold()):
            for person in (None, "migration"):
                both = answers(one, memory=memory, person=person, release=HELD)
                assert both.gate.point is DecisionPoint.START
                assert both.release is not None
                assert both.release.point is DecisionPoint.CONTINUE


def test_the_poorest_is_one_with_a_figure() -> None:
    silent = SloEvidence("a", Evidence(EvidenceKind.FRESH), slo().policy)
    gate = decide.decide(
        decide.DecisionInput((silent, slo("0.9", name="b")), Memory(), None, None, ago("0s"))
    ).gate
    assert named(gate) == "b"

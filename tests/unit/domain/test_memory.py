"""What a gate remembers: which hold is in force, how long its calm must last, what is missing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from penstock.domain.evidence import EvidenceGrade
from penstock.domain.memory import HELD_BY_KEPT, HOLD_CAUSES, HoldCause, Memory
from penstock.domain.quantities import Duration
from penstock.domain.verdict import Reason, Verdict
from support.decision_fixtures import NOW, ago, burn_hold, span

HOLD, PERMIT, UNKNOWN = Verdict.HOLD, Verdict.PERMIT, Verdict.UNKNOWN
CALM = Duration.parse("10m")


def held(memory: Memory, reason: Reason = Reason.BURNING_FAST, at=NOW, calm: Duration = CALM):
    return memory.after_decision(HOLD, reason, calm, at)


def healthy(memory: Memory, at=NOW) -> Memory:
    return memory.after_decision(PERMIT, Reason.BUDGET_HEALTHY, CALM, at)


# Holds and their causes


@pytest.mark.parametrize("reason", list(Reason))
def test_only_budget_and_burn_are_holds_to_recover_from(reason: Reason) -> None:
    causes = {
        Reason.BUDGET_EXHAUSTED: HoldCause.BUDGET,
        Reason.BUDGET_LOW: HoldCause.BUDGET,
        Reason.BURNING_FAST: HoldCause.BURN,
        Reason.BURNING_SLOW: HoldCause.BURN,
    }
    assert held(Memory(), reason).held_for is causes.get(reason)
    assert causes == HOLD_CAUSES


def test_a_hold_begins_with_its_calm_and_its_time() -> None:
    memory = held(Memory(calm_since=ago("1h")))
    assert memory == Memory(
        held_for=HoldCause.BURN, calm_required=CALM, recent_holds=(NOW,), last_known=HOLD
    )


def test_a_hold_in_force_keeps_its_calm_time_and_begins_no_other() -> None:
    first = held(Memory(), at=ago("1h"))
    again = held(first, Reason.BURNING_SLOW, calm=Duration.parse("1h"))
    assert (again.calm_required, again.recent_holds) == (CALM, (ago("1h"),))


@pytest.mark.parametrize(
    ("before", "reason", "after"),
    [
        (HoldCause.BURN, Reason.BURNING_SLOW, HoldCause.BURN),
        (HoldCause.BURN, Reason.BUDGET_LOW, HoldCause.BUDGET),
        (HoldCause.BUDGET, Reason.BURNING_FAST, HoldCause.BUDGET),
        (HoldCause.BUDGET, Reason.BUDGET_EXHAUSTED, HoldCause.BUDGET),
    ],
)
def test_a_hold_that_lacks_budget_at_any_time_waits_for_budget(
    before: HoldCause, reason: Reason, after: HoldCause
) -> None:
    assert held(Memory(held_for=before), reason).held_for is after


def test_what_crosses_again_restarts_calm() -> None:
    assert held(burn_hold("9m")).calm_since is None


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (HOLD, Reason.RECOVERING),
        (HOLD, Reason.HELD_BY_PERSON),
        (UNKNOWN, Reason.METRICS_UNREACHABLE),
    ],
)
def test_a_hold_lasts_until_it_is_permitted(verdict: Verdict, reason: Reason) -> None:
    before = burn_hold("9m")
    after = before.after_decision(verdict, reason, CALM, NOW)
    assert (after.held_for, after.calm_since) == (before.held_for, before.calm_since)
    assert after.recent_holds == before.recent_holds


def test_a_permit_ends_it_and_it_stays_remembered_for_two_hours() -> None:
    memory = healthy(burn_hold("10m"))
    assert (memory.held_for, memory.calm_since) == (None, None)
    assert memory.recent_holds == (ago("1h"),)
    assert memory == burn_hold("10m").after_decision(PERMIT, Reason.BUDGET_HEALTHY, CALM, NOW)


def test_one_that_is_over_by_thin_evidence_is_forgotten_alike() -> None:
    memory = burn_hold("10m").after_recovery(NOW)
    assert (memory.held_for, memory.calm_since, memory.last_known) == (None, None, HOLD)
    assert memory.recent_holds == (ago("1h"),)
    assert memory.after_recovery(NOW + timedelta(hours=1)).recent_holds == ()


@pytest.mark.parametrize(("verdict", "known"), [(PERMIT, PERMIT), (HOLD, HOLD), (UNKNOWN, PERMIT)])
def test_the_last_verdict_that_was_known_stays_over_unknown(
    verdict: Verdict, known: Verdict
) -> None:
    memory = Memory(last_known=PERMIT).after_decision(verdict, Reason.HELD_BY_PERSON, CALM, NOW)
    assert memory.last_known is known


def test_a_burn_hold_is_a_known_hold() -> None:
    assert held(Memory(last_known=PERMIT)).last_known is HOLD


# Whom a hold is for


def crossed(memory: Memory, *names: str) -> Memory:
    return memory.after_decision(HOLD, Reason.BURNING_FAST, CALM, NOW, names)


def test_a_hold_is_for_each_slo_that_crosses_while_it_lasts_and_excludes_the_others() -> None:
    memory = crossed(crossed(Memory(), "b"), "c", "a")
    assert memory.held_by == ("a", "b", "c")
    assert not memory.excludes("b")
    assert memory.excludes("d")
    assert healthy(memory).held_by == ()


def test_a_hold_that_names_nobody_is_for_all_and_stays_so() -> None:
    assert not Memory(held_for=HoldCause.BURN).excludes("a")
    assert crossed(Memory(held_for=HoldCause.BURN), "a").held_by == ()


def test_a_hold_for_more_slos_than_a_status_can_bear_is_for_all() -> None:
    names = [f"{number:02}" for number in range(HELD_BY_KEPT)]
    assert crossed(Memory(), *reversed(names)).held_by == tuple(names)
    assert crossed(Memory(), *names, "another").held_by == ()
    assert crossed(crossed(Memory(), *names), "another").held_by == ()


# Doubling


def test_each_new_hold_within_two_hours_doubles_the_calm_up_to_two_hours() -> None:
    memory, told = Memory(), []
    for minute in range(0, 70, 10):
        at = NOW + timedelta(minutes=minute)
        memory = held(memory, at=at)
        told.append(str(memory.calm_required))
        memory = healthy(memory, at + timedelta(minutes=5))
    assert told == ["10m", "20m", "40m", "1h20m", "2h", "2h", "2h"]


@pytest.mark.parametrize(("before", "required"), [("1h59m59s", "20m"), ("2h", "10m")])
def test_a_hold_of_two_hours_ago_is_forgotten(before: str, required: str) -> None:
    memory = healthy(held(Memory(), at=ago(before)), ago("1h"))
    assert str(held(memory).calm_required) == required
    assert len(held(memory).recent_holds) == (2 if required == "20m" else 1)


def test_a_calm_longer_than_two_hours_is_not_shortened_nor_doubled() -> None:
    long = Duration.parse("3h")
    memory = held(healthy(held(Memory(), at=ago("1h"), calm=long), ago("30m")), calm=long)
    assert memory.calm_required == long


def test_no_more_than_sixteen_holds_are_remembered() -> None:
    times = tuple(ago(f"{minute}m") for minute in range(100, 0, -1))
    assert Memory(recent_holds=times).after_recovery(NOW).recent_holds == times[-16:]


# Calm


@pytest.mark.parametrize(
    ("calm", "enough"), [(None, False), ("9m59s999ms", False), ("10m", True), ("1h", True)]
)
def test_calm_is_enough_once_it_has_lasted(calm: str | None, enough: bool) -> None:
    assert burn_hold(calm).is_calm_long_enough(NOW) is enough


def noticed(
    memory: Memory, *, calm: bool = True, grade: EvidenceGrade = EvidenceGrade.FRESH
) -> Memory:
    return memory.observe(calm=calm, grade=grade, now=NOW)


def test_calm_begins_is_kept_and_is_lost_at_once() -> None:
    assert noticed(burn_hold()).calm_since == NOW
    assert noticed(burn_hold("5m")).calm_since == ago("5m")
    assert noticed(burn_hold("5m"), calm=False).calm_since is None


def test_calm_counts_only_during_a_hold() -> None:
    assert noticed(Memory(calm_since=ago("5m"))).calm_since is None


# What is missing


@pytest.mark.parametrize("grade", [EvidenceGrade.THIN, EvidenceGrade.OUTAGE])
def test_missing_evidence_is_dated_from_when_it_went_missing(grade: EvidenceGrade) -> None:
    first = noticed(Memory(), grade=grade)
    assert (first.unknown, first.unknown_since) == (grade, NOW)
    later = first.observe(calm=False, grade=grade, now=NOW + span("4m"))
    assert (later.unknown, later.unknown_since) == (grade, NOW)


def test_another_class_of_missing_evidence_begins_a_time_of_its_own() -> None:
    thin = Memory(unknown=EvidenceGrade.THIN, unknown_since=ago("1h"))
    assert noticed(thin, grade=EvidenceGrade.OUTAGE).unknown_since == NOW


def test_fresh_evidence_ends_it() -> None:
    known = noticed(Memory(unknown=EvidenceGrade.OUTAGE, unknown_since=ago("1h")))
    assert (known.unknown, known.unknown_since) == (None, None)


def test_a_clock_that_was_set_back_keeps_no_verdict_for_long() -> None:
    ahead = NOW + span("1h")
    memory = Memory(
        held_for=HoldCause.BURN, calm_since=ahead, unknown=EvidenceGrade.OUTAGE, unknown_since=ahead
    )
    assert noticed(memory, grade=EvidenceGrade.OUTAGE).unknown_since == NOW
    assert noticed(memory, grade=EvidenceGrade.OUTAGE).calm_since == NOW


def test_an_outage_of_unknown_age_begins_now() -> None:
    assert (
        noticed(Memory(unknown=EvidenceGrade.OUTAGE), grade=EvidenceGrade.OUTAGE).unknown_since
        == NOW
    )

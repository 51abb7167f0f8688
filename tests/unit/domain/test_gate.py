"""The gate of one Rollout, round by round: what it does, what it tells, what admission reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from penstock.domain.actions import HoldWorkload, ReleaseWorkload
from penstock.domain.decision import ReleaseOrigin, SloEvidence
from penstock.domain.evidence import EvidenceKind
from penstock.domain.gate import hold_manager
from penstock.domain.memory import HoldCause, Memory
from penstock.domain.policy import InFlightPolicy, Policy, UnknownPolicy, UnknownThen
from penstock.domain.quantities import Duration, Percentage
from penstock.domain.rollout import (
    Admission,
    Enforcement,
    InFlight,
    Mode,
    OnDelete,
    OnExternalResume,
)
from penstock.domain.rollout_state import HISTORY_KEPT, Hold, RolloutState, Spent, too_large
from penstock.domain.template import LARGEST_TEMPLATE
from penstock.domain.verdict import GateState, Reason, Verdict
from penstock.domain.workload import HoldEffect, Phase
from support.decision_fixtures import HOT_FAST, NOW, burn_hold, slo, span, unmeasured
from support.rollout_fixtures import MANAGER, MISSING, ROLLOUT, GateStory, version, workload_state

BURNING = (slo(looks=HOT_FAST),)
SPENT = (slo("-0.2", "20"),)
FINE = (slo(),)
LOST = (unmeasured(),)
HOLD, RELEASE = [HoldWorkload], [ReleaseWorkload]
ENFORCING = replace(ROLLOUT, on_external_resume=OnExternalResume.ENFORCE)


def begun(**facts: Any) -> GateStory:
    """Version 1 ran, and version 2 rolls out through an open gate."""
    story = GateStory(**facts)
    story.goes()
    story.release()
    story.goes("10s")
    return story


def held(**facts: Any) -> GateStory:
    """The release of version 2 burns, and is held."""
    story = begun(**facts)
    assert story.acts("10s", slos=BURNING) == HOLD
    return story


def person_resumes(story: GateStory) -> None:
    story.seen = replace(story.seen, held_by_us=False, paused=False)


# Acts


def test_at_rest_nothing_is_done() -> None:
    story = GateStory()
    assert [story.acts("10s") for _ in range(3)] == [[], [], []]
    assert story.state.hold == Hold()


def test_a_closed_gate_holds_nothing_that_is_at_rest() -> None:
    story = GateStory()
    assert story.acts(slos=SPENT) == []
    assert story.state.gate is not None
    assert story.state.gate.state is GateState.CLOSED


def test_a_release_that_burns_is_held_once() -> None:
    story = held()
    assert [story.acts("10s") for _ in range(3)] == [[], [], []]
    hold = story.state.hold
    assert (hold.active, hold.manager, hold.effect) == (True, MANAGER, HoldEffect.PARTIAL)
    assert hold.since == NOW + span("20s")


def test_a_hold_counts_once_it_was_read_back() -> None:
    story = begun()
    assert isinstance(story.goes("10s", slos=BURNING).workload_action, HoldWorkload)
    assert not story.state.hold.active
    assert story.state.hold.effect is HoldEffect.PARTIAL


def test_a_held_release_continues_after_its_calm() -> None:
    story = held()
    assert story.acts("1s", slos=FINE) == []
    assert story.state.gate.reason is Reason.RECOVERING
    assert story.acts("9m59s") == []
    assert story.acts("1s") == RELEASE
    assert story.state.gate.reason is Reason.BUDGET_HEALTHY
    assert story.state.hold == Hold()
    assert story.state.release is not None


def test_a_release_is_reported_as_done_before_it_is() -> None:
    """A crash in between then repeats it, instead of taking it for a person's doing."""
    story = held()
    story.goes("1s", slos=FINE)
    assert isinstance(story.goes("10m").workload_action, ReleaseWorkload)
    assert story.seen.held_by_us
    assert not story.state.hold.active
    assert isinstance(story.goes("1s").workload_action, ReleaseWorkload)


def test_a_return_to_a_stable_template_releases_at_once_and_opens_no_gate() -> None:
    story = held()
    story.release(1)
    assert story.acts("1s") == RELEASE
    assert story.state.gate.state is GateState.CLOSED
    story.completes()
    assert story.acts("1s") == []
    assert not story.last.record.admits


def test_a_hold_that_would_stop_nothing_is_not_applied() -> None:
    story = begun()
    story.seen = replace(story.seen, effect=HoldEffect.NONE)
    assert story.acts(slos=BURNING) == []
    assert story.state.hold == Hold(effect=HoldEffect.NONE)


def test_a_hold_in_force_is_not_given_back_for_having_lost_its_effect() -> None:
    story = held()
    story.seen = replace(story.seen, effect=HoldEffect.NONE)
    assert story.acts("1s") == []
    assert story.state.hold.active


def test_a_workload_that_cannot_be_held_is_not() -> None:
    story = begun()
    story.seen = replace(story.seen, unsupported_reason="is owned by Canary web")
    assert story.acts(slos=BURNING) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda r: replace(r, mode=Mode.AUDIT),
        lambda r: replace(r, enforcement=Enforcement(in_flight=InFlight.OFF)),
    ],
    ids=["Audit", "inFlight Off"],
)
def test_without_enforcement_in_flight_a_hold_is_released_and_the_gate_reported_all_the_same(
    change: Callable[..., Any],
) -> None:
    story = held()
    assert story.acts("1s", rollout=change(ROLLOUT)) == RELEASE
    assert story.state.gate.reason is Reason.BURNING_FAST


def test_a_persons_hold_by_spec_or_label_holds_a_release_and_its_end_ends_it() -> None:
    story = begun()
    assert story.acts("1s", rollout=replace(ROLLOUT, hold_reason="migration")) == HOLD
    assert story.acts("1s", rollout=ROLLOUT) == RELEASE
    story.seen = replace(story.seen, person_holds="")
    assert story.acts("1s") == HOLD
    assert story.state.gate.reason is Reason.HELD_BY_PERSON
    story.seen = replace(story.seen, person_holds=None)
    assert story.acts("1s") == RELEASE


def test_an_outage_keeps_a_release_going_for_five_minutes_and_aborts_nothing() -> None:
    story = begun()
    assert story.acts("1s", slos=LOST) == []
    assert not story.last.record.admits
    assert story.acts("4m59s") == []
    assert story.acts("1s") == HOLD
    assert story.state.gate.state is GateState.UNKNOWN
    assert story.acts("1h") == []
    assert story.acts("1s", slos=FINE) == RELEASE


def test_an_outage_ends_no_hold() -> None:
    story = held()
    assert story.acts("1s", slos=LOST) == []
    assert story.acts("2h") == []
    assert story.state.hold.active
    assert story.acts("1s", slos=FINE) == []
    assert story.state.gate.reason is Reason.RECOVERING


def test_a_hold_for_the_release_alone_closes_the_gate_until_it_is_over() -> None:
    """The author holds releases under way at 5 %, new ones at 0 %."""
    policy = Policy(in_flight=InFlightPolicy(Percentage.parse("5%")))
    low = (slo("0.04", "2", policy=policy),)
    story = begun()
    assert story.acts("10s", slos=low) == HOLD
    assert story.state.memory.held_for is HoldCause.BUDGET
    for _ in range(100):
        assert story.acts("1m") == []
    assert len(story.state.memory.recent_holds) == 1
    assert story.state.gate.reason is Reason.RECOVERING
    calm = (slo("0.04", policy=policy),)
    assert story.acts("1s", slos=calm) == []
    assert story.acts("10m") == RELEASE


# Thin evidence


def test_a_burn_hold_that_ended_on_thin_evidence_does_not_come_back_with_silence() -> None:
    story = held()
    thin, silent = (
        (slo(kind=EvidenceKind.INSUFFICIENT_EVENTS),),
        (slo(kind=EvidenceKind.NO_TRAFFIC, total=0),),
    )
    assert story.acts("1s", slos=thin) == []
    assert story.acts("10m") == RELEASE
    assert story.acts("10s") == []
    assert story.acts("1h", slos=silent) == []
    assert story.state.gate.state is GateState.OPEN
    assert story.state.memory.held_for is None
    assert len(story.state.memory.recent_holds) == 1


def test_it_is_not_over_before_it_was_given_back() -> None:
    story = held()
    story.goes("1s", slos=(slo(kind=EvidenceKind.INSUFFICIENT_EVENTS),))
    assert isinstance(story.goes("10m").workload_action, ReleaseWorkload)
    assert story.state.memory.held_for is HoldCause.BURN
    assert isinstance(story.goes("5s").workload_action, ReleaseWorkload)


# Others who write to the workload


def test_a_person_who_resumes_is_obeyed_for_this_release() -> None:
    story = held()
    person_resumes(story)
    assert story.acts("10s") == []
    assert story.state.release.resumed_at == story.now
    assert story.state.hold.lost_at == (story.now,)
    assert story.acts("10m", slos=SPENT) == []
    assert not story.last.record.admits


def test_the_next_release_is_held_again() -> None:
    story = held()
    person_resumes(story)
    story.goes("10s")
    story.release(3)
    assert story.acts("10s") == HOLD
    assert story.state.release.origin is ReleaseOrigin.WHILE_CLOSED


def test_one_who_puts_another_template_in_its_place_has_not_resumed_it() -> None:
    story = held()
    person_resumes(story)
    story.release(3)
    assert story.acts("10s") == HOLD
    assert story.state.release.resumed_at is None


def test_a_held_workload_that_is_recreated_was_resumed_by_nobody() -> None:
    story = held()
    story.seen = replace(story.seen, uid="d2", held_by_us=False, paused=False)
    assert story.acts("1s") == HOLD
    assert story.state.release.origin is ReleaseOrigin.RECREATED
    assert story.state.release.resumed_at is None
    assert story.state.hold.lost_at == ()


def test_a_resume_is_respected_only_while_the_author_says_so() -> None:
    story = held()
    person_resumes(story)
    assert story.acts("10s") == []
    assert story.acts("10s", rollout=ENFORCING) == HOLD


def test_enforce_holds_again_then_waits_then_leaves_it() -> None:
    story = held(rollout=ENFORCING)
    person_resumes(story)
    assert story.acts("10s") == HOLD
    assert story.state.release.resumed_at is None
    person_resumes(story)
    assert story.acts("10s") == []
    assert story.acts("29s") == []
    assert story.acts("1s") == HOLD
    story.seen = replace(story.seen, held_by_us=False, paused=False, pinned_by="kubectl apply")
    assert story.acts("10s") == []
    assert story.state.hold.contested_by == "kubectl apply"
    assert story.acts("5h") == []
    assert story.state.gate.state is GateState.CLOSED


def test_a_release_that_a_person_resumed_and_that_is_whole_is_nothing_to_respect() -> None:
    story = held()
    person_resumes(story)
    story.completes()
    assert story.acts("10s") == []
    assert (story.state.release, story.state.hold) == (None, Hold())


def test_a_hold_without_a_release_that_is_lost_is_nobodys_resumption() -> None:
    story = begun()
    story.state = replace(story.state, release=None, hold=Hold(active=True))
    assert story.acts("1s", slos=BURNING) == HOLD
    assert story.state.release.resumed_at is None


def test_an_unknown_writer_is_named_as_such() -> None:
    story = held(rollout=ENFORCING)
    for _ in range(3):
        person_resumes(story)
        story.acts("1s")
        story.acts("31s")
    assert story.state.hold.contested_by == "an unknown writer"


def test_losses_of_ten_minutes_ago_are_forgotten() -> None:
    story = held(rollout=ENFORCING)
    for _ in range(6):
        person_resumes(story)
        assert story.acts("10m") == HOLD
    assert story.state.hold.contested_by == ""
    assert len(story.state.hold.lost_at) == 1


def test_a_contest_ends_with_its_release() -> None:
    story = held(rollout=ENFORCING)
    story.state = replace(
        story.state, hold=replace(story.state.hold, contested_by="argocd-controller")
    )
    person_resumes(story)
    assert story.acts("1s") == []
    story.completes()
    story.goes("1s")
    assert story.state.hold == Hold()


def test_a_persons_pause_is_neither_taken_nor_undone() -> None:
    story = begun()
    story.seen = replace(story.seen, paused=True, pause_managers=("kubectl-rollout",))
    assert story.acts("1s") == []
    assert story.acts("1s", slos=BURNING) == HOLD
    story.seen = replace(story.seen, pause_managers=(MANAGER, "kubectl-rollout"))
    assert story.acts("1s") == []


def test_why_the_api_server_refused_a_hold_is_reported_until_it_took_one() -> None:
    story = begun()
    story.goes("1s", slos=BURNING)
    story.state = replace(story.state, hold=replace(story.state.hold, refused="quota exceeded"))
    assert isinstance(story.goes("1s").workload_action, HoldWorkload)
    assert story.state.hold.refused == "quota exceeded"
    assert (
        "is not held: the API server refused the hold (quota exceeded)" in story.state.gate.message
    )
    assert story.acts("1s") == HOLD
    assert story.state.hold.refused == ""


@pytest.mark.parametrize("on_delete", list(OnDelete))
def test_a_hold_in_force_learns_what_becomes_of_it_when_its_rollout_goes(
    on_delete: OnDelete,
) -> None:
    story = held()
    keeps = on_delete is OnDelete.KEEP_HELD
    story.rollout = replace(ROLLOUT, on_delete=on_delete)
    story.seen = replace(story.seen, keep_held=not keeps)
    assert isinstance(story.goes("1s").workload_action, HoldWorkload)
    story.seen = replace(story.seen, keep_held=keeps)
    assert story.acts("1s") == []
    assert story.state.hold.since == NOW + span("20s")


def test_each_rollout_holds_under_a_manager_of_its_own() -> None:
    assert hold_manager(ROLLOUT) == "penstock-hold-7f3c0e5a"


# Off, and two Rollouts on one workload


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rollout": replace(ROLLOUT, mode=Mode.OFF)}, Reason.DISABLED),
        ({"rival": "elder"}, Reason.WORKLOAD_CONFLICT),
    ],
    ids=["Off", "rival"],
)
def test_one_that_stands_down_gives_back_its_hold_and_admits(
    changes: dict[str, Any], reason: Reason
) -> None:
    story = held()
    assert story.acts("1s", **changes) == RELEASE
    gate = story.state.gate
    assert (gate.verdict, gate.state, gate.reason) == (Verdict.UNKNOWN, GateState.OPEN, reason)
    assert story.last.record.admits
    assert story.last.decisions is None
    assert story.state.memory == Memory(serial=story.state.memory.serial)
    assert story.state.hold == Hold()


def test_what_stood_down_takes_up_again_where_the_evidence_is() -> None:
    story = held()
    story.acts("1s", rival="elder")
    assert story.acts("1s", rival=None) == HOLD
    assert story.state.memory.serial == 4


def test_off_needs_no_evidence() -> None:
    story = GateStory(rollout=replace(ROLLOUT, mode=Mode.OFF), slos=())
    assert story.goes().record.admits


# What admission reads


@pytest.mark.parametrize(
    ("slos", "admits"),
    [(FINE, True), (SPENT, False), (BURNING, False), (LOST, False)],
    ids=["fine", "spent", "burning", "lost"],
)
@pytest.mark.parametrize("mode", [Mode.ENFORCE, Mode.AUDIT])
@pytest.mark.parametrize("admission", list(Admission))
def test_admits_has_mode_and_enforcement_in_it(
    slos: Any, admits: bool, mode: Mode, admission: Admission
) -> None:
    enforcement = Enforcement(admission=admission)
    rollout = replace(ROLLOUT, mode=mode, enforcement=enforcement)
    record = GateStory(rollout=rollout).goes(slos=slos).record
    enforced = mode is Mode.ENFORCE and admission is not Admission.OFF
    assert record.admits is (admits or not enforced)
    assert record.warns is (admission is Admission.WARN)


def test_an_outage_that_permits_admits_in_the_end() -> None:
    policy = Policy(outage=UnknownPolicy(Duration.parse("1m"), UnknownThen.PERMIT))
    story = GateStory(slos=(unmeasured(policy=policy),))
    assert not story.goes().record.admits
    assert not story.goes("59s").record.admits
    assert story.goes("1s").record.admits
    assert story.state.gate.state is GateState.OPEN


def test_the_record_names_the_workload_and_says_the_sentence() -> None:
    story = GateStory()
    record = story.goes(slos=SPENT).record
    assert (record.api_version, record.kind, record.workload) == (
        "apps/v1",
        "Deployment",
        "checkout",
    )
    assert record.message == story.state.gate.message


def test_the_record_shows_what_may_be_returned_to_also_while_it_is_closed() -> None:
    story = GateStory()
    story.goes()
    story.release()
    story.goes("1s")
    story.completes()
    story.goes("1s")
    story.release(3)
    record = story.goes("1s", slos=BURNING).record
    assert not record.admits
    assert [template.hash for template, _ in record.templates] == [version(2).hash, version(1).hash]
    assert [template.body for template, _ in record.templates] == [version(2).body, version(1).body]


def test_one_stable_template_too_large_to_show_makes_admission_warn() -> None:
    huge = version(1, env="x" * LARGEST_TEMPLATE)
    story = GateStory(seen=workload_state(huge))
    record = story.goes(slos=SPENT).record
    assert (record.admits, record.warns, record.templates) == (False, True, ())
    assert too_large(story.state)
    assert not too_large(GateStory().goes().state)


def test_one_too_large_among_several_is_enough() -> None:
    story = GateStory(seen=workload_state(version(1, env="x" * LARGEST_TEMPLATE)))
    story.goes()
    story.release()
    story.goes("1s")
    story.completes()
    record = story.goes("1s").record
    assert (record.warns, len(record.templates)) == (True, 1)
    assert too_large(story.state)


def test_a_stable_template_whose_body_is_lost_makes_admission_warn() -> None:
    story = GateStory()
    story.goes()
    story.state = replace(story.state, bodies={})
    story.seen = replace(story.release(2), former_templates=(version(2),))
    record = story.goes(slos=SPENT).record
    assert (record.admits, record.warns) == (False, True)


# What is told


def test_history_has_one_entry_for_each_transition_the_newest_first() -> None:
    story = GateStory()
    for slos in (FINE, FINE, SPENT, SPENT, LOST, SPENT):
        story.goes("1m", slos=slos)
    told = [(transition.state, transition.reason) for transition in story.state.history]
    spent = (GateState.CLOSED, Reason.BUDGET_EXHAUSTED)
    assert told == [
        spent,
        (GateState.UNKNOWN, Reason.METRICS_UNREACHABLE),
        spent,
        (GateState.OPEN, Reason.BUDGET_HEALTHY),
    ]
    assert story.state.memory.serial == 4
    newest = story.state.history[0]
    assert (newest.at, newest.verdict, newest.slo) == (story.now, Verdict.HOLD, "checkout")
    assert newest.message == story.state.gate.message


def test_no_more_than_twenty_transitions_are_kept() -> None:
    story = GateStory()
    for _ in range(HISTORY_KEPT):
        story.goes("1m", slos=FINE)
        story.goes("1m", slos=LOST)
    assert len(story.state.history) == HISTORY_KEPT == 20
    assert story.state.memory.serial == 40


def test_since_is_of_the_last_transition_and_decided_at_of_the_last_round() -> None:
    story = GateStory()
    story.goes(slos=SPENT)
    for left in ("-0.3", "-0.4"):
        story.goes("1m", slos=(slo(left),))
        gate = story.state.gate
        assert (gate.since, gate.decided_at) == (NOW, story.now)
    story.goes("1m", slos=BURNING)
    assert story.state.gate.since == story.now


def test_slos_with_almost_the_same_budget_do_not_take_turns_in_being_named() -> None:
    story = GateStory()
    for left in ("0.9003", "0.8998", "0.9002", "0.8997"):
        story.goes("30s", slos=(slo("0.9", name="a"), slo(left, name="b")))
        assert story.state.gate.slo == "a"
    story.goes("30s", slos=(slo("0.9", name="a"), slo("0.89", name="b")))
    assert story.state.gate.slo == "b"


def test_a_release_remembers_what_was_left_when_it_began() -> None:
    story = begun(slos=(slo("0.812345"),))
    assert story.state.release.remaining_at_start == "0.8123"
    story.goes("1m", slos=(slo("0.5"),))
    assert story.state.release.remaining_at_start == "0.8123"


def test_what_was_left_is_filled_in_once_it_is_known() -> None:
    story = begun(slos=(unmeasured(),))
    assert story.state.release.remaining_at_start == ""
    story.goes("1s", slos=(slo("0.5"),))
    assert story.state.release.remaining_at_start == "0.5000"


def having_spent(
    share: str, began: datetime, *, name: str = "checkout", **facts: Any
) -> SloEvidence:
    """An SLO that knows what a release has spent since then: the budget is of 10,000 bad events."""
    one = slo(name=name, **facts)
    reading = one.evidence.reading
    assert reading is not None
    spent = replace(reading, bad_since={began: Decimal(share) * 10_000})
    return replace(one, evidence=replace(one.evidence, reading=spent))


def test_a_release_says_what_it_has_spent_of_the_slo_that_the_gate_names() -> None:
    story = begun()
    assert story.state.release.spent is None
    began = story.state.release.started_at
    known = having_spent("0.05123", began, left="0.4"), having_spent("0.5", began, name="other")
    story.goes("1m", slos=known)
    assert story.state.gate.slo == "checkout"
    assert story.state.release.spent == Spent("checkout", Decimal("0.0512"))
    assert story.state.gate.message.endswith(
        "5.1% of the error budget of checkout was spent since 14:02 UTC"
    )
    story.goes("1m", slos=(unmeasured(),))
    assert story.state.release.spent is None
    assert "spent since" not in story.state.gate.message


def test_what_was_spent_decides_nothing() -> None:
    thrifty, costly = begun(), begun()
    began = costly.state.release.started_at
    thrifty.goes("1m", slos=(having_spent("0", began),))
    costly.goes("1m", slos=(having_spent("1", began),))
    assert costly.last.decisions.gate.verdict is thrifty.last.decisions.gate.verdict
    assert costly.last.decisions.release.proceeds
    assert costly.last.workload_action == thrifty.last.workload_action


def test_off_nothing_is_said_of_what_was_spent() -> None:
    story = begun()
    story.goes("1m", slos=(having_spent("0.1", story.state.release.started_at),))
    assert story.state.release.spent is not None
    story.goes("1m", rollout=replace(ROLLOUT, mode=Mode.OFF))
    assert story.state.release.spent is None


def test_a_persons_hold_says_nothing_of_what_was_left() -> None:
    story = GateStory()
    story.goes()
    story.release()
    story.acts("1s", rollout=replace(ROLLOUT, hold_reason="migration"))
    assert story.state.release.remaining_at_start == ""


def test_the_generation_that_was_decided_is_reported() -> None:
    assert GateStory().goes().state.generation == 3


def test_a_version_whose_errors_close_the_gate_is_stable_no_longer() -> None:
    story = begun()
    story.completes()
    story.goes("1s")
    assert len(story.state.stable) == 2
    story.goes("1s", slos=BURNING)
    assert [stable.hash for stable in story.state.stable] == [version(1).hash]


def test_what_was_returned_to_is_no_suspect_while_the_same_hold_lasts() -> None:
    story = GateStory()
    story.goes()
    for number in (2, 3):
        story.release(number)
        story.goes("1s")
        story.completes()
        story.goes("1s")
    story.goes("1s", slos=BURNING)
    story.release(2)
    story.goes("1s")
    story.completes()
    story.goes("1s")
    story.goes("1s")
    assert [stable.hash for stable in story.state.stable] == [version(2).hash, version(1).hash]


def test_while_a_release_is_in_progress_it_is_that_which_is_suspect() -> None:
    story = held()
    assert [stable.hash for stable in story.state.stable] == [version(1).hash]


def test_an_outage_or_a_person_makes_nothing_suspect() -> None:
    story = begun()
    story.completes()
    story.goes("1s")
    for changes in ({"slos": LOST}, {"slos": FINE, "rollout": replace(ROLLOUT, hold_reason="")}):
        story.goes("1s", **changes)
        assert len(story.state.stable) == 2


# A restart


def test_a_started_operator_continues_with_the_hold_that_it_finds() -> None:
    story = held()
    resumed = GateStory(state=story.state, seen=story.seen, slos=FINE, now=story.now)
    assert resumed.acts("1s") == []
    assert resumed.state.gate.reason is Reason.RECOVERING
    assert resumed.state.hold.lost_at == ()


def test_one_that_died_between_its_hold_and_telling_it_finds_its_own_hold() -> None:
    story = begun()
    untold = story.state
    story.seen = replace(story.seen, held_by_us=True, paused=True)
    resumed = GateStory(state=untold, seen=story.seen, slos=BURNING, now=story.now)
    assert resumed.acts("1s") == []
    assert resumed.state.hold.active


def test_one_without_a_status_decides_afresh_and_releases_what_nothing_asks_for() -> None:
    story = held()
    assert GateStory(seen=story.seen, slos=BURNING).acts() == []
    assert GateStory(seen=story.seen, slos=FINE).acts() == RELEASE


def test_a_missing_workload_is_judged_and_nothing_is_done() -> None:
    story = held()
    assert story.acts("1s", seen=MISSING) == []
    assert story.state.gate.reason is Reason.BURNING_FAST
    assert story.state.release is None


def test_a_release_that_completes_under_a_hold_gives_the_hold_back() -> None:
    story = held()
    story.completes()
    assert story.acts("1s") == RELEASE
    assert story.state.release is None


def test_calm_follows_the_strictest_of_several_policies() -> None:
    calm = replace(BURNING[0].policy, calm=Duration.parse("1h"))
    slos = (replace(BURNING[0], policy=calm), slo(name="other"))
    story = GateStory()
    story.goes(slos=slos)
    assert story.state.memory.calm_required == Duration.parse("1h")


def test_recovering_lasts_across_rounds_of_a_gate_without_a_release() -> None:
    story = GateStory(state=RolloutState(memory=burn_hold("9m")))
    assert not story.goes().record.admits
    assert not story.goes("59s").record.admits
    assert story.goes("1s").record.admits
    assert story.now == NOW + span("1m")


def test_the_phase_of_a_release_that_failed_is_no_end_of_it() -> None:
    story = begun()
    story.seen = replace(story.seen, phase=Phase.FAILED)
    assert story.acts("1s", slos=BURNING) == HOLD


# Why the release goes on or does not


def test_the_release_shows_its_own_reason_separately_from_the_gates() -> None:
    story = begun()
    assert story.state.release.reason is Reason.BUDGET_HEALTHY
    story.goes("1s", slos=BURNING)
    assert story.state.release.reason is Reason.BURNING_FAST
    story.release(1)
    story.goes("1s")
    assert story.state.gate.reason is Reason.BURNING_FAST
    assert story.state.release is None

    past = GateStory(slos=(slo("-0.2"),))
    past.goes()
    past.release()
    past.acts("1s")
    assert past.state.gate.reason is Reason.BUDGET_EXHAUSTED
    assert past.state.release.reason is Reason.ADMITTED_WHILE_CLOSED
    past.acts("1s", rollout=replace(ROLLOUT, mode=Mode.OFF))
    assert past.state.release.reason is None


# Whom a hold is for


def test_a_hold_remembers_the_slos_that_crossed_for_either_question() -> None:
    policy = Policy(in_flight=InFlightPolicy(Percentage.parse("5%")))
    slos = (
        slo("0.04", "2", policy=policy, name="low"),
        slo(looks=HOT_FAST, name="hot"),
        slo(name="fine"),
    )
    story = begun()
    story.goes("10s", slos=slos)
    assert story.state.memory.held_by == ("hot", "low")


def test_a_release_held_alone_remembers_for_whom() -> None:
    policy = Policy(in_flight=InFlightPolicy(Percentage.parse("5%")))
    story = begun()
    story.goes("10s", slos=(slo("0.04", "2", policy=policy, name="low"), slo(name="fine")))
    assert story.state.memory.held_by == ("low",)


def test_a_hold_is_over_although_another_slo_gets_no_traffic_any_more() -> None:
    story = GateStory()
    story.goes("1s", slos=(slo(looks=HOT_FAST, name="a"), slo(name="b")))
    resting = slo(name="b", kind=EvidenceKind.NO_TRAFFIC, total=0)
    story.goes("1s", slos=(slo(name="a"), resting))
    assert not story.last.record.admits
    assert story.goes("10m").record.admits
    assert story.state.memory.held_for is None


# What proves itself


def past_a_shut_gate() -> GateStory:
    """Version 2 completed behind a shut gate, which has just opened."""
    story = begun(rollout=replace(ROLLOUT, enforcement=Enforcement(in_flight=InFlight.OFF)))
    story.goes("10s", slos=BURNING)
    story.completes()
    story.goes("1s")
    assert [stable.hash for stable in story.state.stable] == [version(1).hash]
    story.goes("1s", slos=FINE)
    story.goes("10m")
    assert story.state.gate.state is GateState.OPEN
    return story


def test_what_completed_past_a_closed_gate_is_stable_after_a_calm_time_of_permit() -> None:
    story = past_a_shut_gate()
    story.goes("9m59s")
    assert len(story.state.stable) == 1
    record = story.goes("1s").record
    hashes = [version(2).hash, version(1).hash]
    assert [stable.hash for stable in story.state.stable] == hashes
    assert [stable.hash for stable, _ in record.templates] == hashes


@pytest.mark.parametrize("slos", [(slo(kind=EvidenceKind.NO_TRAFFIC),), LOST, SPENT])
def test_nothing_proves_itself_without_evidence(slos: Any) -> None:
    story = past_a_shut_gate()
    story.goes("5m", slos=slos)
    story.goes("1h")
    assert len(story.state.stable) == 1
    assert story.state.proving_since is None


def test_what_is_off_proves_nothing() -> None:
    story = past_a_shut_gate()
    assert story.state.proving_since is not None
    story.goes("1s", rollout=replace(ROLLOUT, mode=Mode.OFF))
    assert story.state.proving_since is None

"""When a decision has to be looked at again, and in which order its actions come."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from penstock.domain.actions import HoldWorkload, ReleaseWorkload, WriteGateRecord, WriteStatus
from penstock.domain.decision import SloEvidence
from penstock.domain.effective_policy import UnknownRule
from penstock.domain.evidence import EvidenceKind
from penstock.domain.policy import UnknownThen
from penstock.domain.quantities import Duration
from penstock.domain.rollout import Mode, OnExternalResume
from penstock.domain.verdict import GateState
from support.decision_fixtures import HOT_FAST, slo, span, unmeasured
from support.rollout_fixtures import ROLLOUT, GateStory

BURNING = (slo(looks=HOT_FAST),)
FINE = (slo(),)
LOST = (unmeasured(),)
MILLISECOND = timedelta(milliseconds=1)


def looked_at_again(story: GateStory) -> timedelta | None:
    """How long after the last round."""
    assert story.last is not None
    at = story.last.look_again_at
    return None if at is None else at - story.now


def held() -> GateStory:
    """The release of version 2 burns, and is held."""
    story = GateStory()
    story.goes()
    story.release()
    story.goes("10s")
    story.acts("10s", slos=BURNING)
    return story


def test_a_gate_at_rest_changes_by_new_input_alone() -> None:
    story = GateStory()
    story.goes()
    assert looked_at_again(story) is None


def test_while_it_burns_no_calm_is_waited_for() -> None:
    assert looked_at_again(held()) is None


def test_a_calm_ends_a_hold_at_its_moment_and_not_before() -> None:
    story = held()
    story.goes("10s", slos=FINE)
    assert looked_at_again(story) == span("10m")
    story.goes("4m")
    assert looked_at_again(story) == span("6m")
    story.now += span("6m") - MILLISECOND
    assert story.goes().workload_action is None
    assert looked_at_again(story) == MILLISECOND
    story.now += MILLISECOND
    assert isinstance(story.goes().workload_action, ReleaseWorkload)


def test_the_last_verdict_is_kept_until_its_moment() -> None:
    story = GateStory()
    story.goes()
    story.release()
    story.goes("10s")
    story.goes("10s", slos=LOST)
    assert looked_at_again(story) == span("5m")
    story.now += span("5m") - MILLISECOND
    assert story.goes().workload_action is None
    story.now += MILLISECOND
    assert isinstance(story.goes().workload_action, HoldWorkload)


def test_of_several_moments_the_first_counts() -> None:
    story = held()
    story.goes("10s", slos=FINE)
    story.goes("7m", slos=(unmeasured(name="a"), slo(name="b")))
    assert looked_at_again(story) == span("5m")
    sooner = kept(unmeasured(name="c"), "3m")
    story.goes("0s", slos=(unmeasured(name="a"), sooner))
    assert looked_at_again(story) == span("3m")


def test_an_slo_that_is_measured_keeps_no_last_verdict() -> None:
    story = GateStory()
    story.goes()
    story.goes("10s", slos=(unmeasured(name="a"), kept(slo(name="b"), "3m")))
    assert looked_at_again(story) == span("5m")


def kept(slo: SloEvidence, keep_last: str) -> SloEvidence:
    """The same SLO, with a policy that keeps the last verdict for so long."""
    assert slo.policy is not None
    rule = UnknownRule(Duration.parse(keep_last), UnknownThen.HOLD)
    return replace(slo, policy=replace(slo.policy, outage=rule, thin=rule))


def test_a_moment_that_is_past_is_not_looked_at_again() -> None:
    story = GateStory(slos=LOST)
    story.goes()
    assert looked_at_again(story) == span("5m")
    story.goes("5m")
    assert looked_at_again(story) is None


def test_thin_evidence_that_is_not_kept_at_all_has_no_moment() -> None:
    story = GateStory(slos=(slo(kind=EvidenceKind.NO_TRAFFIC, total=0),))
    story.goes()
    assert looked_at_again(story) is None


def lost(times: int, *, every: str) -> GateStory:
    """A hold that a machine undoes so often; the Rollout insists on it."""
    story = held()
    story.rollout = replace(ROLLOUT, on_external_resume=OnExternalResume.ENFORCE)
    for number in range(times):
        story.seen = replace(story.seen, held_by_us=False, paused=False)
        story.goes(every)
        if number < times - 1:
            story.seen = replace(story.seen, held_by_us=True, paused=True)
            story.goes()
    return story


def test_a_hold_that_was_lost_once_is_recreated_at_once() -> None:
    story = lost(1, every="10s")
    assert story.last is not None
    assert isinstance(story.last.workload_action, HoldWorkload)
    assert looked_at_again(story) is None


def test_a_hold_that_was_lost_twice_is_tried_again_after_half_a_minute() -> None:
    story = lost(2, every="1m")
    assert story.last is not None
    assert story.last.workload_action is None
    assert looked_at_again(story) == span("30s")
    story.now += span("30s") - MILLISECOND
    assert story.goes().workload_action is None
    story.now += MILLISECOND
    assert isinstance(story.goes().workload_action, HoldWorkload)


def test_a_loss_that_is_forgotten_meanwhile_ends_the_wait() -> None:
    story = lost(2, every="9m50s")
    assert looked_at_again(story) == span("10s")
    story.now += span("10s")
    assert isinstance(story.goes().workload_action, HoldWorkload)


def test_a_hold_in_force_is_not_tried_again_for_losses_of_before() -> None:
    story = lost(2, every="1m")
    story.goes("30s")
    story.seen = replace(story.seen, held_by_us=True, paused=True)
    story.goes("1s")
    assert looked_at_again(story) is None


def test_a_template_is_proven_at_its_moment() -> None:
    story = GateStory()
    story.goes()
    story.goes("10s", slos=BURNING)
    story.release()
    story.goes("10s")
    story.completes()
    story.goes("10s")
    story.goes("10s", slos=FINE)
    story.goes("10m")
    gate = story.state.gate
    assert gate is not None
    assert gate.state is GateState.OPEN
    number = len(story.state.stable)
    assert looked_at_again(story) == span("10m")
    story.now += span("10m") - MILLISECOND
    story.goes()
    assert len(story.state.stable) == number
    story.now += MILLISECOND
    story.goes()
    assert len(story.state.stable) == number + 1
    assert looked_at_again(story) is None


def test_what_enforces_nothing_waits_for_nothing() -> None:
    story = held()
    story.goes("10s", slos=FINE)
    story.rollout = replace(ROLLOUT, mode=Mode.OFF)
    story.goes("10s")
    assert looked_at_again(story) is None


def kinds(story: GateStory) -> list[type]:
    """The actions of the last round, in their order."""
    assert story.last is not None
    return [type(action) for action in story.last.actions]


def test_admissions_record_comes_before_the_status() -> None:
    story = GateStory()
    story.goes()
    assert kinds(story) == [WriteGateRecord, WriteStatus]


def test_a_hold_comes_before_the_status_that_shows_it() -> None:
    story = GateStory()
    story.goes()
    story.release()
    story.goes("10s")
    story.goes("10s", slos=BURNING)
    assert kinds(story) == [WriteGateRecord, HoldWorkload]


def test_the_status_comes_before_the_release_that_it_shows() -> None:
    story = held()
    story.goes("10s", slos=FINE)
    story.goes("10m")
    assert kinds(story) == [WriteGateRecord, WriteStatus, ReleaseWorkload]


def test_a_record_is_known_by_state_and_reason() -> None:
    story = GateStory()
    story.goes()
    assert story.last is not None
    first = story.last.actions[0]
    assert isinstance(first, WriteGateRecord)
    assert first.decision == "Open BudgetHealthy"
    assert first.record == story.last.record

"""Releases begin, complete, slip through, return; stable templates are kept, dropped, renamed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.domain.decision import ReleaseOrigin
from penstock.domain.memory import HoldCause, Memory
from penstock.domain.quantities import Duration
from penstock.domain.release_tracking import (
    drop_from_stable,
    is_stable,
    observe_workload,
    update_probation,
)
from penstock.domain.rollout_state import Gate, Hold, RolloutState
from penstock.domain.verdict import GateState, Reason, Verdict
from penstock.domain.workload import Phase
from support.decision_fixtures import NOW, span
from support.rollout_fixtures import MISSING, version, workload_state

V1, V2, V3 = (version(number) for number in (1, 2, 3))
ROLLING = Phase.ROLLING
VERDICTS = {
    GateState.OPEN: (Verdict.PERMIT, Reason.BUDGET_HEALTHY),
    GateState.CLOSED: (Verdict.HOLD, Reason.BUDGET_EXHAUSTED),
    GateState.UNKNOWN: (Verdict.UNKNOWN, Reason.METRICS_UNREACHABLE),
}


def gate(state: GateState) -> Gate:
    verdict, reason = VERDICTS[state]
    return Gate(verdict, state, reason, "checkout", "", NOW, NOW)


def shut(standing: RolloutState, state: GateState = GateState.CLOSED) -> RolloutState:
    return replace(standing, gate=gate(state))


def stable(state: RolloutState) -> list[str]:
    return [one.hash for one in state.stable]


def running(*versions, state: GateState = GateState.OPEN) -> RolloutState:
    """These versions ran completely, one after the other."""
    standing = RolloutState()
    for one in versions:
        standing = shut(observe_workload(standing, workload_state(one), NOW), state=GateState.OPEN)
    return shut(standing, state)


def rolling(state: RolloutState, present=V2, **facts) -> RolloutState:
    known = {"former_templates": (present, V1), **facts}
    return observe_workload(state, workload_state(present, ROLLING, **known), NOW + span("1m"))


def test_what_runs_when_its_rollout_is_made_is_stable_at_once() -> None:
    state = observe_workload(RolloutState(), workload_state(V1), NOW)
    assert (state.complete, stable(state), state.release) == (V1.hash, [V1.hash], None)
    assert state.stable[0].images == ("checkout:1",)
    assert state.stable[0].source == "checkout-1"
    assert state.bodies == {V1.hash: V1}


@pytest.mark.parametrize("state", [None, *GateState])
def test_what_ran_before_anything_was_judged_is_stable_whatever_the_gate_says(state) -> None:
    before = RolloutState() if state is None else RolloutState(gate=gate(state))
    assert stable(observe_workload(before, workload_state(V1), NOW)) == [V1.hash]


def test_the_workload_is_reported_as_it_was_seen() -> None:
    seen = observe_workload(
        RolloutState(), workload_state(V1, ROLLING, updated=2, total=3), NOW
    ).workload
    assert seen is not None
    assert (seen.name, seen.uid, seen.phase) == ("Deployment/checkout", "d1", ROLLING)
    assert (seen.updated, seen.total) == (2, 3)


def test_a_release_begins_with_a_new_template() -> None:
    release = rolling(running(V1)).release
    assert release is not None
    assert (release.id, release.from_hash) == (V2.hash, V1.hash)
    assert (release.started_at, release.origin) == (NOW + span("1m"), ReleaseOrigin.ADMITTED)


def test_a_release_keeps_its_beginning() -> None:
    state = rolling(running(V1))
    again = observe_workload(
        state, workload_state(V2, ROLLING, former_templates=(V2, V1)), NOW + span("5m")
    )
    assert again.release == state.release


def test_another_template_in_the_middle_is_another_release_from_the_same_stable_one() -> None:
    release = rolling(rolling(running(V1)), V3).release
    assert release is not None
    assert (release.id, release.from_hash) == (V3.hash, V1.hash)


@pytest.mark.parametrize("phase", [ROLLING, Phase.SCALING, Phase.PENDING, Phase.FAILED])
def test_what_is_complete_is_not_a_release_while_it_scales_or_loses_pods(phase: Phase) -> None:
    standing = observe_workload(running(V1), workload_state(V1, phase), NOW)
    assert (standing.release, standing.complete) == (None, V1.hash)


def test_a_release_completes_and_is_the_newest_stable_template() -> None:
    state = observe_workload(
        rolling(running(V1)), workload_state(V2, former_templates=(V2, V1)), NOW + span("2m")
    )
    assert (state.release, state.complete) == (None, V2.hash)
    assert stable(state) == [V2.hash, V1.hash]
    assert state.stable[0].completed_at == NOW + span("2m")
    assert set(state.bodies) == {V1.hash, V2.hash}


def test_a_release_that_completes_while_the_gate_is_closed_is_not_stable() -> None:
    state = observe_workload(
        shut(rolling(running(V1))), workload_state(V2, former_templates=(V2, V1)), NOW
    )
    assert (state.complete, stable(state)) == (V2.hash, [V1.hash])
    assert not is_stable(state, V2.hash)
    later = observe_workload(
        shut(state, GateState.OPEN), workload_state(V2, former_templates=(V2, V1)), NOW
    )
    assert stable(later) == [V1.hash]


def test_evidence_that_goes_missing_during_a_hold_makes_nothing_stable() -> None:
    before = shut(rolling(running(V1)), GateState.UNKNOWN)
    held = replace(before, memory=Memory(held_for=HoldCause.BURN))
    assert stable(observe_workload(held, workload_state(V2, former_templates=(V2, V1)), NOW)) == [
        V1.hash
    ]
    assert stable(observe_workload(before, workload_state(V2, former_templates=(V2, V1)), NOW)) == [
        V2.hash,
        V1.hash,
    ]


def test_a_return_completes_also_while_the_gate_is_closed_and_is_the_newest_again() -> None:
    before = shut(rolling(running(V1, V2), V1, former_templates=(V1, V2)))
    state = observe_workload(
        before, workload_state(V1, former_templates=(V1, V2)), NOW + span("2m")
    )
    assert (state.complete, stable(state)) == (V1.hash, [V1.hash, V2.hash])


def test_no_more_than_five_are_kept_and_their_bodies_with_them() -> None:
    versions = [version(number) for number in range(1, 9)]
    state = running(*versions)
    assert stable(state) == [template.hash for template in reversed(versions[3:])]
    assert set(state.bodies) == set(stable(state))


def test_a_suspect_is_dropped_when_the_gate_closes_on_it() -> None:
    assert stable(drop_from_stable(running(V1, V2))) == [V1.hash]


def test_the_only_template_known_is_kept() -> None:
    assert stable(drop_from_stable(running(V1))) == [V1.hash]


def test_what_does_not_run_is_no_suspect() -> None:
    other = replace(running(V1, V2), complete=V3.hash)
    assert stable(drop_from_stable(other)) == [V2.hash, V1.hash]


def test_a_dropped_suspect_does_not_come_back_while_it_runs() -> None:
    standing = drop_from_stable(running(V1, V2))
    for state in (GateState.CLOSED, GateState.OPEN):
        assert stable(
            observe_workload(
                shut(standing, state), workload_state(V2, former_templates=(V2, V1)), NOW
            )
        ) == [V1.hash]


# What proves itself


CALM = Duration.parse("10m")


def suspected() -> RolloutState:
    """Version 2 completed while the gate was closed; only version 1 is stable."""
    return observe_workload(
        shut(rolling(running(V1))), workload_state(V2, former_templates=(V2, V1)), NOW
    )


def proves(state: RolloutState, after: str, seen=None, *, permitted: bool = True) -> RolloutState:
    seen = seen or workload_state(V2, former_templates=(V2, V1))
    now = NOW + span(after)
    known = observe_workload(state, seen, now)
    return update_probation(known, seen, permitted=permitted, calm=CALM, now=now)


def test_what_runs_on_while_the_gate_permits_for_a_whole_calm_time_is_stable() -> None:
    state = proves(suspected(), "1s")
    assert (stable(state), state.proving_since) == ([V1.hash], NOW + span("1s"))
    state = proves(state, "10m")
    assert (stable(state), state.proving_since) == ([V1.hash], NOW + span("1s"))
    state = proves(state, "10m1s")
    assert (stable(state), state.proving_since) == ([V2.hash, V1.hash], None)
    assert state.stable[0].completed_at == NOW + span("10m1s")
    assert state.bodies == {V1.hash: V1, V2.hash: V2}


def test_a_suspect_that_the_gate_closed_on_proves_itself_alike() -> None:
    state = proves(proves(drop_from_stable(running(V1, V2)), "0s"), "10m")
    assert stable(state) == [V2.hash, V1.hash]


def test_anything_but_a_permit_restarts_the_time() -> None:
    state = proves(proves(suspected(), "0s"), "9m", permitted=False)
    assert (stable(state), state.proving_since) == ([V1.hash], None)
    state = proves(proves(state, "9m1s"), "19m")
    assert stable(state) == [V1.hash]


@pytest.mark.parametrize("phase", [ROLLING, Phase.SCALING, Phase.FAILED])
def test_scaling_and_lost_pods_do_not_restart_the_time(phase: Phase) -> None:
    standing = proves(suspected(), "0s")
    standing = proves(standing, "5m", workload_state(V2, phase, former_templates=(V2, V1)))
    assert stable(proves(standing, "10m")) == [V2.hash, V1.hash]


def test_another_template_restarts_the_time() -> None:
    state = proves(suspected(), "0s")
    state = proves(state, "5m", workload_state(V3, ROLLING, former_templates=(V3, V2, V1)))
    assert (stable(state), state.proving_since) == ([V1.hash], None)


def test_what_is_stable_or_gone_has_nothing_to_prove() -> None:
    assert proves(running(V1, V2), "0s").proving_since is None
    gone = proves(proves(suspected(), "0s"), "5m", MISSING)
    assert (stable(gone), gone.proving_since) == ([V1.hash], None)


def test_a_clock_that_was_set_back_proves_nothing_earlier() -> None:
    state = replace(suspected(), proving_since=NOW + span("1h"))
    assert proves(state, "0s").proving_since == NOW


# New defaults of the API server


def test_stable_templates_are_re_read_where_the_api_server_has_new_defaults() -> None:
    state = running(V1, V2)
    now1, now2 = version(1, terminationMessagePolicy="File"), version(2, pullPolicy="Always")
    assert {now1.hash, now2.hash}.isdisjoint({V1.hash, V2.hash})
    after = observe_workload(state, workload_state(now2, former_templates=(now2, now1)), NOW)
    assert (after.release, after.complete) == (None, now2.hash)
    assert stable(after) == [now2.hash, now1.hash]
    assert set(after.bodies) == {now1.hash, now2.hash}
    assert after.stable[0].completed_at == state.stable[0].completed_at


def test_what_ran_is_known_under_its_new_hash_in_the_middle_of_a_release_too() -> None:
    now1 = version(1, terminationMessagePolicy="File")
    for state in (running(V1), rolling(running(V1))):
        after = observe_workload(
            state, workload_state(V3, ROLLING, former_templates=(V3, now1)), NOW
        )
        assert after.complete == now1.hash
        assert after.release is not None
        assert after.release.from_hash == now1.hash
    scaling = observe_workload(
        running(V1), workload_state(now1, Phase.SCALING, former_templates=(now1,)), NOW
    )
    assert scaling.release is None


def test_a_stable_template_whose_replica_set_is_gone_stays_as_it_was() -> None:
    now2 = version(2, pullPolicy="Always")
    after = observe_workload(running(V1, V2), workload_state(now2, former_templates=(now2,)), NOW)
    assert stable(after) == [now2.hash, V1.hash]
    assert set(after.bodies) == {now2.hash, V1.hash}


def test_templates_without_a_source_are_never_taken_for_one_another() -> None:
    bare, other = version(1, ""), version(2, "")
    state = observe_workload(
        running(bare), workload_state(other, ROLLING, former_templates=(other,)), NOW
    )
    assert state.release is not None
    assert stable(state) == [bare.hash]


# First releases, and Rollouts that come late


def test_a_workload_that_never_was_complete_makes_its_first_release() -> None:
    workload = workload_state(V1, ROLLING, ever_complete=False)
    release = observe_workload(RolloutState(), workload, NOW).release
    assert release is not None
    assert (release.id, release.from_hash) == (V1.hash, "")


def test_a_first_release_that_is_corrected_is_still_the_first() -> None:
    before = observe_workload(RolloutState(), workload_state(V1, ROLLING, ever_complete=False), NOW)
    workload = workload_state(V2, ROLLING, former_templates=(V2, V1), ever_complete=False)
    release = observe_workload(before, workload, NOW).release
    assert release is not None
    assert (release.id, release.from_hash) == (V2.hash, "")


def test_a_first_release_that_is_recreated_is_still_the_first() -> None:
    before = observe_workload(RolloutState(), workload_state(V1, ROLLING, ever_complete=False), NOW)
    for present in (V1, V2):
        release = observe_workload(
            before, workload_state(present, ROLLING, uid="d2", ever_complete=False), NOW
        ).release
        assert release is not None
        assert (release.id, release.from_hash) == (present.hash, "")
        assert release.origin is ReleaseOrigin.ADMITTED


def test_a_rollout_made_in_the_middle_of_a_release_knows_what_ran_before_it() -> None:
    state = rolling(RolloutState())
    assert state.release is not None
    assert (state.release.id, state.release.from_hash) == (V2.hash, V1.hash)
    assert (state.complete, stable(state)) == (V1.hash, [V1.hash])


def test_a_running_workload_without_history_makes_no_first_release() -> None:
    """Pods are missing as its Rollout is made: a node died, or it was restarted."""
    state = observe_workload(RolloutState(), workload_state(V1, Phase.SCALING), NOW)
    assert (state.release, state.complete, stable(state)) == (None, V1.hash, [V1.hash])


# Past a shut gate


@pytest.mark.parametrize("state", [GateState.CLOSED, GateState.UNKNOWN])
def test_a_template_that_changes_past_a_closed_gate_is_known_as_such(state: GateState) -> None:
    release = rolling(running(V1, state=state)).release
    assert release is not None
    assert release.origin is ReleaseOrigin.WHILE_CLOSED


def test_it_stays_so_until_the_gate_has_been_open_for_it() -> None:
    state = rolling(running(V1, state=GateState.CLOSED))
    state = rolling(state)
    assert state.release is not None
    assert state.release.origin is ReleaseOrigin.WHILE_CLOSED
    opened = rolling(shut(state, GateState.OPEN))
    assert opened.release == replace(state.release, origin=ReleaseOrigin.ADMITTED)
    closed_again = rolling(shut(opened))
    assert closed_again.release == opened.release


# Workloads that vanish and come back


def test_a_missing_workload_has_no_release_and_no_hold_and_its_past_is_kept() -> None:
    before = replace(rolling(running(V1)), hold=Hold(active=True))
    gone = observe_workload(before, MISSING, NOW)
    assert (gone.release, gone.hold) == (None, Hold())
    assert (gone.complete, stable(gone)) == (V1.hash, [V1.hash])
    assert gone.workload is not None
    assert (gone.workload.phase, gone.workload.uid) == (Phase.MISSING, "d1")
    assert set(gone.bodies) == {V1.hash}


@pytest.mark.parametrize("seen_missing", [True, False])
@pytest.mark.parametrize("state", list(GateState))
def test_one_that_is_recreated_with_a_new_template_is_released_ungated(
    seen_missing: bool, state: GateState
) -> None:
    before = running(V1, state=state)
    if seen_missing:
        before = observe_workload(before, MISSING, NOW)
    release = rolling(before, uid="d2").release
    assert release is not None
    assert (release.origin, release.from_hash) == (ReleaseOrigin.RECREATED, V1.hash)


def test_a_release_in_progress_that_is_recreated_is_released_ungated() -> None:
    before = rolling(running(V1))
    release = rolling(shut(before), uid="d2").release
    assert release is not None
    assert release.origin is ReleaseOrigin.RECREATED


@pytest.mark.parametrize("suspect", [True, False])
@pytest.mark.parametrize("phase", [ROLLING, Phase.SCALING, Phase.COMPLETE])
def test_one_that_is_recreated_as_it_was_is_not_a_release(phase: Phase, suspect: bool) -> None:
    before = running(V1, V2)
    if suspect:
        before = shut(drop_from_stable(before))
    after = observe_workload(
        before,
        workload_state(V2, phase, uid="d2", former_templates=(V2,), ever_complete=False),
        NOW,
    )
    assert (after.release, after.complete) == (None, V2.hash)


def test_one_that_is_recreated_with_a_stable_template_is_a_return() -> None:
    before = shut(observe_workload(running(V1, V2), MISSING, NOW), GateState.OPEN)
    release = rolling(before, V1, uid="d2").release
    assert release is not None
    assert release.origin is ReleaseOrigin.ADMITTED
    assert is_stable(before, release.id)


def test_one_that_cannot_be_read_has_no_release() -> None:
    assert (
        observe_workload(rolling(running(V1)), workload_state(V2, template=None), NOW).release
        is None
    )

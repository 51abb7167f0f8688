"""Releases begin, complete, slip through, return; stable templates are kept, dropped, renamed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.domain.case import Onset
from penstock.domain.memory import Cause, Memory
from penstock.domain.progress import follow, is_stable, proving, without_suspect
from penstock.domain.quantities import Duration
from penstock.domain.standing import Gate, Hold, Standing
from penstock.domain.verdict import GateState, Reason, Verdict
from penstock.domain.workload import Phase
from support.cases import NOW, span
from support.standings import MISSING, saw, version

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


def shut(standing: Standing, state: GateState = GateState.CLOSED) -> Standing:
    return replace(standing, gate=gate(state))


def stable(standing: Standing) -> list[str]:
    return [one.hash for one in standing.stable]


def running(*versions, state: GateState = GateState.OPEN) -> Standing:
    """These versions ran completely, one after the other."""
    standing = Standing()
    for one in versions:
        standing = shut(follow(standing, saw(one), NOW), state=GateState.OPEN)
    return shut(standing, state)


def rolling(standing: Standing, present=V2, **facts) -> Standing:
    known = {"ran": (present, V1), **facts}
    return follow(standing, saw(present, ROLLING, **known), NOW + span("1m"))


def test_what_runs_when_its_rollout_is_made_is_stable_at_once() -> None:
    standing = follow(Standing(), saw(V1), NOW)
    assert (standing.complete, stable(standing), standing.release) == (V1.hash, [V1.hash], None)
    assert standing.stable[0].images == ("checkout:1",)
    assert standing.stable[0].source == "checkout-1"
    assert standing.bodies == {V1.hash: V1}


@pytest.mark.parametrize("state", [None, *GateState])
def test_what_ran_before_anything_was_judged_is_stable_whatever_the_gate_says(state) -> None:
    before = Standing() if state is None else Standing(gate=gate(state))
    assert stable(follow(before, saw(V1), NOW)) == [V1.hash]


def test_the_workload_is_told_as_it_was_seen() -> None:
    seen = follow(Standing(), saw(V1, ROLLING, updated=2, total=3), NOW).workload
    assert seen is not None
    assert (seen.name, seen.uid, seen.phase) == ("Deployment/checkout", "d1", ROLLING)
    assert (seen.updated, seen.total) == (2, 3)


def test_a_release_begins_with_a_new_template() -> None:
    release = rolling(running(V1)).release
    assert release is not None
    assert (release.id, release.from_hash) == (V2.hash, V1.hash)
    assert (release.started_at, release.onset) == (NOW + span("1m"), Onset.ADMITTED)


def test_a_release_keeps_its_beginning() -> None:
    standing = rolling(running(V1))
    again = follow(standing, saw(V2, ROLLING, ran=(V2, V1)), NOW + span("5m"))
    assert again.release == standing.release


def test_another_template_in_the_middle_is_another_release_from_the_same_stable_one() -> None:
    release = rolling(rolling(running(V1)), V3).release
    assert release is not None
    assert (release.id, release.from_hash) == (V3.hash, V1.hash)


@pytest.mark.parametrize("phase", [ROLLING, Phase.SCALING, Phase.PENDING, Phase.FAILED])
def test_what_is_complete_is_no_release_while_it_scales_or_loses_pods(phase: Phase) -> None:
    standing = follow(running(V1), saw(V1, phase), NOW)
    assert (standing.release, standing.complete) == (None, V1.hash)


def test_a_release_completes_and_is_the_newest_stable_template() -> None:
    standing = follow(rolling(running(V1)), saw(V2, ran=(V2, V1)), NOW + span("2m"))
    assert (standing.release, standing.complete) == (None, V2.hash)
    assert stable(standing) == [V2.hash, V1.hash]
    assert standing.stable[0].completed_at == NOW + span("2m")
    assert set(standing.bodies) == {V1.hash, V2.hash}


def test_a_release_that_completes_while_the_gate_is_closed_is_not_stable() -> None:
    standing = follow(shut(rolling(running(V1))), saw(V2, ran=(V2, V1)), NOW)
    assert (standing.complete, stable(standing)) == (V2.hash, [V1.hash])
    assert not is_stable(standing, V2.hash)
    later = follow(shut(standing, GateState.OPEN), saw(V2, ran=(V2, V1)), NOW)
    assert stable(later) == [V1.hash]


def test_evidence_that_goes_missing_during_a_hold_makes_nothing_stable() -> None:
    before = shut(rolling(running(V1)), GateState.UNKNOWN)
    held = replace(before, memory=Memory(held_for=Cause.BURN))
    assert stable(follow(held, saw(V2, ran=(V2, V1)), NOW)) == [V1.hash]
    assert stable(follow(before, saw(V2, ran=(V2, V1)), NOW)) == [V2.hash, V1.hash]


def test_a_return_completes_also_while_the_gate_is_closed_and_is_the_newest_again() -> None:
    before = shut(rolling(running(V1, V2), V1, ran=(V1, V2)))
    standing = follow(before, saw(V1, ran=(V1, V2)), NOW + span("2m"))
    assert (standing.complete, stable(standing)) == (V1.hash, [V1.hash, V2.hash])


def test_no_more_than_five_are_kept_and_their_bodies_with_them() -> None:
    versions = [version(number) for number in range(1, 9)]
    standing = running(*versions)
    assert stable(standing) == [one.hash for one in reversed(versions[3:])]
    assert set(standing.bodies) == set(stable(standing))


def test_a_suspect_is_dropped_when_the_gate_closes_on_it() -> None:
    assert stable(without_suspect(running(V1, V2))) == [V1.hash]


def test_the_only_template_known_is_kept() -> None:
    assert stable(without_suspect(running(V1))) == [V1.hash]


def test_what_does_not_run_is_no_suspect() -> None:
    other = replace(running(V1, V2), complete=V3.hash)
    assert stable(without_suspect(other)) == [V2.hash, V1.hash]


def test_a_dropped_suspect_does_not_come_back_while_it_runs() -> None:
    standing = without_suspect(running(V1, V2))
    for state in (GateState.CLOSED, GateState.OPEN):
        assert stable(follow(shut(standing, state), saw(V2, ran=(V2, V1)), NOW)) == [V1.hash]


# What proves itself


CALM = Duration.parse("10m")


def suspected() -> Standing:
    """Version 2 completed while the gate was closed; only version 1 is stable."""
    return follow(shut(rolling(running(V1))), saw(V2, ran=(V2, V1)), NOW)


def proves(standing: Standing, after: str, seen=None, *, permitted: bool = True) -> Standing:
    seen = seen or saw(V2, ran=(V2, V1))
    now = NOW + span(after)
    known = follow(standing, seen, now)
    return proving(known, seen, permitted=permitted, calm=CALM, now=now)


def test_what_runs_on_while_the_gate_permits_for_a_whole_calm_time_is_stable() -> None:
    standing = proves(suspected(), "1s")
    assert (stable(standing), standing.proving_since) == ([V1.hash], NOW + span("1s"))
    standing = proves(standing, "10m")
    assert (stable(standing), standing.proving_since) == ([V1.hash], NOW + span("1s"))
    standing = proves(standing, "10m1s")
    assert (stable(standing), standing.proving_since) == ([V2.hash, V1.hash], None)
    assert standing.stable[0].completed_at == NOW + span("10m1s")
    assert standing.bodies == {V1.hash: V1, V2.hash: V2}


def test_a_suspect_that_the_gate_closed_on_proves_itself_alike() -> None:
    standing = proves(proves(without_suspect(running(V1, V2)), "0s"), "10m")
    assert stable(standing) == [V2.hash, V1.hash]


def test_anything_but_a_permit_begins_the_time_anew() -> None:
    standing = proves(proves(suspected(), "0s"), "9m", permitted=False)
    assert (stable(standing), standing.proving_since) == ([V1.hash], None)
    standing = proves(proves(standing, "9m1s"), "19m")
    assert stable(standing) == [V1.hash]


@pytest.mark.parametrize("phase", [ROLLING, Phase.SCALING, Phase.FAILED])
def test_scaling_and_lost_pods_do_not_begin_the_time_anew(phase: Phase) -> None:
    standing = proves(suspected(), "0s")
    standing = proves(standing, "5m", saw(V2, phase, ran=(V2, V1)))
    assert stable(proves(standing, "10m")) == [V2.hash, V1.hash]


def test_another_template_begins_the_time_anew() -> None:
    standing = proves(suspected(), "0s")
    standing = proves(standing, "5m", saw(V3, ROLLING, ran=(V3, V2, V1)))
    assert (stable(standing), standing.proving_since) == ([V1.hash], None)


def test_what_is_stable_or_gone_has_nothing_to_prove() -> None:
    assert proves(running(V1, V2), "0s").proving_since is None
    gone = proves(proves(suspected(), "0s"), "5m", MISSING)
    assert (stable(gone), gone.proving_since) == ([V1.hash], None)


def test_a_clock_that_was_set_back_proves_nothing_earlier() -> None:
    standing = replace(suspected(), proving_since=NOW + span("1h"))
    assert proves(standing, "0s").proving_since == NOW


# New defaults of the API server


def test_stable_templates_are_re_read_where_the_api_server_has_new_defaults() -> None:
    standing = running(V1, V2)
    now1, now2 = version(1, terminationMessagePolicy="File"), version(2, pullPolicy="Always")
    assert {now1.hash, now2.hash}.isdisjoint({V1.hash, V2.hash})
    after = follow(standing, saw(now2, ran=(now2, now1)), NOW)
    assert (after.release, after.complete) == (None, now2.hash)
    assert stable(after) == [now2.hash, now1.hash]
    assert set(after.bodies) == {now1.hash, now2.hash}
    assert after.stable[0].completed_at == standing.stable[0].completed_at


def test_what_ran_is_known_under_its_new_hash_in_the_middle_of_a_release_too() -> None:
    now1 = version(1, terminationMessagePolicy="File")
    for one in (running(V1), rolling(running(V1))):
        after = follow(one, saw(V3, ROLLING, ran=(V3, now1)), NOW)
        assert after.complete == now1.hash
        assert after.release is not None
        assert after.release.from_hash == now1.hash
    scaling = follow(running(V1), saw(now1, Phase.SCALING, ran=(now1,)), NOW)
    assert scaling.release is None


def test_a_stable_template_whose_replica_set_is_gone_stays_as_it_was() -> None:
    now2 = version(2, pullPolicy="Always")
    after = follow(running(V1, V2), saw(now2, ran=(now2,)), NOW)
    assert stable(after) == [now2.hash, V1.hash]
    assert set(after.bodies) == {now2.hash, V1.hash}


def test_templates_without_a_source_are_never_taken_for_one_another() -> None:
    bare, other = version(1, ""), version(2, "")
    standing = follow(running(bare), saw(other, ROLLING, ran=(other,)), NOW)
    assert standing.release is not None
    assert stable(standing) == [bare.hash]


# First releases, and Rollouts that come late


def test_a_workload_that_never_was_complete_makes_its_first_release() -> None:
    seen = saw(V1, ROLLING, ever_complete=False)
    release = follow(Standing(), seen, NOW).release
    assert release is not None
    assert (release.id, release.from_hash) == (V1.hash, "")


def test_a_first_release_that_is_corrected_is_still_the_first() -> None:
    before = follow(Standing(), saw(V1, ROLLING, ever_complete=False), NOW)
    seen = saw(V2, ROLLING, ran=(V2, V1), ever_complete=False)
    release = follow(before, seen, NOW).release
    assert release is not None
    assert (release.id, release.from_hash) == (V2.hash, "")


def test_a_first_release_that_is_made_anew_is_still_the_first() -> None:
    before = follow(Standing(), saw(V1, ROLLING, ever_complete=False), NOW)
    for present in (V1, V2):
        release = follow(before, saw(present, ROLLING, uid="d2", ever_complete=False), NOW).release
        assert release is not None
        assert (release.id, release.from_hash) == (present.hash, "")
        assert release.onset is Onset.ADMITTED


def test_a_rollout_made_in_the_middle_of_a_release_knows_what_ran_before_it() -> None:
    standing = rolling(Standing())
    assert standing.release is not None
    assert (standing.release.id, standing.release.from_hash) == (V2.hash, V1.hash)
    assert (standing.complete, stable(standing)) == (V1.hash, [V1.hash])


def test_a_running_workload_without_history_makes_no_first_release() -> None:
    """Pods are missing as its Rollout is made: a node died, or it was restarted."""
    standing = follow(Standing(), saw(V1, Phase.SCALING), NOW)
    assert (standing.release, standing.complete, stable(standing)) == (None, V1.hash, [V1.hash])


# Past a shut gate


@pytest.mark.parametrize("state", [GateState.CLOSED, GateState.UNKNOWN])
def test_a_template_that_changes_past_a_shut_gate_is_known_as_such(state: GateState) -> None:
    release = rolling(running(V1, state=state)).release
    assert release is not None
    assert release.onset is Onset.WHILE_CLOSED


def test_it_stays_so_until_the_gate_has_been_open_for_it() -> None:
    standing = rolling(running(V1, state=GateState.CLOSED))
    standing = rolling(standing)
    assert standing.release is not None
    assert standing.release.onset is Onset.WHILE_CLOSED
    opened = rolling(shut(standing, GateState.OPEN))
    assert opened.release == replace(standing.release, onset=Onset.ADMITTED)
    closed_again = rolling(shut(opened))
    assert closed_again.release == opened.release


# Workloads that vanish and come back


def test_a_missing_workload_has_no_release_and_no_hold_and_its_past_is_kept() -> None:
    before = replace(rolling(running(V1)), hold=Hold(active=True))
    gone = follow(before, MISSING, NOW)
    assert (gone.release, gone.hold) == (None, Hold())
    assert (gone.complete, stable(gone)) == (V1.hash, [V1.hash])
    assert gone.workload is not None
    assert (gone.workload.phase, gone.workload.uid) == (Phase.MISSING, "d1")
    assert set(gone.bodies) == {V1.hash}


@pytest.mark.parametrize("seen_missing", [True, False])
@pytest.mark.parametrize("state", list(GateState))
def test_one_that_is_made_anew_with_a_new_template_is_released_ungated(
    seen_missing: bool, state: GateState
) -> None:
    before = running(V1, state=state)
    if seen_missing:
        before = follow(before, MISSING, NOW)
    release = rolling(before, uid="d2").release
    assert release is not None
    assert (release.onset, release.from_hash) == (Onset.RECREATED, V1.hash)


def test_a_release_under_way_that_is_made_anew_is_released_ungated() -> None:
    before = rolling(running(V1))
    release = rolling(shut(before), uid="d2").release
    assert release is not None
    assert release.onset is Onset.RECREATED


@pytest.mark.parametrize("suspect", [True, False])
@pytest.mark.parametrize("phase", [ROLLING, Phase.SCALING, Phase.COMPLETE])
def test_one_that_is_made_anew_as_it_was_is_no_release(phase: Phase, suspect: bool) -> None:
    before = running(V1, V2)
    if suspect:
        before = shut(without_suspect(before))
    after = follow(before, saw(V2, phase, uid="d2", ran=(V2,), ever_complete=False), NOW)
    assert (after.release, after.complete) == (None, V2.hash)


def test_one_that_is_made_anew_with_a_stable_template_is_a_return() -> None:
    before = shut(follow(running(V1, V2), MISSING, NOW), GateState.OPEN)
    release = rolling(before, V1, uid="d2").release
    assert release is not None
    assert release.onset is Onset.ADMITTED
    assert is_stable(before, release.id)


def test_one_that_cannot_be_read_has_no_release() -> None:
    assert follow(rolling(running(V1)), saw(V2, template=None), NOW).release is None

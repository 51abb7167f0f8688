"""What the watch has missed, lists find; holds whose Rollout is gone are given back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.domain.refs import ObjectRef
from penstock.errors import Forbidden, Unavailable
from support.doubles.connection import Connection, Fault, fails
from support.doubles.deployments import PREFIX
from support.doubles.measures import BURNING, EXHAUSTED, HEALTHY
from support.doubles.ports import StoredObjects
from support.rollout_fixtures import GateStory
from support.virtual.stories import SOON
from support.virtual.world import World

RELIST = 300 * 1.1 + 5


async def test_a_deletion_that_no_watch_reported_is_found_by_the_next_list(world: World) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    world.is_watched = False
    world.delete("rollouts")
    took = await world.until("it is let go", lambda: not world.workload().paused, 400)
    assert took <= RELIST
    assert world.tally.counts["penstock_swept_total"] == 1
    await world.until("it is told", lambda: world.reasons()[-1] == "HoldReleased")
    world.is_watched = True


async def test_a_watch_that_begins_again_has_its_gap_swept_at_once(world: World) -> None:
    world.deploy("other")
    world.rollout("other", workload="other")
    await world.guarded()
    world.is_watched = False
    world.delete("rollouts", "other")
    world.slo("web", objective="99.9%")
    world.watch_again()
    await world.until("it is swept", lambda: world.tally.counts["penstock_swept_total"], 2)
    await world.until("it is told", lambda: world.status(kind="slos")["observedGeneration"] == 2, 3)


async def test_what_was_made_or_changed_unseen_is_found_by_the_next_list(world: World) -> None:
    await world.guarded()
    world.is_watched = False
    world.deploy("other")
    world.rollout("other", workload="other")
    world.hold()
    await world.gate_is("Open", "BudgetHealthy", name="other", seconds=RELIST)
    await world.gate_is("Closed", "HeldByPerson", seconds=RELIST)
    world.is_watched = True


async def test_a_list_that_comes_late_undoes_nothing_that_the_watch_has_reported(
    world: World,
) -> None:
    await world.guarded()
    late = Fault(answer_seconds=10)
    world.trouble(late, "list", matches=lambda call: call.name == "slos", first=1)
    world.watch_again()
    await world.until("it is asked for", lambda: world.under_way("list"))
    await world.passes(2)
    world.slo("meanwhile")
    await world.condition_is("Ready", "True", name="meanwhile", kind="slos")
    await world.passes(15)
    assert world.tally.counts["penstock_swept_total"] == 0

    world.trouble(late, "list", matches=lambda call: call.name == "slos", first=1)
    world.watch_again()
    await world.passes(2)
    world.delete("slos", "meanwhile")
    await world.passes(15)
    asked = world.loop.time()
    await world.passes(130)
    assert world.metrics.times("meanwhile", since=asked) == []


@pytest.mark.parametrize("keep", [False, True], ids=["Release", "KeepHeld"])
async def test_a_rollout_deleted_while_nobody_was_there_is_let_go_by_the_next_one(
    world: World, keep: bool
) -> None:
    await world.guarded(onDelete="KeepHeld" if keep else "Release")
    await world.held_for_burning(BURNING)
    await world.kill()
    world.delete("rollouts")
    world.start()
    await world.passes(30)
    assert world.workload().paused is keep
    assert world.tally.counts["penstock_orphans_released_total"] == (not keep)


@pytest.mark.parametrize("keep", [False, True], ids=["Release", "KeepHeld"])
async def test_a_rollout_deleted_while_it_holds_is_let_go_and_reported_unless_it_is_to_be_kept(
    world: World, keep: bool
) -> None:
    await world.guarded(onDelete="KeepHeld" if keep else "Release")
    await world.held_for_burning(BURNING)
    world.delete("rollouts")
    await world.passes(5)
    assert world.workload().paused is keep
    assert (world.reasons()[-1] == "HoldReleased") is not keep
    assert not [1 for _, labels in world.tally.gauges if ("rollout", "web") in labels]


async def test_a_hold_in_force_learns_that_it_is_to_be_kept(world: World) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    world.edit(onDelete="KeepHeld")
    await world.until("it is marked", lambda: world.workload().kept, 3)
    world.edit(onDelete="Release")
    await world.until("it is not", lambda: not world.workload().kept, 3)


async def test_a_hold_that_cannot_be_given_back_after_a_deletion_is_tried_again(
    world: World,
) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    world.trouble(fails(lambda: Unavailable("down")), "release", first=3)
    world.delete("rollouts")
    await world.until("it is let go", lambda: not world.workload().paused, 60)


async def test_an_orphan_that_may_not_be_let_go_costs_no_other(world: World) -> None:
    await world.guarded()
    for name in ("one", "two"):
        world.deploy(name).pause(PREFIX + "of-nobody")
    world.trouble(
        fails(lambda: Forbidden("no")), "release", matches=lambda call: call.name == "one"
    )
    world.watch_again()
    await world.until("the other is let go", lambda: not world.workload("two").paused, 10)
    assert world.workload("one").paused
    world.calm()
    await world.until("it is let go", lambda: not world.workload("one").paused, RELIST)


async def test_a_namesake_of_a_deleted_rollout_begins_with_nothing_of_its_past(
    world: World,
) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    former = world.read()["metadata"]["uid"]
    world.delete("rollouts")
    world.rollout()
    await world.held("partial")
    assert world.read()["metadata"]["uid"] != former
    assert world.workload().holders == (PREFIX + world.read()["metadata"]["uid"],)
    assert [one["reason"] for one in world.status()["history"]] == ["BurningFast"]


async def test_one_that_has_not_seen_a_deletion_does_not_replace_the_namesakes_record(
    world: World,
) -> None:
    """Another replica closed it, while this one still decides for the former Rollout."""
    await world.guarded(policy=SOON)
    world.measures(EXHAUSTED)
    await world.gate_is("Closed", "BudgetExhausted")
    world.is_watched = False
    world.delete("rollouts")
    world.rollout(hold={"reason": "a migration"})
    uid = world.read()["metadata"]["uid"]
    other = StoredObjects(world.store, Connection(world.connections))
    closed = replace(GateStory().goes().record, admits=False)
    await other.write_record(ObjectRef("shop", "web", uid), closed)
    recorded = world.read("gaterecords")
    world.measures(HEALTHY)
    for _ in range(200):
        await world.passes(1)
        assert world.read("gaterecords") == recorded
    world.watch_again()
    await world.gate_is("Closed", "HeldByPerson")
    assert not world.admits()


async def test_a_workload_recreated_is_not_touched_by_the_old_hold(world: World) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    world.undeploy()
    await world.until("it is told", lambda: not world.status()["hold"]["active"], 5)
    world.deploy(tag="2")
    await world.passes(300)
    assert not world.workload().paused


async def test_an_invalid_rollout_changes_nothing_and_says_which_field(world: World) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    world.edit(policy={"resume": {"calm": "soon"}})
    told = await world.condition_is("Ready", "False", "SpecInvalid")
    assert "spec.policy.resume.calm" in told["message"]
    await world.passes(900)
    assert world.workload().paused
    assert not world.admits()
    world.edit(policy=None)
    await world.held("partial")


async def test_a_selector_finds_slos_by_their_labels_as_they_come_and_go(world: World) -> None:
    world.source()
    world.slo("one", labels={"tier": "front"})
    world.slo("two", labels={"tier": "back"})
    world.deploy()
    world.rollout(slos=(), sloSelector={"matchLabels": {"tier": "front"}})
    world.start()
    await world.gate_is("Open", "BudgetHealthy")
    world.measures(BURNING, "two")
    await world.passes(120)
    assert world.gate()["state"] == "Open"
    world.slo("two", labels={"tier": "front"})
    gate = await world.gate_is("Closed", "BurningFast", seconds=15)
    assert gate["slo"] == "two"
    world.delete("slos", "one")
    world.delete("slos", "two")
    await world.gate_is("Unknown", "SLONotFound", seconds=3)


async def test_a_release_that_begins_unseen_is_found_by_the_next_look(world: World) -> None:
    """A workload is looked at every five minutes, whatever the watch tells."""
    await world.guarded()
    world.is_watched = False
    world.release(pace=None)
    await world.until("it is under way", lambda: world.status().get("release"), 400)
    world.is_watched = True

"""Others who pause, resume and pin the workload: none is fought, each is told."""

from __future__ import annotations

from support.doubles.measures import BURNING, HEALTHY
from support.virtual.stories import under_way
from support.virtual.world import World


async def test_a_persons_pause_survives_our_hold_and_its_end(world: World) -> None:
    await world.guarded()
    await under_way(world)
    world.workload().pause("a-person")
    world.hold()
    await world.held("partial")
    assert len(world.workload().holders) == 2
    world.unhold()
    await world.not_held()
    assert world.workload().holders == ("a-person",)


async def test_one_who_resumes_is_respected_until_the_next_release(world: World) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    world.workload().resume()
    await world.until(
        "it is told", lambda: world.status()["release"]["reason"] == "OverrideActive", 5
    )
    await world.passes(1_800)
    assert not world.workload().paused
    assert world.reasons().count("BurningFast") == 2, "closed and held; resumed by a person"
    world.release("3", pace=None)
    await world.held("partial")


async def test_where_it_is_to_be_enforced_the_hold_is_recreated_at_once_and_then_later(
    world: World,
) -> None:
    await world.guarded(onExternalResume="Enforce")
    await world.held_for_burning(BURNING)
    world.workload().resume()
    took = await world.until("it is made again", lambda: world.workload().paused, 5)
    assert took < 2
    await world.held("partial")
    await world.passes(1)
    world.workload().resume()
    took = await world.until("and again", lambda: world.workload().paused, 60)
    assert 25 <= took <= 50
    assert len(world.status()["hold"]["lostAt"]) == 2


async def test_after_three_losses_within_ten_minutes_it_is_contested_and_left(
    world: World,
) -> None:
    await world.guarded(onExternalResume="Enforce")
    await world.held_for_burning(BURNING)
    for _ in range(3):
        await world.held("partial")
        await world.passes(1)
        world.workload().resume()
        await world.passes(5)
    told = await world.condition_is("Contested", "True", "Contested")
    assert "keeps resuming the workload" in told["message"]
    begun = world.loop.time()
    await world.passes(1_800)
    assert not world.workload().paused
    assert world.calls("hold", since=begun) == []
    assert world.gate()["state"] == "Closed"
    world.measures(HEALTHY)
    await world.gate_is("Open", seconds=900)
    world.release("1")
    await world.condition_is("Contested", "False")


async def test_losses_that_are_longer_apart_are_no_contest(world: World) -> None:
    await world.guarded(onExternalResume="Enforce")
    await world.held_for_burning(BURNING)
    for _ in range(5):
        world.workload().resume()
        await world.held("partial")
        await world.passes(601)
    assert world.condition("Contested")["status"] == "False"


async def test_scaling_while_it_is_held_is_reported(world: World) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    world.workload().scale(14)
    await world.until("it is told", lambda: world.status()["workload"]["total"] == 14, 10)
    assert world.workload().paused


async def test_a_single_replica_is_reported_as_not_held(world: World) -> None:
    world.deploy(replicas=1)
    world.source()
    world.slo()
    world.rollout()
    world.start()
    await world.gate_is("Open", "BudgetHealthy")
    await under_way(world)
    world.hold()
    await world.gate_is("Closed", "HeldByPerson")
    await world.until("it is told", lambda: world.status()["hold"].get("effective") == "none")
    await world.passes(60)
    assert not world.workload().paused


async def test_a_release_past_its_deadline_is_held_all_the_same(world: World) -> None:
    await world.guarded()
    await under_way(world)
    world.workload().is_failed = True
    world.workload().changed()
    await world.until("it is told", lambda: world.status()["workload"]["phase"] == "Failed")
    world.hold()
    await world.held("partial")


async def test_where_admission_warns_nothing_is_refused_and_the_release_is_held(
    world: World,
) -> None:
    await world.guarded(enforcement={"admission": "Warn"})
    await world.held_for_burning(BURNING)
    assert world.record()["admits"] is False
    assert world.record()["admission"] == "Warn"


async def test_where_releases_in_progress_are_not_to_be_held_admission_still_refuses(
    world: World,
) -> None:
    await world.guarded(enforcement={"inFlight": "Off"})
    await under_way(world)
    world.measures(BURNING)
    await world.gate_is("Closed", "BurningFast")
    await world.passes(300)
    assert not world.admits()
    assert not world.workload().paused

"""One engine of several writes; one that is not the leader any more writes nothing."""

from __future__ import annotations

import asyncio

import pytest

from support.doubles.connection import Fault, killed_before
from support.doubles.measures import BURNING, HEALTHY
from support.virtual.engines import Process
from support.virtual.stories import under_way
from support.virtual.world import World


def writes_of(world: World, process: Process) -> int:
    """How many writes of this engine had an effect."""
    return sum(one.applied and one.call.writes for one in process.connection.log)


async def test_of_two_engines_one_writes_and_the_other_is_warm(world: World) -> None:
    await world.guarded()
    one, two = world.process, world.start()
    await world.passes(30)
    assert two.engine.synced.is_set()
    await a_gate_closes(world)
    assert writes_of(world, one) > 6
    assert writes_of(world, two) == 0


async def a_gate_closes(world: World) -> None:
    world.hold()
    await world.gate_is("Closed", "HeldByPerson")


async def test_a_standby_takes_over_within_a_lease_from_one_that_was_killed(world: World) -> None:
    await world.guarded()
    one, two = world.process, world.start()
    await world.passes(30)
    one.connection.died.set()
    for task in one.tasks:
        task.cancel()
    holder = world.leadership.holder
    await world.passes(0.1)
    world.leadership.holder = holder
    took = await world.until("it leads", lambda: two.lease.held, 60)
    assert took <= 15 + 3
    await a_gate_closes(world)
    await world.told("BudgetHealthy", "HeldByPerson")


async def test_one_that_is_asked_to_stop_lets_the_other_in_at_once(world: World) -> None:
    await world.guarded()
    one, two = world.process, world.start()
    await world.passes(30)
    await world.stop(one)
    took = await world.until("it leads", lambda: two.lease.held, 60)
    assert took <= 3
    await a_gate_closes(world)


@pytest.mark.parametrize(
    "method",
    ["observe", "write_record", "write_rollout", "hold", "release", "write_slo", "list", "held"],
)
@pytest.mark.parametrize("seconds", [0.2, 3])
async def test_leadership_lost_between_decision_and_write_nothing_is_written_afterwards(
    world: World, method: str, seconds: float
) -> None:
    """Lost while a call is under way: what that call does it does, and only its Event follows.

    A short call is answered before the engine ends because its lease was not renewed.
    """
    await world.guarded()
    one = world.process
    await under_way(world)
    world.trouble(Fault(seconds=seconds, answer_seconds=seconds), method, first=1)
    world.measures(BURNING)
    world.hold()
    if method == "release":
        await world.held()
        world.unhold()
        world.measures(HEALTHY)
    if method in ("list", "held"):
        world.watch_again()
    await world.until("it is asked", lambda: world.under_way(method), 700)
    one.lease.lose()
    logged, in_progress = len(one.connection.log), {*map(id, one.connection.pending)}
    await world.passes(300)
    afterwards = [done.call for done in one.connection.log[logged:] if done.call.writes]
    begun = [call.method for call in afterwards if id(call) not in in_progress]
    assert begun in ([], ["tell"])
    assert not one.is_running
    world.leadership.holder = ""


async def test_one_that_cannot_renew_its_lease_ends_and_the_next_one_resumes(world: World) -> None:
    await world.guarded()
    one = world.process
    await world.held_for_burning(BURNING)
    world.leadership.is_reachable = False
    await world.until("it gives up", lambda: not one.is_running, 20)
    before = world.status()
    world.leadership.is_reachable = True
    world.start()
    await world.passes(60)
    after = world.status()
    assert world.workload().paused
    assert [after[key] for key in ("hold", "stable", "history")] == [
        before[key] for key in ("hold", "stable", "history")
    ]


async def test_a_standby_that_never_led_saves_and_gives_back_nothing(world: World) -> None:
    await world.guarded()
    one, two = world.process, world.start()
    await world.passes(30)
    await world.stop(two)
    assert world.calls("save") == []
    assert one.lease.held
    world.processes.remove(two)


async def test_engines_that_die_one_after_the_other_share_one_history(world: World) -> None:
    world.has_successors = True
    await world.guarded()
    for _ in range(3):
        world.trouble(killed_before(), "write_rollout", first=1)
        await a_gate_closes(world)
        world.unhold()
        await world.gate_is("Open", "BudgetHealthy")
        await asyncio.sleep(1)
    assert len(world.processes) == 4
    reasons = [one["reason"] for one in world.status()["history"]]
    assert reasons == ["BudgetHealthy", "HeldByPerson"] * 3 + ["BudgetHealthy"]

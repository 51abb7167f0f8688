"""A new engine resumes from what the status says: nothing begins again, nothing is told twice."""

from __future__ import annotations

from datetime import datetime

import pytest

from penstock.domain.evidence import EvidenceKind
from support.doubles.measures import BURNING, EXHAUSTED, HEALTHY, missing
from support.virtual.stories import under_way
from support.virtual.world import World

# What ends by itself takes effect within a second, and a write takes its time.
SOON = 1.2


async def test_a_hold_stays_and_its_gate_keeps_its_time_history_and_memory(world: World) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    before, told = world.status(), world.reasons()
    await world.kill()
    await world.passes(120)
    assert world.workload().paused
    assert not world.admits()
    world.start()
    await world.passes(120)
    after = world.status()
    for kept in ("release", "stable", "hold", "history"):
        assert after[kept] == before[kept]
    assert after["gate"]["since"] == before["gate"]["since"]
    assert after["memory"]["recentHolds"] == before["memory"]["recentHolds"]
    assert world.reasons() == told


async def test_calm_continues_counting_through_a_restart(world: World) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    world.measures(HEALTHY)
    await world.gate_is("Closed", "Recovering")
    begun = datetime.fromisoformat(world.status()["memory"]["calmSince"])
    await world.passes(300)
    await world.restart()
    await world.gate_is("Open", "BudgetHealthy", seconds=700)
    assert 600 <= (world.now() - begun).total_seconds() <= 600 + SOON


async def test_what_is_kept_through_an_outage_ends_at_its_time_through_a_restart(
    world: World,
) -> None:
    await world.guarded()
    await under_way(world)
    world.measures(missing(EvidenceKind.UNREACHABLE))
    await world.gate_is("Unknown", "MetricsUnreachable")
    begun = datetime.fromisoformat(world.status()["memory"]["unknownSince"])
    await world.passes(150)
    await world.restart()
    await world.until("it is held", lambda: world.workload().paused, 400)
    assert 300 <= (world.now() - begun).total_seconds() <= 300 + SOON


async def test_doubling_is_remembered_through_a_restart(world: World) -> None:
    await world.guarded()
    for required in (600, 1_200):
        world.measures(BURNING)
        await world.gate_is("Closed", "BurningFast")
        assert world.status()["memory"]["calmRequired"] == required
        await world.restart()
        world.measures(HEALTHY)
        await world.gate_is("Open", seconds=3_000)


async def test_a_return_is_recognised_by_a_successor(world: World) -> None:
    await world.guarded()
    world.release("2")
    await world.until("both are stable", lambda: len(world.status()["stable"]) == 2)
    world.measures(EXHAUSTED)
    await world.gate_is("Closed", "BudgetExhausted")
    await world.restart()
    world.release("1", pace=None)
    await world.until(
        "it is told",
        lambda: (world.status().get("release") or {}).get("reason") == "RollbackPermitted",
    )
    assert not world.workload().paused


@pytest.mark.parametrize("while_invalid", [False, True])
async def test_a_template_that_no_replica_set_has_any_more_stays_in_the_record(
    world: World, while_invalid: bool
) -> None:
    """With ``revisionHistoryLimit: 0`` the record is all that knows what may be returned to."""
    await world.guarded()
    world.release("2")
    await world.until("both are recorded", lambda: len(world.record()["templates"]) == 2)
    former = world.record()["templates"][1]
    workload = world.workload()
    workload.sets = [one for one in workload.sets if one.wanted]
    workload.changed()
    await world.passes(60)
    if while_invalid:
        world.edit(policy={"resume": {"calm": "soon"}})
        await world.condition_is("Ready", "False", "SpecInvalid")
    await world.restart()
    await world.passes(60)
    world.edit(policy={"resume": {"calm": "2m"}})
    world.measures(EXHAUSTED)
    await world.gate_is("Closed", "BudgetExhausted")
    assert world.record()["templates"] == [former]
    assert world.record()["admission"] == "Deny"


async def test_a_gate_stays_as_it_is_until_its_slos_have_been_asked_once(world: World) -> None:
    """A source that answers after ten seconds only: no gate opens or closes for want of news."""
    await world.guarded()
    await world.held_for_burning(BURNING)
    before = world.gate()
    await world.kill()
    world.metrics.seconds = 9.0
    world.start()
    begun = world.loop.time()
    for _ in range(8):
        await world.passes(1)
        assert world.gate()["reason"] == before["reason"]
        assert world.workload().paused
    assert world.writes("gaterecords", since=begun) == []
    world.metrics.seconds = 0.05


async def test_one_whose_source_never_answers_warms_up_for_fifteen_seconds_at_most(
    world: World,
) -> None:
    await world.guarded()
    await world.kill()
    world.metrics.hanging.add("default")
    world.start()
    begun = world.loop.time()
    await world.gate_is("Open", "WarmingUp", seconds=60)
    assert 14 <= world.loop.time() - begun <= 20
    world.metrics.hanging.clear()
    world.is_judged = False


async def test_what_a_person_resumed_while_nobody_was_there_is_respected(world: World) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    await world.kill()
    world.workload().resume()
    world.start()
    await world.until("it is noticed", lambda: world.status()["release"].get("resumedAt"), 30)
    await world.passes(300)
    assert not world.workload().paused


async def test_asked_to_stop_it_saves_its_ledgers_and_leaves_holds_as_they_are(
    world: World,
) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    await world.stop()
    assert world.calls("save")
    assert world.workload().paused
    assert world.leadership.holder == ""


@pytest.mark.parametrize("falsified", ["gate", "stable", "memory", "hold"])
async def test_a_status_that_somebody_falsified_is_made_right_again(
    world: World, falsified: str
) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    values = {
        "gate": {**world.gate(), "state": "Open", "verdict": "Permit", "reason": "BudgetHealthy"},
        "stable": [],
        "memory": {"serial": world.status()["memory"]["serial"]},
        "hold": {"active": False},
    }
    status = {**world.status(), falsified: values[falsified]}
    await world.kill()
    world.store.falsify("rollouts", "shop", "web", "status", status)
    world.start()
    await world.passes(30)
    assert world.workload().paused
    assert world.gate()["state"] == "Closed"

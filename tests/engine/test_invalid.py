"""An invalid Rollout changes nothing but its Ready condition, also through a restart."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from support.doubles.deployments import PREFIX
from support.doubles.measures import BURNING, EXHAUSTED, HEALTHY
from support.virtual.world import World

RELIST = 300 * 1.1 + 5
SOON = 1.2
WRONG_POLICY = {"resume": {"calm": "soon"}}
WRONG_INDICATOR = {"ratio": {"bad": "errors{", "total": "requests"}}


async def becomes_invalid(world: World, *, restarts: bool = True) -> None:
    world.edit(policy=WRONG_POLICY)
    await world.condition_is("Ready", "False", "SpecInvalid")
    if restarts:
        await world.restart()
        await world.passes(60)


async def becomes_valid(world: World) -> None:
    world.edit(policy=None)
    await world.condition_is("Ready", "True")


def kept(status: Any) -> dict[str, Any]:
    """All of a status that an invalid object does not change."""
    others = [one for one in status["conditions"] if one["type"] != "Ready"]
    return {**status, "conditions": others, "observedGeneration": None}


async def test_an_invalid_rollout_keeps_its_status_through_restarts(world: World) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    await world.told("BudgetHealthy", "BurningFast")
    before, reasons = world.status(), world.reasons()
    await becomes_invalid(world)
    said = world.condition("Ready")
    assert kept(world.status()) == kept(before)
    assert world.status()["observedGeneration"] == 2
    await world.passes(900)
    await world.restart()
    await world.passes(900)
    assert kept(world.status()) == kept(before)
    assert world.condition("Ready") == said
    assert world.workload().paused
    assert not world.admits()
    assert world.reasons() == reasons


async def test_what_was_held_while_it_was_valid_is_known_as_ours_again(world: World) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    await world.told("BudgetHealthy", "BurningFast")
    before, reasons = world.status(), world.reasons()
    await becomes_invalid(world)
    await becomes_valid(world)
    await world.passes(120)
    after = world.status()
    for fact in ("hold", "release", "stable", "history"):
        assert after[fact] == before[fact], fact
    assert after["gate"]["since"] == before["gate"]["since"]
    assert after["memory"]["recentHolds"] == before["memory"]["recentHolds"]
    assert world.reasons() == reasons
    assert len(world.calls("hold")) == 1


async def test_who_resumes_what_an_invalid_rollout_holds_is_respected(world: World) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    await becomes_invalid(world)
    world.workload().resume()
    await world.passes(60)
    await becomes_valid(world)
    await world.until("it is noticed", lambda: world.status()["release"].get("resumedAt"), 30)
    await world.passes(300)
    assert not world.workload().paused


async def test_a_calm_that_began_before_it_was_invalid_continues(world: World) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    world.measures(HEALTHY)
    await world.gate_is("Closed", "Recovering")
    begun = datetime.fromisoformat(world.status()["memory"]["calmSince"])
    await becomes_invalid(world)
    await becomes_valid(world)
    await world.gate_is("Open", "BudgetHealthy", seconds=700)
    assert 600 <= (world.now() - begun).total_seconds() <= 600 + SOON


async def test_a_rollback_is_recognised_after_it_was_invalid(world: World) -> None:
    await world.guarded()
    world.release("2")
    await world.until("both are stable", lambda: len(world.status()["stable"]) == 2)
    world.measures(EXHAUSTED)
    await world.gate_is("Closed", "BudgetExhausted")
    await becomes_invalid(world)
    await becomes_valid(world)
    world.release("1", pace=None)
    await world.until(
        "it is told",
        lambda: (world.status().get("release") or {}).get("reason") == "RollbackPermitted",
    )
    assert not world.workload().paused


async def test_the_gate_of_an_invalid_rollout_is_still_exported_after_a_restart(
    world: World,
) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    await becomes_invalid(world)
    shown = {
        dict(labels)["state"]: value
        for (name, labels), value in world.tally.gauges.items()
        if name == "penstock_gate_state"
    }
    assert shown == {"Open": 0.0, "Closed": 1.0, "Unknown": 0.0}


async def test_what_a_deleted_rollout_held_is_released_though_its_namesake_is_invalid(
    world: World,
) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    world.delete("rollouts")
    world.rollout(policy=WRONG_POLICY)
    await world.until("it is let go", lambda: not world.workload().paused, 10)
    await world.condition_is("Ready", "False", "SpecInvalid")
    assert world.status().keys() == {"observedGeneration", "conditions"}


@pytest.mark.parametrize("restarts", [False, True])
async def test_what_an_invalid_rollout_holds_is_released_once_it_is_deleted(
    world: World, restarts: bool
) -> None:
    """After a restart nobody knows which workload it had: its hold is found by the next list."""
    await world.guarded()
    await world.held_for_burning(BURNING)
    await becomes_invalid(world, restarts=restarts)
    assert [one for one in world.workload().holders if one.startswith(PREFIX)]
    world.delete("rollouts")
    await world.until(
        "it is let go", lambda: not world.workload().paused, RELIST if restarts else 10
    )


async def test_an_invalid_slo_shows_no_figure_that_was_measured_before(world: World) -> None:
    await world.guarded()
    await world.until("it is measured", lambda: budget_gauges(world))
    world.slo(indicator=WRONG_INDICATOR)
    told = await world.condition_is("Ready", "False", "SpecInvalid", kind="slos")
    for _ in range(2):
        assert world.status(kind="slos").keys() == {"observedGeneration", "conditions"}
        assert world.condition("Ready", kind="slos") == told
        assert not budget_gauges(world)
        await world.restart()
        await world.passes(60)
    world.slo()
    await world.condition_is("Ready", "True", kind="slos")
    assert world.status(kind="slos")["budget"]


def budget_gauges(world: World) -> list[float]:
    found = world.tally.gauges.items()
    return [value for (name, _), value in found if name.startswith("penstock_slo_")]

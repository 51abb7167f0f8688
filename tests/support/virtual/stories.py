"""Stories that are played again and again, each time with another trouble, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from penstock.domain.evidence import EvidenceKind
from support.doubles.measures import BURNING, EXHAUSTED, HEALTHY, missing
from support.virtual.world import World

Story = Callable[[World], Coroutine[Any, Any, None]]
RECOVERY = 600
SOON = {"resume": {"calm": "1m"}}


async def under_way(world: World) -> None:
    """A release is in progress that never gets further than half."""
    world.release(pace=None)
    await world.until("it is under way", lambda: world.status().get("release"))


async def a_person_holds_and_lets_go(world: World) -> None:
    """A person holds and lets go."""
    await world.guarded(policy=SOON)
    await under_way(world)
    world.hold()
    await world.gate_is("Closed", "HeldByPerson")
    await world.held("partial")
    world.unhold()
    await world.gate_is("Open", "BudgetHealthy")
    await world.not_held()


async def an_slo_burns_and_recovers(world: World) -> None:
    """An SLO burns and recovers."""
    await world.guarded(policy=SOON)
    await world.held_for_burning(BURNING)
    world.measures(HEALTHY)
    await world.gate_is("Open", "BudgetHealthy", seconds=RECOVERY)
    await world.not_held()


async def a_release_is_rolled_back(world: World) -> None:
    """A release is rolled back."""
    await world.guarded(policy=SOON)
    await world.held_for_burning(BURNING)
    world.release("1")
    await world.not_held()
    await world.until("it is over", lambda: not world.status().get("release"))


async def a_release_slips_through(world: World) -> None:
    """A release slips through."""
    await world.guarded(policy=SOON)
    world.measures(EXHAUSTED)
    await world.gate_is("Closed", "BudgetExhausted")
    await under_way(world)
    await world.held("partial")
    world.measures(HEALTHY)
    await world.not_held(seconds=RECOVERY)


async def a_release_completes(world: World) -> None:
    """A release completes."""
    await world.guarded(policy=SOON)
    world.release()
    await world.until("both are stable", lambda: len(world.status().get("stable", ())) == 2)


async def an_outage_comes_and_goes(world: World) -> None:
    """An outage comes and goes."""
    await world.guarded(policy=SOON)
    await world.held_for_burning(BURNING)
    world.measures(missing(EvidenceKind.UNREACHABLE))
    await world.gate_is("Unknown", "MetricsUnreachable")
    world.measures(HEALTHY)
    await world.not_held(seconds=RECOVERY)


async def a_rollout_is_deleted_while_it_holds(world: World) -> None:
    """A rollout is deleted while it holds."""
    await world.guarded(policy=SOON)
    await world.held_for_burning(BURNING)
    world.delete("rollouts")
    await world.until("the pause is gone", lambda: not world.workload().paused, 700)


async def a_hold_outlives_its_rollout(world: World) -> None:
    """A hold outlives its rollout."""
    await world.guarded(onDelete="KeepHeld", policy=SOON)
    await world.held_for_burning(BURNING)
    world.delete("rollouts")
    await world.passes(700)
    assert world.workload().paused


async def a_person_resumes(world: World) -> None:
    """A person resumes."""
    await world.guarded(policy=SOON)
    await world.held_for_burning(BURNING)
    world.workload().resume()
    await world.until("it is noticed", lambda: world.status()["release"].get("resumedAt"))


async def it_is_switched_off(world: World) -> None:
    """It is switched off."""
    await world.guarded(policy=SOON)
    await world.held_for_burning(BURNING)
    world.edit(mode="Off")
    await world.not_held()
    await world.gate_is("Open", "Disabled")


async def an_slo_becomes_invalid(world: World) -> None:
    """An SLO becomes invalid."""
    await world.guarded(policy=SOON)
    world.slo(indicator={"ratio": {"bad": "errors{", "total": "requests"}})
    await world.gate_is("Unknown", "SLOInvalid")
    await world.condition_is("Ready", "False", "SpecInvalid", kind="slos")


STORIES: list[Story] = [
    a_person_holds_and_lets_go,
    an_slo_burns_and_recovers,
    a_release_is_rolled_back,
    a_release_slips_through,
    a_release_completes,
    an_outage_comes_and_goes,
    a_rollout_is_deleted_while_it_holds,
    a_hold_outlives_its_rollout,
    a_person_resumes,
    it_is_switched_off,
    an_slo_becomes_invalid,
]


def end(world: World) -> dict[str, Any]:
    """All that does not depend on when and how often it was written."""
    status, workload = world.status(), world.workload()
    gate = status.get("gate", {})
    conditions = [*status.get("conditions", ()), *world.status(kind="slos")["conditions"]]
    return {
        "gate": [gate.get(key) for key in ("state", "verdict", "reason", "slo")],
        "history": [one["reason"] for one in status.get("history", ())],
        "release": [
            status.get("release", {}).get(key) for key in ("id", "fromHash", "onset", "reason")
        ],
        "held": status.get("hold", {}).get("active"),
        "stable": [one["hash"] for one in status.get("stable", ())],
        "holds": len(status.get("memory", {}).get("recentHolds", ())),
        "conditions": [(one["type"], one["status"], one["reason"]) for one in conditions],
        "admits": world.record().get("admits"),
        "templates": [one["hash"] for one in world.record().get("templates", ())],
        "pausers": workload.holders,
        "kept": workload.kept,
    }

"""What ends by itself takes effect within a second of its moment, whenever the next evaluation is.

The durations lie apart from the ten seconds between two evaluations, so that none coincides.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from penstock.domain.evidence import EvidenceKind
from support.doubles.measures import BURNING, HEALTHY, missing
from support.virtual.world import World

SOON = timedelta(seconds=1)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_a_gate_opens_within_a_second_of_the_end_of_its_calm(world: World) -> None:
    await world.guarded(policy={"resume": {"calm": "607s"}})
    world.measures(BURNING)
    await world.gate_is("Closed", "BurningFast")
    world.measures(HEALTHY)
    await world.gate_is("Closed", "Recovering")
    calm = moment(world.status()["memory"]["calmSince"])
    gate = await world.gate_is("Open", "BudgetHealthy", seconds=700)
    late = moment(gate["since"]) - calm - timedelta(seconds=607)
    assert timedelta() <= late <= SOON


async def test_a_held_release_is_let_go_within_a_second_of_the_end_of_the_calm(
    world: World,
) -> None:
    await world.guarded(policy={"resume": {"calm": "607s"}})
    await world.held_for_burning(BURNING)
    world.measures(HEALTHY)
    await world.gate_is("Closed", "Recovering")
    calm = moment(world.status()["memory"]["calmSince"])
    await world.until("it goes on", lambda: not world.workload().paused, 700)
    assert world.now() - calm - timedelta(seconds=607) <= 2 * SOON


async def test_a_release_is_held_within_a_second_of_the_end_of_keep_last(world: World) -> None:
    await world.guarded(policy={"unknown": {"outage": {"keepLast": "303s", "then": "Hold"}}})
    world.release(pace=None)
    await world.until("it is under way", lambda: world.status().get("release"))
    world.measures(missing(EvidenceKind.UNREACHABLE))
    await world.gate_is("Unknown", "MetricsUnreachable")
    since = moment(world.status()["memory"]["unknownSince"])
    await world.until("keepLast ends", lambda: world.workload().paused, 400)
    late = world.now() - since - timedelta(seconds=303)
    assert timedelta() <= late <= 2 * SOON


async def test_a_template_is_stable_within_a_second_of_its_probation(world: World) -> None:
    """It completed behind a closed gate; since the gate opened it has to run for a calm time."""
    await world.guarded(
        policy={"resume": {"calm": "607s"}},
        enforcement={"admission": "Warn", "inFlight": "Off"},
    )
    world.measures(BURNING)
    await world.gate_is("Closed", "BurningFast")
    world.release()
    await world.until("it is complete", lambda: not world.status().get("release"), 600)
    world.measures(HEALTHY)
    gate = await world.gate_is("Open", "BudgetHealthy", seconds=700)
    opened = moment(gate["since"])
    assert len(world.status()["stable"]) == 1
    await world.until("it is stable", lambda: len(world.status()["stable"]) == 2, 700)
    late = world.now() - opened - timedelta(seconds=607)
    assert timedelta() <= late <= 2 * SOON


async def test_each_transition_is_one_event(world: World) -> None:
    """A release that is held, let go, held again by a person, and let go once more."""
    await world.guarded()
    await world.held_for_burning(BURNING)
    world.measures(HEALTHY)
    await world.not_held(seconds=900)
    world.hold()
    await world.held()
    world.unhold()
    await world.not_held()
    await world.told(
        "BudgetHealthy",
        "BurningFast",
        "Recovering",
        "BudgetHealthy",
        "HeldByPerson",
        "BudgetHealthy",
    )

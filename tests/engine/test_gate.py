"""A gate closes, holds, opens and gives back, with the product's own policy and intervals."""

from __future__ import annotations

from datetime import datetime

from penstock.domain.evidence import EvidenceKind
from support.doubles.measures import BURNING, EXHAUSTED, HEALTHY, Measured, missing
from support.virtual.world import World

HOT = 10.0
# What ends by itself takes effect within a second, and a write takes its time.
SOON = 1.2


async def test_a_gate_closes_on_a_burning_slo_and_opens_after_ten_minutes_of_calm(
    world: World,
) -> None:
    await world.guarded()
    world.measures(BURNING)
    gate = await world.gate_is("Closed", "BurningFast")
    assert gate["verdict"] == "Hold"
    assert not world.admits()

    world.measures(HEALTHY)
    await world.gate_is("Closed", "Recovering")
    took = await world.until("it opens", lambda: world.gate()["state"] == "Open", 900)

    assert 600 - HOT <= took <= 600 + HOT
    assert world.admits()
    await world.told("BudgetHealthy", "BurningFast", "Recovering", "BudgetHealthy")


async def test_each_hold_within_two_hours_doubles_the_calm_that_ends_it(world: World) -> None:
    await world.guarded()
    for minutes in (10, 20, 40, 80):
        world.measures(BURNING)
        await world.gate_is("Closed", "BurningFast")
        assert world.status()["memory"]["calmRequired"] == minutes * 60
        world.measures(HEALTHY)
        await world.gate_is("Closed", "Recovering")
        took = await world.until("it opens", lambda: world.gate()["state"] == "Open", 6_000)
        assert minutes * 60 - HOT <= took <= minutes * 60 + HOT
    await world.passes(2 * 3_600)
    world.measures(BURNING)
    await world.gate_is("Closed", "BurningFast")
    assert world.status()["memory"]["calmRequired"] == 600


async def test_a_release_in_progress_is_held_and_let_go_after_recovery(world: World) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    status = world.status()
    assert status["hold"]["manager"].startswith("penstock-hold-")
    assert status["release"]["reason"] == "BurningFast"

    world.measures(HEALTHY)
    await world.not_held(seconds=900)
    assert world.gate()["state"] == "Open"
    assert "resumedAt" not in world.status()["release"]


async def test_a_budget_hold_waits_for_margin_too(world: World) -> None:
    await world.guarded()
    world.measures(EXHAUSTED)
    await world.gate_is("Closed", "BudgetExhausted")
    world.measures(Measured(left="0.005"))
    await world.gate_is("Closed", "Recovering")
    await world.passes(3_600)
    assert world.gate()["state"] == "Closed"
    world.measures(Measured(left="0.02"))
    await world.gate_is("Open", "BudgetHealthy")


async def test_a_person_holds_and_ends_it(world: World) -> None:
    await world.guarded()
    world.hold("database migration")
    gate = await world.gate_is("Closed", "HeldByPerson", seconds=2)
    assert "database migration" in gate["message"]
    world.unhold()
    await world.gate_is("Open", "BudgetHealthy", seconds=2)


async def test_a_label_on_the_workload_is_a_persons_hold(world: World) -> None:
    await world.guarded()
    world.workload().set_label("migration")
    gate = await world.gate_is("Closed", "HeldByPerson", seconds=2)
    assert "migration" in gate["message"]
    world.workload().set_label(None)
    await world.gate_is("Open", "BudgetHealthy", seconds=2)


async def test_of_several_slos_the_worst_is_named_and_all_must_be_well(world: World) -> None:
    world.slo("good")
    world.slo("bad")
    world.measures(Measured(left="-0.2", burn="2"), "bad")
    world.source()
    world.slo()
    world.deploy()
    world.rollout(slos=("web", "good", "bad"))
    world.start()
    gate = await world.gate_is("Closed", "BudgetExhausted")
    assert gate["slo"] == "bad"
    world.delete("slos", "bad")
    await world.gate_is("Unknown", "SLONotFound")


async def test_an_outage_shuts_at_once_what_is_new_and_keeps_a_release_for_five_minutes(
    world: World,
) -> None:
    """``unknown.outage.keepLast`` ends by itself, without any news."""
    await world.guarded()
    world.release(pace=None)
    await world.until("it is under way", lambda: world.status().get("release"))
    world.measures(missing(EvidenceKind.UNREACHABLE))
    await world.gate_is("Unknown", "MetricsUnreachable")
    begun = datetime.fromisoformat(world.status()["memory"]["unknownSince"])
    assert not world.admits()
    assert not world.workload().paused

    await world.until("keepLast ends", lambda: world.workload().paused, 400)
    assert 300 <= (world.now() - begun).total_seconds() <= 300 + SOON

    world.measures(HEALTHY)
    await world.not_held()


async def test_a_hold_stays_through_an_outage_of_hours(world: World) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    world.measures(missing(EvidenceKind.UNREACHABLE))
    await world.gate_is("Unknown", "MetricsUnreachable")
    for _ in range(3):
        await world.passes(3_600)
        assert world.workload().paused
        assert not world.admits()
    world.measures(HEALTHY)
    await world.not_held(seconds=900)


async def test_thin_evidence_permits_and_ends_no_hold(world: World) -> None:
    await world.guarded()
    world.measures(missing(EvidenceKind.NO_TRAFFIC))
    gate = await world.gate_is("Open", "NoTraffic")
    assert gate["verdict"] == "Unknown"
    assert world.admits()
    world.measures(HEALTHY)
    await world.gate_is("Open", "BudgetHealthy")
    await world.held_for_burning(BURNING)
    world.measures(Measured(total=HEALTHY.total * 0, recent=HEALTHY.recent * 0))
    await world.gate_is("Unknown", "NoTraffic")
    await world.passes(3_600)
    assert world.workload().paused

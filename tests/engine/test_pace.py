"""How often an SLO is asked about, and how seldom anything is written, by the default settings."""

from __future__ import annotations

from itertools import pairwise

from support.doubles.measures import BURNING, HEALTHY, Measured
from support.virtual.wiring import Intervals
from support.virtual.world import World

REST, HOT = 60, 10
HOUR = 3_600


def gaps(times: list[float]) -> set[int]:
    return {round(later - earlier) for earlier, later in pairwise(times)}


async def test_at_rest_an_slo_is_evaluated_once_a_minute(world: World) -> None:
    await world.guarded()
    begun = world.loop.time()
    await world.passes(HOUR)
    assert gaps(world.metrics.times("web", since=begun)) == {REST}


async def test_a_release_is_watched_from_its_first_moment_to_its_end_and_not_after(
    world: World,
) -> None:
    await world.guarded()
    await world.passes(5)
    begun = world.loop.time()
    world.release(pace=300)
    await world.until("it is under way", lambda: world.status().get("release"))
    asked = world.metrics.times("web", since=begun)
    await world.until("it is complete", lambda: not world.status().get("release"), 400)
    times = world.metrics.times("web", since=begun)
    assert times[0] - begun < 1, asked
    assert max(gaps(times)) <= HOT
    over = world.loop.time() + HOT
    await world.passes(600)
    assert gaps(world.metrics.times("web", since=over)) == {REST}


async def test_while_a_gate_is_closed_its_slo_is_evaluated_more_often(world: World) -> None:
    await world.guarded()
    world.measures(BURNING)
    await world.gate_is("Closed")
    await world.passes(REST + HOT)
    begun = world.loop.time()
    await world.passes(300)
    assert gaps(world.metrics.times("web", since=begun)) == {HOT}
    world.measures(HEALTHY)
    await world.gate_is("Open", seconds=900)


async def test_a_source_with_too_much_to_do_is_spared_unless_a_release_depends_on_it(
    world: World,
) -> None:
    world.slo("other")
    await world.guarded(slos=("web", "other"))
    world.measures(BURNING)
    await world.gate_is("Closed")
    world.metrics.overloaded = lambda: True
    await world.passes(2 * REST)
    begun = world.loop.time()
    await world.passes(1_200)
    assert gaps(world.metrics.times("web", since=begun)) == {2 * REST}

    world.release(pace=None)
    await world.held()
    await world.passes(HOT)
    begun = world.loop.time()
    await world.passes(300)
    assert gaps(world.metrics.times("web", since=begun)) == {HOT}
    world.metrics.overloaded = lambda: False


async def test_what_a_release_has_spent_is_asked_for_since_its_beginning(world: World) -> None:
    await world.guarded()
    world.release(pace=None)
    await world.until("it is told", lambda: "spentRatio" in world.status().get("release", {}))
    release = world.status()["release"]
    assert release["spentSlo"] == "web"
    release_starts = world.metrics.asked[-1].onsets
    assert [f"{moment.isoformat()}".replace("+00:00", "Z") for moment in release_starts] == [
        release["startedAt"]
    ]
    gauges = [name for name, labels in world.tally.gauges if ("slo", "web") in labels]
    assert "penstock_release_budget_spent_ratio" in gauges
    world.release("1")
    await world.until("it is over", lambda: not world.status().get("release"))
    gauges = [name for name, labels in world.tally.gauges if ("slo", "web") in labels]
    assert "penstock_release_budget_spent_ratio" not in gauges


async def test_at_rest_nothing_is_written_but_heartbeats(world: World) -> None:
    """Each status is written again after five to ten minutes, and nothing else is."""
    await world.guarded()
    await world.passes(60)
    begun = world.loop.time()
    await world.passes(4 * HOUR)
    for kind in ("rollouts", "slos", "metricssources"):
        times = [one.at for one in world.writes(kind, since=begun)]
        assert times
        assert all(300 - 5 <= gap <= 600 + REST for gap in gaps(times)), (kind, gaps(times))
    kinds = {one.call.kind for one in world.writes(since=begun)}
    assert kinds <= {"rollouts", "slos", "metricssources", "configmaps"}


async def test_a_closed_gate_is_as_quiet(world: World) -> None:
    await world.guarded()
    world.measures(BURNING)
    await world.gate_is("Closed", "BurningFast")
    await world.passes(60)
    begun = world.loop.time()
    await world.passes(HOUR)
    assert len(world.writes("rollouts", since=begun)) <= 13
    assert world.writes("events", since=begun) == []
    assert world.writes("gaterecords", since=begun) == []


async def test_a_budget_that_moves_is_written_at_most_each_minute_and_by_half_a_point(
    world: World,
) -> None:
    await world.guarded()
    await world.passes(60)
    begun = world.loop.time()
    left = 0.9
    for _ in range(30):
        left -= 0.01
        world.measures(Measured(left=f"{left:.3f}"))
        await world.passes(REST)
    moved = [one.at for one in world.writes("slos", since=begun)]
    assert 25 <= len(moved) <= 33
    assert min(gaps(moved)) >= REST - 1
    await world.passes(REST)

    begun = world.loop.time()
    for _ in range(30):
        left -= 0.0001
        world.measures(Measured(left=f"{left:.4f}"))
        await world.passes(REST)
    assert len(world.writes("slos", since=begun)) <= 7
    assert world.reasons() == ["BudgetHealthy"]


async def test_a_restart_writes_no_status_again_and_posts_no_event(world: World) -> None:
    await world.guarded()
    await world.passes(60)
    await world.kill()
    begun, told = world.loop.time(), world.reasons()
    world.start()
    await world.passes(120)
    written = [one for one in world.writes(since=begun) if one.call.kind != "gaterecords"]
    assert written == []
    assert world.reasons() == told


async def test_a_workload_is_checked_when_it_changes_and_every_five_minutes(
    world: World,
) -> None:
    """Its own status writes come back through the watch, and are no reason to do anything."""
    await world.guarded()
    await world.passes(60)
    begun = world.loop.time()
    await world.passes(HOUR)
    looks = [one.at for one in world.calls("observe", since=begun)]
    assert 10 <= len(looks) <= 14
    begun = world.loop.time()
    world.workload().scale(12)
    await world.until("it is told", lambda: world.status()["workload"]["total"] == 12)
    assert 1 <= len(world.calls("observe", since=begun)) <= 2


async def test_a_start_with_many_rollouts_asks_for_all_slos_together(world: World) -> None:
    world.intervals = Intervals()
    for number in range(50):
        name = f"web-{number}"
        world.slo(name)
        world.deploy(name)
        world.rollout(name, workload=name, slos=(name,))
    world.source()
    world.start()
    for number in range(50):
        await world.gate_is("Open", "BudgetHealthy", name=f"web-{number}", seconds=15)
    assert len(world.metrics.asked) <= 3
    assert max(len(one.slos) for one in world.metrics.asked) == 50

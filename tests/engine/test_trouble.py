"""Each error at each method of each port: it is tried again, and all ends as if it had not been."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from penstock.errors import (
    ClusterError,
    Conflict,
    Forbidden,
    InvalidRequest,
    KindNotServed,
    NotFound,
    Throttled,
    Unavailable,
)
from support.doubles.connection import Fault, answer_lost, arrives_late, fails
from support.doubles.measures import BURNING, HEALTHY
from support.doubles.ports import error_of
from support.virtual.stories import (
    a_person_holds_and_lets_go,
    a_rollout_is_deleted_while_it_holds,
    an_slo_becomes_invalid,
    an_slo_burns_and_recovers,
    end,
    under_way,
)
from support.virtual.wiring import Intervals
from support.virtual.world import World

ERRORS: list[type[ClusterError]] = [
    Conflict,
    Forbidden,
    NotFound,
    KindNotServed,
    InvalidRequest,
    Throttled,
    Unavailable,
]
READS = ["list", "observe", "held", "load"]
WRITES = [
    "write_slo",
    "write_source",
    "write_rollout",
    "write_record",
    "write_invalid",
    "hold",
    "release",
    "tell",
]
# After a failure a Rollout is tried again after so many seconds.
BACKOFF = [1, 2, 5, 10, 30, 60]
NEAR = 0.5
RARELY = Intervals(rest=600, hot=600)


def story_for(method: str) -> Any:
    return an_slo_becomes_invalid if method == "write_invalid" else a_person_holds_and_lets_go


@cache
def unharmed(method: str) -> tuple[dict[str, Any], list[str]]:
    world = World()
    world.play(story_for(method)(world))
    return end(world), world.reasons()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
@pytest.mark.parametrize("method", [*READS, *WRITES])
def test_what_fails_twice_is_tried_again_and_all_ends_the_same(
    method: str, error: type[ClusterError]
) -> None:
    world = World()
    rule = world.trouble(fails(lambda: error_of(error)), method, first=2)
    world.play(story_for(method)(world))
    assert rule.hits
    wanted, told = unharmed(method)
    assert end(world) == wanted
    found = [one for one in world.reasons() if one != "Forbidden"]
    # A hold that fails is told when it is made at last, besides the gate that was closed.
    assert len(found) <= len(told) + (method == "hold")
    assert ("Forbidden" in world.reasons()) <= (error is Forbidden)


@pytest.mark.parametrize("method", WRITES)
def test_what_was_done_but_never_answered_is_done_once(method: str) -> None:
    world = World()
    rule = world.trouble(answer_lost(), method, first=1)
    world.play(story_for(method)(world))
    assert rule.hits
    wanted, told = unharmed(method)
    assert end(world) == wanted
    assert world.reasons() == told


@pytest.mark.parametrize("method", ["write_rollout", "write_record", "write_slo", "hold"])
def test_what_arrives_late_undoes_nothing_that_was_decided_since(method: str) -> None:
    """The late write is one of the closing; by the time it arrives the gate is open again."""
    world = World()

    async def story() -> None:
        await world.guarded()
        await under_way(world)
        world.trouble(arrives_late(40), method, first=1)
        world.hold()
        await world.gate_is("Closed", "HeldByPerson")
        await world.held()
        world.unhold()
        await world.gate_is("Open", "BudgetHealthy")
        await world.not_held()
        before = end(world)
        await world.passes(60)
        assert end(world) == before

    world.play(story())


async def test_a_late_release_does_not_end_the_hold_that_was_made_since(world: World) -> None:
    await world.guarded()
    await under_way(world)
    world.hold()
    await world.held()
    rule = world.trouble(arrives_late(40), "release", first=1)
    world.unhold()
    await world.not_held()
    world.hold()
    await world.held()
    await world.passes(60)
    assert rule.hits
    assert world.workload().paused


async def test_a_late_hold_does_not_touch_a_namesake(world: World) -> None:
    await world.guarded()
    await under_way(world)
    world.trouble(Fault(seconds=5), "hold", first=1)
    world.hold()
    await world.until("it is on its way", lambda: world.gate()["state"] == "Closed" or True)
    await world.passes(2)
    world.undeploy()
    world.deploy()
    await world.passes(30)
    assert world.workload().holders == ()


async def test_failures_are_tried_again_later_each_time_and_success_forgets_them(
    world: World,
) -> None:
    """No evidence comes meanwhile, which would be a reason to try at once."""
    world.intervals = RARELY
    await world.guarded()
    for _ in range(2):
        world.trouble(fails(lambda: Unavailable("no answer")), "write_record")
        begun = world.loop.time()
        world.workload().set_label("migration")
        await world.passes(200)
        times = [one.at for one in world.calls("write_record", since=begun)]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert gaps[: len(BACKOFF)] == pytest.approx(BACKOFF, abs=NEAR)
        assert world.gate()["state"] == "Open", "what admission reads is written first"
        world.calm()
        await world.gate_is("Closed", "HeldByPerson")
        world.workload().set_label(None)
        await world.gate_is("Open")


async def throttled(world: World, seconds: float) -> float:
    """How long after it was throttled a write is tried again."""
    rule = world.trouble(fails(lambda: Throttled("too many", seconds)), "write_record", first=1)
    world.workload().set_label("migration")
    await world.gate_is("Closed", "HeldByPerson")
    first, second = [one.at for one in world.calls("write_record")][-2:]
    assert rule.hits
    return second - first


@pytest.mark.parametrize(("asked", "waits"), [(20.0, 20.0), (0.1, 1.0)])
async def test_one_that_is_throttled_comes_back_no_sooner_than_retry_after_says(
    world: World, asked: float, waits: float
) -> None:
    world.intervals = RARELY
    await world.guarded()
    assert waits <= await throttled(world, asked) <= waits + NEAR


async def test_evidence_that_comes_meanwhile_brings_one_that_is_throttled_back_no_sooner(
    world: World,
) -> None:
    await world.guarded()
    assert await throttled(world, 100.0) >= 100


async def test_a_gap_of_the_watch_brings_a_list_that_is_throttled_no_sooner(world: World) -> None:
    await world.guarded()
    begun = world.loop.time()
    world.trouble(fails(lambda: Throttled("too many", 100.0)), "list", first=1)
    world.watch_again()
    await world.passes(20)
    world.watch_again()
    await world.passes(200)
    first, second = [one.at for one in world.calls("list", since=begun)][:2]
    assert 100 <= second - first <= 100 + NEAR


async def test_a_right_that_is_missing_is_reported_once_and_tried_again(world: World) -> None:
    await world.guarded()
    begun = world.loop.time()
    world.trouble(fails(lambda: Forbidden("PATCH rollouts/status is forbidden")), "write_rollout")
    world.hold()
    await world.passes(600)
    told = [one for one in world.events() if one.reason == "Forbidden"]
    assert len(told) == 1
    assert "PATCH rollouts/status is forbidden" in told[0].message
    assert "deploy/base/rbac.yaml" in told[0].message
    assert len(world.calls("write_rollout", since=begun)) > 5
    world.calm()
    await world.gate_is("Closed", "HeldByPerson")


@pytest.mark.parametrize("error", [InvalidRequest, Forbidden], ids=lambda error: error.__name__)
async def test_a_hold_that_is_refused_is_reported_and_tried_each_half_minute(
    world: World, error: type[ClusterError]
) -> None:
    await world.guarded()
    await under_way(world)
    begun = world.loop.time()
    world.trouble(fails(lambda: error_of(error, "policy x says no")), "hold")
    world.hold()
    await world.until("it is told", lambda: "policy x says no" in world.gate()["message"])
    await world.passes(300)
    times = [one.at for one in world.calls("hold", since=begun)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) > 3
    assert min(gaps) >= 30
    assert world.gate()["state"] == "Closed"
    world.calm()
    await world.held()


async def test_an_event_that_cannot_be_posted_delays_nothing(world: World) -> None:
    await world.guarded()
    world.trouble(fails(lambda: Forbidden("create events is forbidden")), "tell")
    await a_hold(world)
    assert world.tally.counts["penstock_errors_total"] > 0
    world.calm()


async def a_hold(world: World) -> None:
    await under_way(world)
    world.hold()
    await world.gate_is("Closed", "HeldByPerson")
    await world.held()


async def test_an_outage_of_the_api_server_ends_in_what_was_wanted_meanwhile(
    world: World,
) -> None:
    await world.guarded()
    await under_way(world)
    world.trouble(fails(lambda: Unavailable("down")))
    world.is_watched = False
    world.hold()
    world.measures(BURNING)
    await world.passes(900)
    assert world.gate()["state"] == "Open"
    world.calm()
    world.watch_again()
    await world.held()
    world.unhold()
    await world.gate_is("Closed", "BurningFast")
    world.measures(HEALTHY)
    await world.not_held(seconds=900)


async def test_a_start_while_no_list_succeeds_decides_nothing_and_then_all(world: World) -> None:
    world.source()
    world.slo()
    world.deploy()
    world.rollout()
    world.trouble(fails(lambda: Unavailable("down")), "list")
    world.start()
    await world.passes(120)
    assert world.connections.writes() == []
    world.calm()
    await world.gate_is("Open", "BudgetHealthy")


async def test_ledgers_that_cannot_be_read_or_saved_stop_nothing(world: World) -> None:
    world.trouble(fails(lambda: Unavailable("down")), "load", "save")
    await world.guarded()
    await world.passes(700)
    assert world.calls("save")
    world.measures(BURNING)
    await world.gate_is("Closed", "BurningFast")


async def test_a_source_that_hangs_makes_its_evidence_stale_and_delays_nobody_else(
    world: World,
) -> None:
    world.source("slow")
    world.slo("slow", sourceRef={"kind": "MetricsSource", "name": "slow"})
    world.deploy("slow")
    world.rollout("slow", workload="slow", slos=("slow",))
    await world.guarded()
    await world.gate_is("Open", "BudgetHealthy", name="slow")

    world.metrics.hanging.add("slow")
    begun = world.loop.time()
    gate = await world.gate_is("Unknown", "EvidenceStale", name="slow", seconds=400)
    assert 120 <= world.loop.time() - begun <= 3 * 60 + 62
    assert "s old" in gate["message"]
    world.measures(BURNING)
    await world.gate_is("Closed", "BurningFast")
    assert world.tally.counts["penstock_evaluations_skipped_total"] > 0
    world.is_judged = False


async def test_an_exception_that_nobody_foresaw_is_counted_and_lets_nothing_start(
    world: World,
) -> None:
    await world.guarded()
    world.metrics.raises = ZeroDivisionError("nobody foresaw this")
    gate = await world.gate_is("Unknown", "Malformed")
    assert "internal error" in gate["message"]
    assert world.tally.errors() > 0
    world.metrics.raises = None
    await world.gate_is("Open", "BudgetHealthy")
    world.is_judged = False


async def test_a_rollout_that_fails_holds_up_no_other(world: World) -> None:
    world.deploy("other")
    world.rollout("other", workload="other")
    await world.guarded()
    world.trouble(fails(lambda: Unavailable("down")), matches=lambda call: call.name == "other")
    world.measures(BURNING)
    await world.gate_is("Closed", "BurningFast")
    assert world.gate("other").get("state") == "Open"
    world.calm()
    await world.gate_is("Closed", "BurningFast", name="other")


@pytest.mark.parametrize("story", [an_slo_burns_and_recovers, a_rollout_is_deleted_while_it_holds])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_seventh_call_of_any_port_may_fail(story: Any, error: type[ClusterError]) -> None:
    wanted = World()
    wanted.play(story(wanted))
    world = World()
    world.trouble(fails(lambda: error_of(error)), numbers=range(7, 2_000, 7))
    world.play(story(world))
    assert end(world) == end(wanted)

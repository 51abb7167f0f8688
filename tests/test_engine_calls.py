"""Data flows one way through the engine: nothing calls back up, by constructor or at run time."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import typing
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

import penstock.engine
from support.doubles.measures import BURNING, HEALTHY
from support.virtual.world import World

ENGINE = str(Path(penstock.engine.__file__).parent) + "/"

# Each module of the engine by its floor; a call goes to a lower floor, or stays within a module.
# Ports are what is below all of them.
FLOORS = (
    {"wiring"},
    {"controller"},
    {"informer", "evaluator", "rollout_reconciler", "slo_status_reconciler", "source_prober"},
    {"orphaned_holds"},
    {"actuator", "status_writer"},
    {"evidence_view", "gate_view", "budget_view", "status_policy", "rollout_metrics"},
    {"stores"},
    {"triggers"},
    {"object_cache", "evidence_store", "active_releases", "manager_index", "work_queue"},
    {"schedule", "ports", "metric_names"},
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}


def modules() -> Iterator[str]:
    """Every module of the engine, by its full name."""
    for found in pkgutil.walk_packages(penstock.engine.__path__, "penstock.engine."):
        yield found.name


def classes(module: str) -> Iterator[type]:
    """Every class that a module defines."""
    for found in vars(importlib.import_module(module)).values():
        if inspect.isclass(found) and found.__module__ == module:
            yield found


def is_callable(annotation: object) -> bool:
    """Whether a type is a function, or has one somewhere in it."""
    if annotation is Callable or typing.get_origin(annotation) is Callable:
        return True
    return any(is_callable(one) for one in typing.get_args(annotation))


@pytest.mark.parametrize("module", list(modules()))
def test_no_constructor_of_the_engine_takes_a_callable(module: str) -> None:
    for found in classes(module):
        hints = typing.get_type_hints(found.__init__)
        assert [name for name, hint in hints.items() if is_callable(hint)] == [], found


def test_a_constructor_that_takes_a_callable_is_found() -> None:
    """Also where it hides in a container, or behind a name."""
    plain, alias = Callable[[], None], typing.Union[int, Callable[[str], str]]  # noqa: UP007
    assert is_callable(plain)
    assert is_callable(alias)
    assert is_callable(list[plain])  # type: ignore[valid-type]
    assert not is_callable(list[int])


def test_every_module_of_the_engine_is_on_a_floor() -> None:
    apart = ("budget", "promql", "watches")
    names = {name.split(".")[2] for name in modules()}
    assert names - set(apart) == set(FLOOR)


async def a_story(world: World) -> None:
    """A release is held for burning and released, an SLO invalid, a Rollout deleted while held."""
    await world.guarded()
    await world.held_for_burning(BURNING)
    world.measures(HEALTHY)
    await world.not_held(seconds=900)
    world.edit("web", kind="slos", objective="nonsense")
    await world.gate_is("Unknown", "SLOInvalid")
    world.edit("web", kind="slos", objective="99%")
    await world.gate_is("Open", "BudgetHealthy")
    world.release("3", pace=None)
    world.hold()
    await world.until("it is held", lambda: world.workload().paused)
    world.delete("rollouts")
    await world.until("it is released", lambda: not world.workload().paused)
    world.delete("slos")
    await world.passes(60)


def calls_of(story: Callable[[World], typing.Coroutine[object, object, None]]) -> Counter[str]:
    """Who calls whom among the modules of the engine, as ``caller -> callee``, and how often."""
    found: Counter[tuple[str, str]] = Counter()

    def record(frame: FrameType, event: str, argument: object) -> None:
        if event != "call" or not frame.f_code.co_filename.startswith(ENGINE):
            return
        caller = frame.f_back
        if caller is not None and caller.f_code.co_filename.startswith(ENGINE):
            found[caller.f_code.co_filename, frame.f_code.co_filename] += 1

    world = World()
    sys.setprofile(record)
    try:
        world.play(story(world))
    finally:
        sys.setprofile(None)
    return Counter({f"{name(one)} -> {name(other)}": n for (one, other), n in found.items()})


def name(file: str) -> str:
    """A module's name within the engine, or its package's."""
    return file.removeprefix(ENGINE).partition("/")[0].removesuffix(".py")


@pytest.fixture(scope="module")
def calls() -> Counter[str]:
    """Those of one story."""
    return calls_of(a_story)


def test_no_call_leads_up_from_a_store_or_a_writer_to_a_controller(calls: Counter[str]) -> None:
    upwards = [
        edge
        for edge in calls
        if (ends := edge.split(" -> "))[0] != ends[1]
        and set(ends) <= set(FLOOR)
        and FLOOR[ends[0]] > FLOOR[ends[1]]
    ]
    assert upwards == []


def test_the_story_goes_through_every_part(calls: Counter[str]) -> None:
    seen = {end for edge in calls for end in edge.split(" -> ")}
    # The HTTP server reads the views; no part of the engine does.
    views = {"gate_view", "budget_view"}
    assert set(FLOOR) - seen <= {"ports", "metric_names", "wiring"} | views


def test_two_parts_of_one_floor_know_nothing_of_each_other(calls: Counter[str]) -> None:
    side = [
        edge
        for edge in calls
        if (ends := edge.split(" -> "))[0] != ends[1]
        and set(ends) <= set(FLOOR)
        and FLOOR[ends[0]] == FLOOR[ends[1]]
    ]
    assert side == []

"""Killed before or after any write that it makes, the engine's successor comes to the same end.

Each story is played once unharmed, and its writes are counted; then once for each of these writes
and both moments. Another engine takes over at once upon what is there, and finishes the story.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from support.doubles.connection import Fault, killed_after, killed_before
from support.virtual.stories import STORIES, Story, end
from support.virtual.world import World


def played(story: Story, fault: Fault | None = None, number: int = 0, every: int = 0) -> World:
    """A story, with a death at one write or at every so many of them; judged at its end."""
    world = World()
    world.has_successors = True
    if fault is not None:
        numbers = range(every, 10_000, every) if every else range(number, number + 1)
        world.trouble(fault, matches=lambda call: call.writes, numbers=numbers)
    world.play(story(world))
    return world


def is_part_of(some: Iterable[str], all_of_them: Iterable[str]) -> bool:
    """Whether some are left of all when others are left out, in the same order."""
    left = iter(all_of_them)
    return all(one in left for one in some)


@pytest.mark.parametrize("death", [killed_before(), killed_after()], ids=["before", "after"])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_killed_at_any_write_its_successor_comes_to_the_same_end(
    story: Story, death: Fault
) -> None:
    unharmed = played(story)
    wanted, told = end(unharmed), unharmed.reasons()
    writes = unharmed.connections.attempts()
    assert len(writes) > 6
    for number, write in enumerate(writes, 1):
        world = played(story, death, number)
        where = f"killed at write {number} of {len(writes)}, {write.call}"
        assert len(world.processes) == 2, where
        assert end(world) == wanted, where
        assert is_part_of(world.reasons(), told), (where, world.reasons(), told)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
@pytest.mark.parametrize("every", [4, 7])
def test_killed_again_and_again_they_come_to_the_same_end_together(
    story: Story, every: int
) -> None:
    wanted = end(played(story))
    world = played(story, killed_after(), every=every)
    assert len(world.processes) > 1
    assert end(world) == wanted

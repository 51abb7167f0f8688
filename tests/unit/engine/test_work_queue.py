"""Keys to be worked on: each waits once, is worked on by one at a time, and is never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.engine.work_queue import BACKOFF_SECONDS, WorkQueue
from support.clocks import SimulatedLoop


class Scene:
    """A queue and a loop in which time passes only while nothing else is to be done."""

    def __init__(self, gather_seconds: float = 0.0) -> None:
        self.loop = SimulatedLoop()
        self.queue: WorkQueue[str] = WorkQueue(self.loop, gather_seconds)

    def play(self, story: Coroutine[Any, Any, None]) -> None:
        self.loop.play(story)

    async def is_empty(self) -> bool:
        """Whether nothing is ready now."""
        getting = asyncio.create_task(self.queue.get())
        for _ in range(3):
            await asyncio.sleep(0)
        if getting.done():
            return False
        getting.cancel()
        await asyncio.gather(getting, return_exceptions=True)
        return True

    async def taken(self) -> tuple[float, str]:
        """The next key, done at once, and when it came."""
        key, _ = await self.queue.get()
        self.queue.done(key)
        return self.loop.time(), key


def test_a_key_added_twice_waits_once_and_keeps_its_mark() -> None:
    scene = Scene()

    async def story() -> None:
        for mark in (False, True, False):
            scene.queue.add("a", mark=mark)
        assert await scene.queue.get() == ("a", True)
        scene.queue.done("a")
        assert await scene.is_empty()

    scene.play(story())


def test_keys_come_in_the_order_they_were_added() -> None:
    scene = Scene()

    async def story() -> None:
        scene.queue.add_all("cabc")
        assert [(await scene.queue.get())[0] for _ in range(3)] == ["c", "a", "b"]

    scene.play(story())


def test_a_key_added_while_it_is_worked_on_waits_until_that_is_done() -> None:
    scene = Scene()

    async def story() -> None:
        scene.queue.add("a", mark=True)
        await scene.queue.get()
        for mark in (False, True):
            scene.queue.add("a", mark=mark)
        assert await scene.is_empty()
        scene.queue.done("a")
        assert await scene.queue.get() == ("a", True)
        scene.queue.done("a")
        assert await scene.is_empty()

    scene.play(story())


def test_a_mark_is_taken_with_its_key() -> None:
    scene = Scene()

    async def story() -> None:
        scene.queue.add("a", mark=True)
        await scene.queue.get()
        scene.queue.add("a")
        scene.queue.done("a")
        assert await scene.queue.get() == ("a", False)

    scene.play(story())


def test_who_waits_for_a_key_is_woken_by_one() -> None:
    scene = Scene()

    async def story() -> None:
        getting = asyncio.create_task(scene.queue.get())
        await asyncio.sleep(0)
        assert not getting.done()
        scene.queue.add("a")
        assert await getting == ("a", False)

    scene.play(story())


def test_a_delayed_key_comes_at_its_moment_and_the_earlier_of_two_delays_counts() -> None:
    scene = Scene()

    async def story() -> None:
        for key, seconds in (("a", 30.0), ("b", 20.0), ("a", 10.0), ("b", 40.0)):
            scene.queue.add_after(key, seconds)
        assert await scene.taken() == (10.0, "a")
        assert await scene.taken() == (20.0, "b")
        await asyncio.sleep(100)
        assert await scene.is_empty()

    scene.play(story())


def test_a_delay_that_is_over_is_none() -> None:
    scene = Scene()

    async def story() -> None:
        scene.queue.add_after("a", -1.0)
        assert await scene.taken() == (0.0, "a")

    scene.play(story())


def test_a_key_that_is_taken_loses_its_delay_since_its_worker_says_when_it_comes_next() -> None:
    scene = Scene()

    async def story() -> None:
        scene.queue.add_after("a", 10.0)
        scene.queue.add("a")
        assert await scene.taken() == (0.0, "a")
        scene.queue.add_after("a", 60.0)
        assert await scene.taken() == (60.0, "a")

    scene.play(story())


def test_a_key_that_fails_comes_later_each_time_until_it_succeeds() -> None:
    scene = Scene()

    async def story() -> None:
        waited = []
        for _ in range(len(BACKOFF_SECONDS) + 2):
            begun = scene.loop.time()
            scene.queue.add_with_backoff("a")
            waited.append((await scene.taken())[0] - begun)
        assert waited == [*BACKOFF_SECONDS, BACKOFF_SECONDS[-1], BACKOFF_SECONDS[-1]]
        scene.queue.forget_failures("a")
        assert scene.queue.add_with_backoff("a") == BACKOFF_SECONDS[0]

    scene.play(story())


def test_one_that_was_reported_when_to_come_back_does_not_come_earlier() -> None:
    scene = Scene()

    async def story() -> None:
        assert scene.queue.add_with_backoff("a", at_least=20.0) == 20.0
        assert await scene.taken() == (20.0, "a")

    scene.play(story())


@pytest.mark.parametrize("gather_seconds", [0.0, 0.25])
def test_news_brings_a_key_back_no_sooner_than_the_api_server_asked(gather_seconds: float) -> None:
    scene = Scene(gather_seconds)

    async def story() -> None:
        scene.queue.add_with_backoff("a", at_least=20.0)
        for _ in range(3):
            await asyncio.sleep(5.0)
            scene.queue.add("a")
            scene.queue.add_after("a", 0.5)
        assert await scene.taken() == (20.0, "a")
        assert await scene.is_empty()

    scene.play(story())


def test_what_was_added_while_a_throttled_key_was_worked_on_comes_no_sooner_either() -> None:
    scene = Scene()

    async def story() -> None:
        scene.queue.add("a")
        await scene.queue.get()
        scene.queue.add("a", mark=True)
        scene.queue.add_after("a", 3.0)
        scene.queue.add_with_backoff("a", at_least=20.0)
        scene.queue.done("a")
        assert await scene.queue.get() == ("a", True)
        assert scene.loop.time() == 20.0

    scene.play(story())


def test_a_throttled_key_keeps_the_mark_that_it_was_added_with_meanwhile() -> None:
    scene = Scene()

    async def story() -> None:
        scene.queue.add_with_backoff("a", at_least=20.0)
        for mark in (False, True, False):
            scene.queue.add("a", mark=mark)
        assert await scene.is_empty()
        assert await scene.queue.get() == ("a", True)
        scene.queue.done("a")
        scene.queue.add("a")
        assert await scene.queue.get() == ("a", False)

    scene.play(story())


def test_a_throttled_key_delays_no_other_and_not_itself_the_next_time() -> None:
    scene = Scene()

    async def story() -> None:
        scene.queue.add_with_backoff("a", at_least=20.0)
        scene.queue.add("b")
        assert await scene.taken() == (0.0, "b")
        assert await scene.taken() == (20.0, "a")
        scene.queue.add("a")
        assert await scene.taken() == (20.0, "a")

    scene.play(story())


def test_a_batch_takes_no_throttled_key_early_to_gather_it() -> None:
    scene = Scene(gather_seconds=0.25)

    async def story() -> None:
        scene.queue.add_with_backoff("a", at_least=20.0)
        scene.queue.add_after("b", 19.875)
        assert await scene.queue.get_batch() == ["b"]
        assert await scene.queue.get_batch() == ["a"]
        assert scene.loop.time() == 20.0

    scene.play(story())


@pytest.mark.parametrize(("at_least", "comes_at"), [(0.0, 0.25), (0.5, 0.5)])
def test_news_cuts_an_ordinary_back_off_short_but_not_what_was_asked_for(
    at_least: float, comes_at: float
) -> None:
    scene = Scene()

    async def story() -> None:
        scene.queue.add_with_backoff("a", at_least)
        await asyncio.sleep(0.25)
        scene.queue.add("a")
        assert await scene.taken() == (comes_at, "a")

    scene.play(story())


def test_nothing_wakes_anybody_while_nothing_is_due() -> None:
    """In a loop that only passes time, a poll would be an iteration."""
    scene, turns = Scene(), []

    async def story() -> None:
        workers = [asyncio.create_task(scene.taken()) for _ in range(8)]
        scene.queue.add_after("a", 86_400.0)
        await asyncio.sleep(0)
        turn = scene.loop._run_once  # type: ignore[attr-defined]
        scene.loop._run_once = lambda: (turns.append(1), turn())  # type: ignore[attr-defined]
        await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        assert scene.loop.time() == 86_400.0

    scene.play(story())
    assert len(turns) < 20


def test_a_batch_has_all_that_is_due_and_all_that_is_due_soon_after() -> None:
    scene = Scene(gather_seconds=0.25)

    async def story() -> None:
        for key, seconds in (("a", 9.75), ("b", 10.0), ("c", 10.25)):
            scene.queue.add_after(key, seconds)
        assert sorted(await scene.queue.get_batch()) == ["a", "b"]
        assert scene.loop.time() == 9.75
        assert await scene.queue.get_batch() == ["c"]
        assert scene.loop.time() == 10.25

    scene.play(story())


def test_what_is_added_within_the_time_to_gather_comes_in_one_batch() -> None:
    scene = Scene(gather_seconds=0.25)

    async def story() -> None:
        scene.queue.add("a")
        await asyncio.sleep(0.125)
        scene.queue.add("b")
        assert await scene.queue.get_batch() == ["a", "b"]
        assert scene.loop.time() == 0.25

    scene.play(story())


def test_a_queue_is_stuck_for_as_long_as_a_ready_key_is_not_taken() -> None:
    scene = Scene()

    async def story() -> None:
        assert scene.queue.stuck_seconds() == 0
        scene.queue.add_after("a", 10.0)
        scene.queue.add_after("b", 20.0)
        await asyncio.sleep(30.0)
        assert scene.queue.stuck_seconds() == 20.0
        await scene.taken()
        assert scene.queue.stuck_seconds() == 0
        await asyncio.sleep(5.0)
        assert scene.queue.stuck_seconds() == 5.0
        await scene.taken()
        assert scene.queue.stuck_seconds() == 0

    scene.play(story())


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 2)), max_size=40),
    st.integers(1, 4),
)
def test_nothing_is_lost_and_nothing_is_worked_on_by_two(
    adds: list[tuple[str, bool, int]], workers: int
) -> None:
    scene = Scene()
    queue = scene.queue

    async def story() -> None:
        busy: set[str] = set()
        # What each key was added for last, and what the last work on it has seen of that.
        wanted: dict[str, int] = {}
        worked: dict[str, int] = {}
        marks: set[str] = set()

        async def work() -> None:
            while True:
                key, mark = await queue.get()
                assert key not in busy
                assert mark is (key in marks)
                marks.discard(key)
                busy.add(key)
                worked[key] = wanted[key]
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                busy.discard(key)
                queue.done(key)

        tasks = [asyncio.create_task(work()) for _ in range(workers)]
        for number, (key, mark, pause) in enumerate(adds):
            wanted[key] = number
            if mark:
                marks.add(key)
            queue.add(key, mark=mark)
            for _ in range(pause):
                await asyncio.sleep(0)
        for _ in range(20 * len(adds) + 20):
            await asyncio.sleep(0)
        for task in tasks:
            assert not task.done()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert worked == wanted

    scene.play(story())

"""Keys to be worked on: each waits once, is worked on by one at a time, and is never lost."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from penstock.engine.orders import Orders


def run(story) -> None:
    asyncio.run(asyncio.wait_for(story(), 30))


def waits(orders: Orders[str]) -> bool:
    return orders._queue.empty()


def test_a_key_put_twice_waits_once_and_keeps_its_mark() -> None:
    async def story() -> None:
        orders: Orders[str] = Orders()
        for urgent in (False, True, False):
            orders.put("a", urgent=urgent)
        assert await orders.take() == ("a", True)
        orders.done("a")
        assert waits(orders)

    run(story)


def test_keys_come_in_the_order_they_were_put() -> None:
    async def story() -> None:
        orders: Orders[str] = Orders()
        for key in "cabc":
            orders.put(key, urgent=False)
        assert [(await orders.take())[0] for _ in range(3)] == ["c", "a", "b"]

    run(story)


def test_a_key_put_while_it_is_worked_on_waits_until_that_is_done() -> None:
    async def story() -> None:
        orders: Orders[str] = Orders()
        orders.put("a", urgent=True)
        await orders.take()
        for urgent in (False, True):
            orders.put("a", urgent=urgent)
        assert waits(orders)
        orders.done("a")
        assert await orders.take() == ("a", True)
        orders.done("a")
        assert waits(orders)

    run(story)


def test_a_mark_is_taken_with_its_key() -> None:
    async def story() -> None:
        orders: Orders[str] = Orders()
        orders.put("a", urgent=True)
        await orders.take()
        orders.put("a", urgent=False)
        orders.done("a")
        assert await orders.take() == ("a", False)

    run(story)


def test_taking_waits_for_a_key() -> None:
    async def story() -> None:
        orders: Orders[str] = Orders()
        taking = asyncio.create_task(orders.take())
        await asyncio.sleep(0)
        assert not taking.done()
        orders.put("a", urgent=False)
        assert await taking == ("a", False)

    run(story)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 2)), max_size=40),
    st.integers(1, 4),
)
def test_nothing_is_lost_and_nothing_is_worked_on_by_two(
    puts: list[tuple[str, bool, int]], workers: int
) -> None:
    async def story() -> None:
        orders: Orders[str] = Orders()
        busy: set[str] = set()
        # What each key was put for last, and what the last work on it has seen of that.
        wanted: dict[str, int] = {}
        worked: dict[str, int] = {}
        marks: set[str] = set()

        async def work() -> None:
            while True:
                key, urgent = await orders.take()
                assert key not in busy
                assert urgent is (key in marks)
                marks.discard(key)
                busy.add(key)
                worked[key] = wanted[key]
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                busy.discard(key)
                orders.done(key)

        tasks = [asyncio.create_task(work()) for _ in range(workers)]
        for number, (key, urgent, pause) in enumerate(puts):
            wanted[key] = number
            if urgent:
                marks.add(key)
            orders.put(key, urgent=urgent)
            for _ in range(pause):
                await asyncio.sleep(0)
        for _ in range(20 * len(puts) + 20):
            await asyncio.sleep(0)
        for task in tasks:
            assert not task.done()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert worked == wanted

    run(story)

"""The contracts of ``engine.ports.Lease`` and ``engine.ports.Snapshots``."""

from __future__ import annotations

import asyncio

from support.doubles.sides import Side

LEASE_SECONDS, DEADLINE_SECONDS = 15.0, 10.0


async def test_one_of_two_holds_the_lease(side: Side) -> None:
    one, two = side.lease("one"), side.lease("two")
    assert not one.held
    await one.acquire()
    assert (one.held, two.held) == (True, False)
    waiting = asyncio.create_task(two.acquire())
    await asyncio.sleep(3)
    assert not waiting.done()
    waiting.cancel()
    await one.release()


async def test_one_that_gives_it_back_lets_the_next_one_in_at_once(side: Side) -> None:
    one, two = side.lease("one"), side.lease("two")
    await one.acquire()
    await one.release()
    assert not one.held
    async with asyncio.timeout(10):
        await two.acquire()
    assert two.held


async def test_one_that_does_not_renew_stops_before_another_may_begin(side: Side) -> None:
    one, two = side.lease("one"), side.lease("two")
    await one.acquire()
    waiting = asyncio.create_task(two.acquire())
    await asyncio.sleep(3)
    side.pass_time(DEADLINE_SECONDS - 3)
    assert not one.held
    assert not two.held
    side.pass_time(LEASE_SECONDS)
    async with asyncio.timeout(30):
        await waiting
    assert (one.held, two.held) == (False, True)


async def test_one_that_keeps_it_renews_and_ends_when_another_has_it(side: Side) -> None:
    one, two = side.lease("one"), side.lease("two")
    await one.acquire()
    keeping = asyncio.create_task(one.renew())
    for _ in range(3):
        await asyncio.sleep(3)
        side.pass_time(DEADLINE_SECONDS / 2)
        assert one.held
    side.pass_time(DEADLINE_SECONDS)
    async with asyncio.timeout(30):
        await keeping
    assert not one.held
    await two.release()


async def test_who_never_held_it_gives_nothing_back(side: Side) -> None:
    one, two = side.lease("one"), side.lease("two")
    await one.acquire()
    await two.release()
    assert one.held


async def test_what_was_saved_last_is_loaded_by_the_next_process(side: Side) -> None:
    assert await side.snapshots().load() == {}
    store = side.snapshots()
    kept = {f"{number:032x}": bytes([number]) * 100 for number in range(3)}
    await store.save(kept)
    assert await side.snapshots().load() == kept
    fewer = {name: data for name, data in kept.items() if not name.endswith("1")}
    await store.save(fewer)
    assert await side.snapshots().load() == fewer
    await store.save({})
    assert await side.snapshots().load() == {}

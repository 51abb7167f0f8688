"""How many requests go at once: half at each complaint, one more after a run of answers."""

from __future__ import annotations

import asyncio

from penstock.adapters.backpressure import ANSWERS_FOR_ONE_MORE, AdaptiveLimiter


def answer(limiter: AdaptiveLimiter, times: int) -> None:
    for _ in range(times):
        limiter.answered()


def test_it_is_halved_at_each_refusal_and_never_none():
    limiter = AdaptiveLimiter(4)
    seen = []
    for _ in range(4):
        limiter.slow_down()
        seen.append(limiter.limit)
    assert seen == [2, 1, 1, 1]


def test_it_comes_back_one_by_one_and_not_beyond_what_it_was():
    limiter = AdaptiveLimiter(4)
    limiter.slow_down()
    seen = []
    for _ in range(4):
        answer(limiter, ANSWERS_FOR_ONE_MORE)
        seen.append(limiter.limit)
    assert seen == [3, 4, 4, 4]


def test_a_refusal_begins_the_run_of_answers_again():
    limiter = AdaptiveLimiter(4)
    limiter.slow_down()
    answer(limiter, ANSWERS_FOR_ONE_MORE - 1)
    limiter.slow_down()
    answer(limiter, ANSWERS_FOR_ONE_MORE - 1)
    assert limiter.limit == 1


def test_no_more_are_inside_than_may_be_and_all_come_through():
    async def everybody(limiter: AdaptiveLimiter) -> int:
        inside = most = 0

        async def one(number: int) -> None:
            nonlocal inside, most
            async with limiter:
                inside += 1
                most = max(most, inside)
                if number == 5:
                    limiter.slow_down()
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*map(one, range(30)))
        return most

    assert asyncio.run(everybody(AdaptiveLimiter(3))) == 3


def test_one_that_is_cancelled_while_it_waits_takes_nobodys_place():
    async def scene() -> None:
        slots = AdaptiveLimiter(1)
        async with slots:
            waiting = asyncio.create_task(slots.__aenter__())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(5), slots:
            pass

    asyncio.run(scene())

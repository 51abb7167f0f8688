"""Which watches are connected, from the requests of an HTTP session as Kopf makes them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import aiohttp
import kopf
from aiohttp import web

from penstock.handlers.streams import Sessions, WatchStreams
from support.clocks import MovedClock

SLOS, DEPLOYMENTS = "/apis/penstock.dev/v1alpha1/slos", "/apis/apps/v1/deployments"
Ask = Callable[[str, int], Awaitable[None]]


def lived(story: Callable[[WatchStreams, MovedClock, Ask], Awaitable[None]]) -> None:
    """A story with the streams of slos and deployments.

    The server answers each request with the status that ``ask`` names beside its path.
    """

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=int(request.headers["Status"]))

    async def live() -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        clock = MovedClock()
        streams = WatchStreams(clock, ("slos", "deployments"))
        try:
            await story(streams, clock, asker(streams, runner.addresses[0][1]))
        finally:
            await runner.cleanup()

    asyncio.run(live())


def asker(streams: WatchStreams, port: int) -> Ask:
    """Asks as a Kopf would that begins now."""
    trace = streams.trace(("slos", "deployments"))

    async def ask(path: str, status: int) -> None:
        async with aiohttp.ClientSession(trace_configs=[trace]) as session:
            url = f"http://127.0.0.1:{port}{path}"
            async with session.get(url, headers={"Status": str(status)}):
                pass

    return ask


async def connect(ask: Ask, *paths: str) -> None:
    for path in paths:
        await ask(path, 200)
        await ask(f"{path}?watch=true", 200)


def test_a_watch_that_was_never_connected_is_lost_since_ever() -> None:
    async def story(streams: WatchStreams, _: MovedClock, ask: Ask) -> None:
        await connect(ask, SLOS)
        assert streams.lost() == ("deployments", math.inf)
        await ask(DEPLOYMENTS, 200)
        await ask(f"{DEPLOYMENTS}?watch=true", 403)
        assert streams.lost() == ("deployments", math.inf), "its list is not a watch"
        await connect(ask, DEPLOYMENTS)
        assert streams.lost() is None

    lived(story)


def test_a_watch_is_lost_from_the_first_attempt_to_connect_again() -> None:
    async def story(streams: WatchStreams, clock: MovedClock, ask: Ask) -> None:
        await connect(ask, SLOS, DEPLOYMENTS)
        clock.move(1000)
        assert streams.lost() is None, "a stream that stands makes no requests"
        for _ in range(3):
            await ask(f"{SLOS}?watch=true", 503)
            clock.move(20)
        found = streams.lost()
        assert found is not None
        assert (found[0], round(found[1])) == ("slos", 60)
        await connect(ask, SLOS)
        assert streams.lost() is None

    lived(story)


def test_a_watch_in_each_namespace_counts() -> None:
    async def story(streams: WatchStreams, clock: MovedClock, ask: Ask) -> None:
        a, b = (f"/apis/penstock.dev/v1alpha1/namespaces/{name}/slos" for name in "ab")
        await ask(a, 200)
        await ask(b, 200)
        await connect(ask, a, DEPLOYMENTS)
        assert streams.lost() == ("slos", math.inf)
        await connect(ask, b)
        assert streams.lost() is None

    lived(story)


def test_the_end_of_a_kopf_loses_all_and_its_later_requests_do_not_count() -> None:
    async def story(streams: WatchStreams, clock: MovedClock, ask: Ask) -> None:
        await connect(ask, SLOS, DEPLOYMENTS)
        streams.lose_all()
        clock.move(40)
        await connect(ask, SLOS, DEPLOYMENTS)
        found = streams.lost()
        assert found is not None
        assert round(found[1]) == 40
        streams.lose_all()
        assert streams.lost() is not None

    lived(story)


def test_only_what_the_present_kopf_watches_counts() -> None:
    async def story(streams: WatchStreams, _: MovedClock, ask: Ask) -> None:
        await connect(ask, SLOS, DEPLOYMENTS)
        streams.trace(("slos", "rollouts"))
        assert streams.lost() == ("rollouts", math.inf)
        streams.trace(("slos",))
        assert streams.lost() is None

    lived(story)


def test_other_requests_are_not_taken_for_watches() -> None:
    async def story(streams: WatchStreams, clock: MovedClock, ask: Ask) -> None:
        await connect(ask, SLOS, DEPLOYMENTS)
        await ask("/apis/apps/v1", 503)
        await ask("/apis", 503)
        clock.move(100)
        assert streams.lost() is None

    lived(story)


def test_sessions_of_the_same_credentials_are_equal() -> None:
    """So that Kopf does not try refused ones for ever."""

    async def live() -> None:
        sessions = Sessions(WatchStreams(MovedClock(), ()).trace(()))
        first, again, other = (
            sessions.open(kopf.ConnectionInfo(server="https://127.0.0.1:1", token=token))
            for token in ("planted-a", "planted-a", "planted-b")
        )
        assert first == again
        assert first != other
        assert first.aiohttp_session is not again.aiohttp_session
        assert "planted" not in repr(first)
        await sessions.close()
        assert first.aiohttp_session.closed
        assert again.aiohttp_session.closed

    asyncio.run(live())

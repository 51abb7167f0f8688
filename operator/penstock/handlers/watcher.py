"""Runs Kopf as a feed that may end and is restarted, in its own thread and event loop.

Many ordinary hiccups of an API server end a Kopf operator (an ERROR inside a stream, a 410 on a
list, a line that is not JSON). At its exit it cancels every task of its loop, and its start burst
would delay our timers. So it has its own thread, and its end is an event like any other. The feed
never decides, writes or keeps state: ``on.event`` handlers write nothing to anybody's object.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import kopf

from penstock.domain.cached_object import Resource
from penstock.engine.metric_names import CounterName
from penstock.engine.ports import Clock, MetricsRecorder, WatchEvent
from penstock.engine.watches import Watch
from penstock.handlers.events import build_registry
from penstock.handlers.kopf_settings import kopf_settings
from penstock.handlers.streams import Sessions, WatchStreams

log = logging.getLogger(__name__)

# Set, because Kopf otherwise looks up the user's name, which a container's uid need not have.
IDENTITY: Any = "penstock"
RESTART_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
STEADY_SECONDS = 120.0
END_SECONDS = 10.0
# A restarted API server is back sooner, and Kopf's pauses between attempts are shorter at first.
LOST_SECONDS = 30.0
# Longer than any pause between Kopf's attempts.
GIVE_UP_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class WatcherHealth:
    """Whether the feed runs, and since when (monotonic seconds) it does or does not."""

    running: bool
    since: float


class Watcher:
    """Watches some kinds for as long as it runs, whatever ends a single Kopf operator."""

    def __init__(
        self,
        watches: Sequence[Watch],
        take: Callable[[WatchEvent], None],
        again: Callable[[], None],
        clock: Clock,
        metrics: MetricsRecorder,
        namespaces: Sequence[str] = (),
        readable: Callable[[], Collection[str]] = lambda: tuple(Resource),
    ) -> None:
        """``take`` receives every change; ``again`` is called after each restart, to list the gap.

        ``watches`` are of kinds other than Penstock's own. ``namespaces`` limits what is watched;
        none means all. ``readable`` is called at each start: a watch of a kind that we may not read
        would end the feed again and again.
        """
        self._watches = watches
        self._on_event, self._on_restart, self._clock, self._metrics = take, again, clock, metrics
        self._namespaces, self._readable = namespaces, readable
        self._plurals = [watch.resource.plural for watch in watches]
        self._streams = WatchStreams(clock, self._plurals)
        self.health = WatcherHealth(False, clock.monotonic())
        self.ended = asyncio.Event()

    def not_connected(self) -> str:
        """Which watch cannot connect; empty while each has been connected within LOST_SECONDS."""
        lost = self._streams.lost()
        if lost is None or lost[1] < LOST_SECONDS:
            return ""
        plural, seconds = lost
        if math.isinf(seconds):
            return f"the watch of {plural} is not connected yet"
        return f"the watch of {plural} has not been connected for {seconds:.0f} s"

    async def run(self) -> None:
        """Run until cancelled."""
        failures = 0
        while True:
            started = self._clock.monotonic()
            error = await self._once()
            self.ended.set()
            if self._clock.monotonic() - started > STEADY_SECONDS:
                failures = 0
            seconds = RESTART_SECONDS[min(failures, len(RESTART_SECONDS) - 1)]
            seconds *= random.uniform(0.8, 1.2)  # noqa: S311
            failures += 1
            self._metrics.count(CounterName.FEED_RESTARTS)
            log.warning("the feed ended (%s); it starts again in %.1f s", error, seconds)
            await asyncio.sleep(seconds)
            self._on_restart()

    async def _once(self) -> str:
        """Run one Kopf operator from start to end; returns why it ended."""
        ours = asyncio.get_running_loop()
        ended: asyncio.Future[str] = ours.create_future()
        resources = self._readable()
        sessions = Sessions(self._streams.trace([*resources, *self._plurals]))
        watch = _Watch(
            self._watches, self._on_event, ours, ended, self._namespaces, resources, sessions
        )
        thread = threading.Thread(target=watch.run, name="feed", daemon=True)
        thread.start()
        self.health = WatcherHealth(True, self._clock.monotonic())
        try:
            return await self._end_of(ended)
        finally:
            self.health = WatcherHealth(False, self._clock.monotonic())
            self._streams.lose_all()
            watch.stop()
            await asyncio.to_thread(thread.join, 3.0)

    async def _end_of(self, ended: asyncio.Future[str]) -> str:
        """Why Kopf ended or must end: it does not discover a kind again that was removed."""
        while True:
            await asyncio.wait({ended}, timeout=GIVE_UP_SECONDS)
            if ended.done():
                return ended.result()
            lost = self._streams.lost()
            if lost is not None and lost[1] >= GIVE_UP_SECONDS:
                return f"the watch of {lost[0]} did not connect"


class _Watch:
    """One Kopf operator in one thread."""

    def __init__(
        self,
        watches: Sequence[Watch],
        take: Callable[[WatchEvent], None],
        ours: asyncio.AbstractEventLoop,
        ended: asyncio.Future[str],
        namespaces: Sequence[str],
        resources: Collection[str],
        sessions: Sessions,
    ) -> None:
        self._watches = watches
        self._on_event, self._ours, self._ended = take, ours, ended
        self._namespaces, self._resources = namespaces, resources
        self._sessions = sessions
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flag: asyncio.Event | None = None

    def run(self) -> None:
        """Run in the thread."""
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._operate())
            message = "without an error"
        except BaseException as error:  # noqa: BLE001 - whatever ends it is logged, and it is restarted
            message = f"{type(error).__name__}: {str(error)[:200]}"
        self._from_our_loop(self._end, message)
        _leave(loop)

    def stop(self) -> None:
        """Ask it to end, by an event of its own loop: a thread's would keep it from returning."""
        loop, flag = self._loop, self._flag
        if loop is None or flag is None or loop.is_closed():
            return
        try:
            loop.call_soon_threadsafe(flag.set)
        except RuntimeError:
            return

    async def _operate(self) -> None:
        self._loop, self._flag = asyncio.get_running_loop(), asyncio.Event()
        scope: dict[str, Any] = (
            {"namespaces": list(self._namespaces)} if self._namespaces else {"clusterwide": True}
        )
        others = asyncio.all_tasks()
        tasks = await kopf.spawn_tasks(
            registry=build_registry(
                self._hand_over, self._resources, self._watches, self._sessions.open
            ),
            settings=kopf_settings(),
            standalone=True,
            identity=IDENTITY,
            stop_flag=self._flag,
            **scope,
        )
        running = asyncio.create_task(kopf.run_tasks(tasks, ignored=others))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        # It may hang here for ever: a watch can swallow the cancellation that should end it.
        await asyncio.wait({running}, timeout=END_SECONDS)
        await self._sessions.close()
        for task in (running, *tasks):
            if task.done() and not task.cancelled() and (failure := task.exception()):
                raise failure

    def _hand_over(self, change: WatchEvent) -> None:
        self._from_our_loop(self._on_event, change)

    def _end(self, message: str) -> None:
        if not self._ended.done():
            self._ended.set_result(message)

    def _from_our_loop(self, call: Callable[..., None], *arguments: object) -> None:
        try:
            self._ours.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            log.debug("the event loop ended before the feed")


def _leave(loop: asyncio.AbstractEventLoop) -> None:
    """Close a loop in bounded time, however its tasks react to cancellation."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
    with contextlib.suppress(TimeoutError):
        loop.run_until_complete(asyncio.wait_for(loop.shutdown_asyncgens(), timeout=1.0))
    loop.close()

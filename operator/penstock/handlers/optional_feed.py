"""A feed of kinds that a cluster may lack: it watches while they are served, and only then.

Kopf is started with what it has to watch, and ends when a kind of these is removed. So whenever
discovery finds other kinds than before, another one is started. The feed of Penstock's own objects
is apart from this: nothing that another tool's kinds do interrupts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Sequence

from penstock.domain.refs import ApiResource
from penstock.engine.ports import Clock, Discovery, KindChanged, MetricsRecorder, WatchEvent
from penstock.engine.watches import Watch
from penstock.errors import ClusterError
from penstock.handlers.watcher import Watcher

log = logging.getLogger(__name__)

# A discovery is three small requests.
DISCOVERY_SECONDS = 30.0

Served = frozenset[ApiResource]


class OptionalFeed:
    """Watches those of some kinds that are served."""

    def __init__(
        self,
        watches: Sequence[Watch],
        discovery: Discovery,
        take: Callable[[WatchEvent], None],
        again: Callable[[], None],
        clock: Clock,
        metrics: MetricsRecorder,
        namespaces: Sequence[str] = (),
        seconds: float = DISCOVERY_SECONDS,
    ) -> None:
        """``seconds`` pass between two looks at what is served, for the rest as ``Watcher``."""
        self._watches, self._discovery = watches, discovery
        self._take, self._again, self._clock, self._metrics = take, again, clock, metrics
        self._namespaces, self._seconds = namespaces, seconds

    async def run(self) -> None:
        """Until cancelled."""
        served: Served = frozenset()
        while True:
            if served:
                served = await self._watch(served)
            else:
                served = await self._next(served, asyncio.Event())

    async def _watch(self, served: Served) -> Served:
        """Watch these kinds until others are served; which."""
        watches = [watch for watch in self._watches if watch.resource in served]
        kinds = ", ".join(str(watch.resource) for watch in watches)
        log.info("watching %s", kinds)
        self._reobserve(served)
        watcher = Watcher(
            watches,
            self._take,
            self._again,
            self._clock,
            self._metrics,
            self._namespaces,
            readable=tuple,
        )
        running = asyncio.create_task(watcher.run())
        try:
            found = await self._next(served, watcher.ended)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        log.info("no longer watching %s: the API server serves other kinds now", kinds)
        self._reobserve(served - found)
        self._again()
        return found

    def _reobserve(self, kinds: Served) -> None:
        """What happened to workloads while their kind was not watched is found by looking."""
        for resource in kinds:
            self._take(KindChanged(resource))

    async def _next(self, served: Served, ended: asyncio.Event) -> Served:
        """What is served, once it differs; looked at now and then, and when a Kopf has ended."""
        while True:
            try:
                found = await self._discovery.served([one.resource for one in self._watches])
                if found != served:
                    return found
            except ClusterError as error:
                log.warning("cannot discover which kinds are served: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await ended.wait()
                ended.clear()


def optional_groups(watches: Iterable[Watch]) -> Collection[Sequence[Watch]]:
    """What a cluster may lack, by API group: one that fails, as without a right, stops no other."""
    groups: dict[str, list[Watch]] = {}
    for watch in watches:
        if not watch.resource.is_built_in:
            groups.setdefault(watch.resource.group, []).append(watch)
    return groups.values()

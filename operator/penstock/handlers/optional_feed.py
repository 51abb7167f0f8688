"""A feed of kinds that a cluster may lack: it watches them while they are served, and only then.

Kopf watches a fixed list of kinds, and ends when one of them is removed. So whenever discovery
finds other kinds than before, a new Kopf operator is started. The feed of Penstock's own objects is
separate: other tools' kinds never interrupt it.
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

# A discovery takes three small requests.
DISCOVERY_SECONDS = 30.0

Served = frozenset[ApiResource]


class OptionalFeed:
    """Watches those of its kinds that are served."""

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
        """``seconds`` is the time between two discoveries; the rest is as for ``Watcher``."""
        self._watches, self._discovery = watches, discovery
        self._take, self._again, self._clock, self._metrics = take, again, clock, metrics
        self._namespaces, self._seconds = namespaces, seconds

    async def run(self) -> None:
        """Run until cancelled."""
        served: Served = frozenset()
        while True:
            if served:
                served = await self._watch(served)
            else:
                served = await self._next(served, asyncio.Event())

    async def _watch(self, served: Served) -> Served:
        """Watch these kinds until others are served; returns those."""
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
        """Have workloads observed again that may have changed while their kind was not watched."""
        for resource in kinds:
            self._take(KindChanged(resource))

    async def _next(self, served: Served, ended: asyncio.Event) -> Served:
        """The served kinds, once they differ; checked periodically, and when Kopf has ended."""
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
    """Kinds that a cluster may lack, by API group: a group that fails stops no other."""
    groups: dict[str, list[Watch]] = {}
    for watch in watches:
        if not watch.resource.is_built_in:
            groups.setdefault(watch.resource.group, []).append(watch)
    return groups.values()

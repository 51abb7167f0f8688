"""The only writer of the object cache: watch events, and a list now and then.

Only a change of what an author wrote goes into a queue: our own status writes come back through
the watch too, and must not make us evaluate what we have just evaluated.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable

from penstock.engine import triggers
from penstock.engine.manager_index import Place
from penstock.engine.metric_names import CounterName
from penstock.engine.object_cache import ObjectChange
from penstock.engine.ports import (
    Deleted,
    KindChanged,
    ManagerChanged,
    MetricsRecorder,
    StatusApi,
    Upserted,
    WatchEvent,
    WorkloadChanged,
    Workloads,
)
from penstock.engine.stores import Stores
from penstock.errors import ClusterError

log = logging.getLogger(__name__)

RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)


class Informer:
    """Keeps the object cache true.

    Attributes:
        synced: set once the first list is complete.
        is_leading: whether this replica decides; a standby keeps its cache warm.
    """

    def __init__(
        self,
        stores: Stores,
        api: StatusApi,
        workloads: Workloads,
        metrics: MetricsRecorder,
        resync_seconds: float,
    ) -> None:
        self._cache, self._queues, self._managers = stores.cache, stores.queues, stores.managers
        self._api, self._workloads, self._metrics = api, workloads, metrics
        self._resync_seconds = resync_seconds
        self.synced = asyncio.Event()
        self.is_leading = False
        self._soon = asyncio.Event()

    def handle(self, event: WatchEvent) -> None:
        """One event of the watch; cheap, because a start brings thousands."""
        match event:
            case Upserted(resource, obj):
                self._changed(self._cache.upsert(resource, obj))
            case Deleted(resource, namespace, name):
                self._changed(self._cache.remove(resource, (namespace, name)))
            case WorkloadChanged(namespace, ref):
                self._queues.add(triggers.workload_changed(self._cache, namespace, ref))
            case ManagerChanged(manager, target):
                self._managed(self._managers.put(manager, target))
            case KindChanged(resource):
                self._queues.add(triggers.kind_changed(self._cache, resource))

    def relist_soon(self) -> None:
        """List as soon as possible: the watch had a gap."""
        self._soon.set()

    def start_leading(self) -> None:
        """From now on this replica decides; what waits in the queues was seen before that."""
        self.is_leading = True
        self._soon.set()

    async def run(self) -> None:
        """List now, then now and then: a deletion inside a watch's gap is never reported."""
        failures = 0
        while True:
            try:
                await self._relist()
                failures = 0
                self.synced.set()
                seconds = self._resync_seconds * random.uniform(0.9, 1.1)  # noqa: S311
            except ClusterError as error:
                seconds = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
                failures += 1
                log.warning("listing failed: %s; again in %.0f s", error, seconds)
            await self._sleep(seconds)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._soon.wait()
        except TimeoutError:
            return
        self._soon.clear()

    async def _relist(self) -> None:
        # A former leader's holds are judged by a list that was asked for since we lead.
        is_leading = self.is_leading
        for resource in triggers.TRIGGERS:
            self._cache.begin_relist(resource)
            listed = await self._api.list(resource)
            for change in self._cache.replace(resource, listed):
                if change.new is None:
                    self._metrics.count(CounterName.SWEPT, kind=resource)
                self._changed(change)
        for kind, found in (await self._workloads.list_managers()).items():
            self._managed(self._managers.replace(kind, found))
        if is_leading:
            self._queues.orphaned_holds.add("all")

    def _managed(self, changed: Iterable[Place]) -> None:
        for namespace, ref in changed:
            self._queues.add(triggers.workload_changed(self._cache, namespace, ref))

    def _changed(self, change: ObjectChange | None) -> None:
        if change is not None:
            self._queues.add(triggers.TRIGGERS[change.resource](self._cache, change))

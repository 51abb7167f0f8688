"""The only writer of the object cache: it handles watch events and lists periodically.

Only a change by an author adds keys to a queue. Our own status writes come back through the watch
too, and must not cause another evaluation.
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
from penstock.errors import ClusterError, Throttled

log = logging.getLogger(__name__)

RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)


class Informer:
    """Keeps the object cache up to date.

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
        """Handle one watch event; this must be cheap, because a start brings thousands."""
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
        """Start to decide; the next list also looks for orphaned holds."""
        self.is_leading = True
        self._soon.set()

    async def run(self) -> None:
        """List now and then periodically: a watch never reports a deletion inside its gap."""
        failures = 0
        while True:
            try:
                await self._relist()
                failures = 0
                self.synced.set()
                seconds = self._resync_seconds * random.uniform(0.9, 1.1)  # noqa: S311
            except ClusterError as error:
                at_least = error.retry_after if isinstance(error, Throttled) else 0.0
                seconds = max(at_least, RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
                log.warning("listing failed: %s; again in %.0f s", error, seconds)
                # A gap of the watch asks for a list at once, but not sooner than the API server.
                await asyncio.sleep(at_least)
                seconds -= at_least
            await self._sleep(seconds)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._soon.wait()
        except TimeoutError:
            return
        self._soon.clear()

    async def _relist(self) -> None:
        # Orphaned holds of a former leader need a list that began after we became the leader.
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

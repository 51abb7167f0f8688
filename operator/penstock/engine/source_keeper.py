"""Looks at every source, also at those that no SLO asks, and tells how it stands.

Where an evaluation has just asked, a look costs nothing. One that hangs is looked at by a task of
its own, so that it delays nobody else's status.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace

from penstock.domain.entry import Entry, Resource
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import SourceKind
from penstock.domain.source import Source
from penstock.domain.source_report import Health, SourceReason, SourceReport, source_report
from penstock.engine.catalog import Catalog, Key
from penstock.engine.ports import Clock, Cluster, Event, Lease, Metrics, Tally
from penstock.engine.telling import source_is_transition, source_is_worth_telling
from penstock.errors import ClusterError

log = logging.getLogger(__name__)

LOOK_SECONDS, STEP_SECONDS, AFTER_FAILURE_SECONDS = 5.0, 0.5, 15.0
AT_ONCE = 16
KINDS = {
    Resource.METRICS_SOURCE: SourceKind.METRICS_SOURCE,
    Resource.CLUSTER_METRICS_SOURCE: SourceKind.CLUSTER_METRICS_SOURCE,
}

Place = tuple[Resource, Key]


class SourceKeeper:
    """All sources' statuses. What was not written is made good by the next look."""

    def __init__(
        self,
        catalog: Catalog,
        cluster: Cluster,
        metrics: Metrics,
        clock: Clock,
        tally: Tally,
        lease: Lease,
    ) -> None:
        self._catalog, self._cluster, self._metrics = catalog, cluster, metrics
        self._clock, self._tally, self._lease = clock, tally, lease
        self._told: dict[Place, SourceReport] = {}
        self._next: dict[Place, float] = {}
        self._seen: dict[Place, tuple[ObjectRef, int]] = {}
        self._looking: dict[Place, asyncio.Task[None]] = {}
        self._bound = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._start_looking()
                await asyncio.sleep(STEP_SECONDS)
        finally:
            for task in self._looking.values():
                task.cancel()
            await asyncio.gather(*self._looking.values(), return_exceptions=True)

    def _start_looking(self) -> None:
        now, present = self._clock.monotonic(), set()
        for place, entry in self._all():
            present.add(place)
            running = self._looking.get(place)
            if running is not None and not running.done():
                continue
            if self._next.get(place, now) <= now or self._seen.get(place) != _version(entry):
                self._next[place], self._seen[place] = now + LOOK_SECONDS, _version(entry)
                self._looking[place] = asyncio.create_task(self._look(place))
        for gone in self._next.keys() - present:
            for known in (self._next, self._seen, self._told):
                known.pop(gone, None)

    def _all(self) -> Iterator[tuple[Place, Entry]]:
        for resource in KINDS:
            for entry in self._catalog.all(resource):
                yield (resource, (entry.ref.namespace, entry.ref.name)), entry

    async def _look(self, place: Place) -> None:
        async with self._bound:
            try:
                await self._look_and_tell(place)
            except ClusterError as error:
                log.warning("source %s was not told how it stands: %s", place[1][1], error)
                self._next[place] = self._clock.monotonic() + AFTER_FAILURE_SECONDS
            except Exception:
                log.exception("looking at source %s failed", place[1])
                self._tally.count("penstock_errors_total", where="sources")

    async def _look_and_tell(self, place: Place) -> None:
        entry = self._catalog.get(*place)
        if entry is None:
            return
        health = await self._health(entry)
        now_there = self._catalog.get(*place)
        if now_there is None or _version(now_there) != _version(entry) or not self._lease.held:
            return
        now = self._clock.now()
        told = self._told.get(place)
        if told is None and isinstance(entry.told, SourceReport):
            told = self._told[place] = replace(entry.told, told_at=now)
        made = source_report(KINDS[place[0]], entry.ref, entry.version, health, now, told)
        if not source_is_worth_telling(made, told):
            return
        await self._cluster.write_source(made)
        self._told[place] = made
        if source_is_transition(made, told):
            await self._cluster.tell(_event(made))

    async def _health(self, entry: Entry) -> Health:
        if isinstance(entry.value, Source):
            return await self._metrics.look(entry.value)
        return Health(SourceReason.INVALID, str(entry.value))


def _version(entry: Entry) -> tuple[ObjectRef, int]:
    return entry.ref, entry.version


def _event(report: SourceReport) -> Event:
    ready = report.ready
    warning = ready.status != "True"
    return Event(report.kind, report.ref, warning, ready.reason, ready.message, report.told_at)

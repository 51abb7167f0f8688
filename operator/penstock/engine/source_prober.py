"""Probes every source, also those that no SLO asks, and keeps its status up to date.

Where an evaluation has just asked, a probe costs nothing. One that hangs keeps a worker, and delays
nobody else's status.
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock.domain.entry import Entry, Resource
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import SourceKind
from penstock.domain.source import Source
from penstock.domain.source_report import Health, SourceReason, SourceReport, source_report
from penstock.engine.object_cache import SourceKey
from penstock.engine.ports import Clock, Metrics
from penstock.engine.status_writer import StatusWriter
from penstock.engine.stores import Stores

PROBE_SECONDS = 5.0
KINDS: Mapping[str, SourceKind] = {
    Resource.METRICS_SOURCE: SourceKind.METRICS_SOURCE,
    Resource.CLUSTER_METRICS_SOURCE: SourceKind.CLUSTER_METRICS_SOURCE,
}


class SourceProber:
    """Reconciles one source's status with how it stands."""

    name = "sources"

    def __init__(
        self, stores: Stores, metrics: Metrics, statuses: StatusWriter, clock: Clock
    ) -> None:
        self._cache = stores.cache
        self._metrics, self._statuses, self._clock = metrics, statuses, clock

    async def reconcile(self, key: SourceKey, *, marked: bool) -> float | None:
        """Probe it and write what was found. Raises ``ClusterError``."""
        del marked
        entry = self._cache.get(*key)
        if entry is None:
            self._statuses.forget(*key)
            return None
        health = await self._health(entry)
        present = self._cache.get(*key)
        if present is None or _version(present) != _version(entry):
            return 0.0
        last = self._statuses.last(key[0], entry)
        before = last if isinstance(last, SourceReport) else None
        now = self._clock.now()
        status = source_report(KINDS[key[0]], entry.ref, entry.version, health, now, before)
        await self._statuses.write(key[0], entry, status)
        return PROBE_SECONDS

    async def _health(self, entry: Entry) -> Health:
        if isinstance(entry.value, Source):
            return await self._metrics.look(entry.value)
        return Health(SourceReason.INVALID, str(entry.value))


def _version(entry: Entry) -> tuple[ObjectRef, int]:
    return entry.ref, entry.version

"""Probes every source, including those that no SLO uses, and keeps its status up to date.

A probe right after an evaluation costs nothing. One that hangs keeps a worker busy, and delays no
other source's status.
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock.domain.cached_object import CachedObject, Resource
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import SourceKind
from penstock.domain.source_status import SourceHealth, SourceReason, SourceStatus, source_status
from penstock.engine.object_cache import SourceKey
from penstock.engine.ports import Clock, EvidenceSource
from penstock.engine.status_writer import StatusWriter
from penstock.engine.stores import Stores

PROBE_SECONDS = 5.0
KINDS: Mapping[str, SourceKind] = {
    Resource.METRICS_SOURCE: SourceKind.METRICS_SOURCE,
    Resource.CLUSTER_METRICS_SOURCE: SourceKind.CLUSTER_METRICS_SOURCE,
}


class SourceProber:
    """Reconciles a source's status with its health."""

    name = "sources"

    def __init__(
        self, stores: Stores, evidence_source: EvidenceSource, statuses: StatusWriter, clock: Clock
    ) -> None:
        self._cache = stores.cache
        self._evidence_source, self._statuses, self._clock = evidence_source, statuses, clock

    async def reconcile(self, key: SourceKey, *, marked: bool) -> float | None:
        """Probe it and write the result. Raises ``ClusterError``."""
        del marked
        obj = self._cache.get(*key)
        if obj is None:
            self._statuses.forget(*key)
            return None
        health = await self._health(obj)
        present = self._cache.get(*key)
        if present is None or _version(present) != _version(obj):
            return 0.0
        last = self._statuses.last(key[0], obj)
        before = last if isinstance(last, SourceStatus) else None
        now = self._clock.now()
        status = source_status(KINDS[key[0]], obj.ref, obj.generation, health, now, before)
        await self._statuses.write(key[0], obj, status)
        return PROBE_SECONDS

    async def _health(self, obj: CachedObject) -> SourceHealth:
        if isinstance(obj.spec, MetricsSource):
            return await self._evidence_source.health(obj.spec)
        return SourceHealth(SourceReason.INVALID, str(obj.spec))


def _version(obj: CachedObject) -> tuple[ObjectRef, int]:
    return obj.ref, obj.generation

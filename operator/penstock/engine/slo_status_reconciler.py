"""Brings an SLO's status and its gauges up to date with the evidence."""

from __future__ import annotations

from penstock.domain.cached_object import Resource
from penstock.domain.slo import Slo
from penstock.domain.slo_status import SloStatus, slo_status
from penstock.engine.metric_names import GaugeName
from penstock.engine.object_cache import Key
from penstock.engine.ports import Clock, MetricsRecorder
from penstock.engine.status_writer import StatusWriter
from penstock.engine.stores import Stores
from penstock.errors import SpecInvalid


class SloStatusReconciler:
    """Latest wins: a status is computed from the newest evidence when its turn comes."""

    name = "slo status"

    def __init__(
        self, stores: Stores, statuses: StatusWriter, clock: Clock, metrics: MetricsRecorder
    ) -> None:
        self._cache, self._evidence = stores.cache, stores.evidence
        self._statuses, self._clock, self._metrics = statuses, clock, metrics

    async def reconcile(self, key: Key, *, marked: bool) -> None:
        """Write the status, if it is worth a write. Raises ``ClusterError``."""
        del marked
        obj = self._cache.get(Resource.SLO, key)
        if obj is None:
            self._statuses.forget(Resource.SLO, key)
            self._metrics.forget(namespace=key[0], slo=key[1])
            return
        if isinstance(obj.spec, SpecInvalid):
            self._metrics.forget(namespace=key[0], slo=key[1])
            await self._statuses.write_invalid(Resource.SLO, obj, obj.spec)
            return
        known = self._evidence.get(key)
        if known is None or not isinstance(obj.spec, Slo) or not _is_same(known.slo, obj.spec):
            return
        last = self._statuses.last(Resource.SLO, obj)
        before = last if isinstance(last, SloStatus) else None
        status = slo_status(known.slo, known.evidence, self._clock.now(), before)
        self._set_gauges(key, status)
        await self._statuses.write(Resource.SLO, obj, status)

    def _set_gauges(self, key: Key, status: SloStatus) -> None:
        labels = {"namespace": key[0], "slo": key[1]}
        if status.remaining is not None:
            remaining = float(status.remaining)
            self._metrics.gauge(GaugeName.SLO_BUDGET_REMAINING, remaining, **labels)
        for window, burn in status.burns:
            self._metrics.gauge(GaugeName.SLO_BURN_RATE, float(burn), **labels, window=str(window))


def _is_same(measured: Slo, slo: Slo) -> bool:
    """Whether evidence is of this very SLO; a newer one gets its own evidence soon."""
    return measured.ref.uid == slo.ref.uid and measured.generation == slo.generation

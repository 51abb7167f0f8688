"""Releases holds whose Rollout is gone: it was deleted while no operator was watching."""

from __future__ import annotations

import logging

from penstock.domain.cached_object import Resource
from penstock.engine.actuator import Actuator
from penstock.engine.metric_names import CounterName
from penstock.engine.ports import HoldOutcome, HoldRef, MetricsRecorder, Workloads
from penstock.engine.stores import Stores
from penstock.errors import ClusterError

log = logging.getLogger(__name__)


class OrphanedHolds:
    """Reconciles all holds of the cluster at once; its queue has a single key."""

    name = "orphaned holds"

    def __init__(
        self,
        stores: Stores,
        workloads: Workloads,
        actuator: Actuator,
        metrics: MetricsRecorder,
    ) -> None:
        self._cache, self._releases = stores.cache, stores.releases
        self._workloads, self._actuator, self._metrics = workloads, actuator, metrics

    async def reconcile(self, key: str, *, marked: bool) -> None:
        """Release every hold without an owner. Raises ``ClusterError`` if holds cannot be listed.

        A Rollout whose deletion is still being handled owns its hold: its reconciler releases it
        and sends the notification.
        """
        del key, marked
        holds = await self._workloads.held()
        owners = {obj.ref.uid for obj in self._cache.all(Resource.ROLLOUT)}
        owners |= self._releases.owners()
        for hold_ref in holds:
            if hold_ref.owner not in owners and not hold_ref.keep:
                await self._release(hold_ref)

    async def _release(self, hold_ref: HoldRef) -> None:
        try:
            result = await self._actuator.release(hold_ref)
        except ClusterError as error:
            log.warning("%s/%s: orphaned hold stays: %s", hold_ref.namespace, hold_ref.ref, error)
            return
        if result.outcome is not HoldOutcome.DONE:
            why = result.why or result.outcome
            log.warning("%s/%s: orphaned hold stays: %s", hold_ref.namespace, hold_ref.ref, why)
            return
        log.warning(
            "%s/%s: released an orphaned hold: its Rollout no longer exists",
            hold_ref.namespace,
            hold_ref.ref,
        )
        self._metrics.count(CounterName.ORPHANS_RELEASED)

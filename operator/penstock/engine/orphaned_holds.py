"""Releases holds whose Rollout is gone: it was deleted while nobody was there to see it."""

from __future__ import annotations

import logging

from penstock.domain.cached_object import Resource
from penstock.engine.actuator import Actuator
from penstock.engine.metric_names import CounterName
from penstock.engine.ports import Found, Held, Tally, Workloads
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
        tally: Tally,
    ) -> None:
        self._cache, self._releases = stores.cache, stores.releases
        self._workloads, self._actuator, self._tally = workloads, actuator, tally

    async def reconcile(self, key: str, *, marked: bool) -> None:
        """Release what nobody owns. Raises ``ClusterError`` where the holds cannot be listed.

        A Rollout whose deletion is still being handled owns its hold: its reconciler releases it,
        and notifies of that.
        """
        del key, marked
        holds = await self._workloads.held()
        owners = {obj.ref.uid for obj in self._cache.all(Resource.ROLLOUT)}
        owners |= self._releases.owners()
        for held in holds:
            if held.owner not in owners and not held.keep:
                await self._release(held)

    async def _release(self, held: Held) -> None:
        try:
            outcome = await self._actuator.release(held)
        except ClusterError as error:
            log.warning("%s/%s keeps an old hold: %s", held.namespace, held.ref, error)
            return
        if outcome.found is not Found.DONE:
            why = outcome.why or outcome.found
            log.warning("%s/%s keeps an old hold: %s", held.namespace, held.ref, why)
            return
        log.warning("%s/%s: released an orphaned hold: no Rollout", held.namespace, held.ref)
        self._tally.count(CounterName.ORPHANS_RELEASED)

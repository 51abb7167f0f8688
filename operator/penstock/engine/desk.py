"""Takes what the feed and the lists bring, and hands it to whom it concerns.

Only a change of what an author wrote stirs anything: our own status writes come back through the
feed too, and must not make us evaluate what we have just evaluated.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence

from penstock.domain.entry import Entry, Resource
from penstock.domain.rollout import Rollout
from penstock.domain.slo import Slo
from penstock.engine.catalog import Catalog, Key
from penstock.engine.evaluator import Evaluator
from penstock.engine.keeper import Keeper
from penstock.engine.ports import (
    Change,
    Clock,
    Cluster,
    Found,
    Held,
    Lease,
    Removal,
    Stirred,
    Tally,
    Upsert,
    Workloads,
)
from penstock.engine.reporter import Reporter
from penstock.errors import ClusterError, SpecInvalid

log = logging.getLogger(__name__)

RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
_SOURCES = (Resource.METRICS_SOURCE, Resource.CLUSTER_METRICS_SOURCE)


class Desk:
    """Keeps the catalog true, and everybody told."""

    def __init__(
        self,
        catalog: Catalog,
        cluster: Cluster,
        workloads: Workloads,
        evaluator: Evaluator,
        keeper: Keeper,
        reporter: Reporter,
        clock: Clock,
        tally: Tally,
        lease: Lease,
        resync_seconds: float,
    ) -> None:
        self._catalog, self._cluster, self._workloads = catalog, cluster, workloads
        self._evaluator, self._keeper, self._reporter = evaluator, keeper, reporter
        self._clock, self._tally, self._lease = clock, tally, lease
        self._resync_seconds = resync_seconds
        self.primed = asyncio.Event()
        self.leading = False
        self._soon = asyncio.Event()

    def on(self, change: Change) -> None:
        """One event of the feed; cheap, because a start brings thousands."""
        match change:
            case Upsert(resource, entry):
                self._seen(resource, entry)
            case Removal(resource, namespace, name):
                entry_gone = self._catalog.remove(resource, namespace, name)
                if entry_gone is not None:
                    self._vanished(resource, entry_gone)
            case Stirred(namespace, ref):
                self._keeper.stir(self._catalog.guards_of(namespace, ref), look=True)

    def soon(self) -> None:
        """List as soon as possible: the feed had a gap."""
        self._soon.set()

    def lead(self) -> None:
        """From now on we decide: everything is looked at once, spread over a moment."""
        self.leading = True
        slos = self._catalog.all(Resource.SLO)
        self._evaluator.start((one.ref.namespace, one.ref.name) for one in slos)
        rollouts = self._catalog.all(Resource.ROLLOUT)
        self._keeper.stir(((one.ref.namespace, one.ref.name) for one in rollouts), look=True)
        self._soon.set()

    async def run(self) -> None:
        """List now, then again and again: a deletion inside a watch's gap is never reported."""
        failures = 0
        while True:
            try:
                await self._resync()
                failures = 0
                self.primed.set()
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

    async def _resync(self) -> None:
        swept: set[str] = set()
        for resource in (*_SOURCES, Resource.SLO, Resource.ROLLOUT):
            self._catalog.list_begins(resource)
            listed = await self._cluster.list(resource)
            gone = self._catalog.sweep(resource, listed)
            for entry in self._catalog.untold(resource, listed):
                self._seen(resource, entry)
            for entry in gone:
                swept.add(entry.ref.uid)
                self._tally.count("penstock_swept_total", kind=resource)
                self._vanished(resource, entry)
        await self._give_back_orphans(swept)

    async def _give_back_orphans(self, swept: set[str]) -> None:
        """Holds of Rollouts that were deleted while nobody was there to see it.

        Those that were missed just now are the keeper's, which tells of it on the Rollout.
        """
        if not (self.leading and self._lease.held):
            return
        known = swept | {entry.ref.uid for entry in self._catalog.all(Resource.ROLLOUT)}
        for held in await self._workloads.held():
            if held.owner not in known and not held.keep:
                await self._give_back(held)

    async def _give_back(self, held: Held) -> None:
        try:
            outcome = await self._workloads.release(held)
        except ClusterError as error:
            log.warning("%s/%s keeps an old hold: %s", held.namespace, held.ref, error)
            return
        if outcome.found is not Found.DONE:
            told = outcome.why or outcome.found
            log.warning("%s/%s, an old hold: %s", held.namespace, held.ref, told)
            return
        log.warning("%s/%s goes on: the Rollout that held it is gone", held.namespace, held.ref)
        self._tally.count("penstock_orphans_released_total")

    def _seen(self, resource: Resource, entry: Entry) -> None:
        key = (entry.ref.namespace, entry.ref.name)
        known = self._catalog.get(resource, key)
        if not self._catalog.upsert(resource, entry) or _same(known, entry):
            return
        if resource is Resource.ROLLOUT:
            self._rollout_changed(key, entry, known)
        elif resource is Resource.SLO:
            self._slo_changed(key, entry, known)
        else:
            self._source_changed(entry)

    def _rollout_changed(self, key: Key, entry: Entry, known: Entry | None) -> None:
        self._keeper.stir([key, *self._rivals(entry), *self._rivals(known)], look=True)
        if isinstance(entry.value, Rollout):
            self._evaluator.hurry(entry.value)

    def _slo_changed(self, key: Key, entry: Entry, known: Entry | None) -> None:
        if known is not None and known.ref.uid != entry.ref.uid:
            self._evaluator.forget(key)
        if isinstance(entry.value, SpecInvalid):
            self._evaluator.forget(key)
            self._reporter.tell_problem(key, entry.value)
        else:
            self._evaluator.due_now([key])
        self._keeper.stir(self._catalog.rollouts_of(key))

    def _source_changed(self, entry: Entry) -> None:
        self._evaluator.due_now(self._catalog.users_of(entry))

    def _vanished(self, resource: Resource, entry: Entry) -> None:
        key = (entry.ref.namespace, entry.ref.name)
        if resource is Resource.ROLLOUT:
            self._keeper.stir([key, *self._rivals(entry)], look=True)
        elif resource is Resource.SLO:
            self._evaluator.forget(key)
            self._reporter.forget(key)
            self._keeper.stir(self._catalog.rollouts_of(key))
        else:
            slos = self._catalog.all(Resource.SLO)
            self._evaluator.due_now(
                (one.ref.namespace, one.ref.name) for one in slos if _serves(entry, one)
            )

    def _rivals(self, entry: Entry | None) -> Sequence[Key]:
        """Rollouts of the same workload: which of them enforces may have changed."""
        if entry is None or not isinstance(entry.value, Rollout):
            return ()
        return self._catalog.guards_of(entry.ref.namespace, entry.value.workload)


def _same(known: Entry | None, entry: Entry) -> bool:
    """Whether an author has changed nothing: spec by its generation, labels by comparison."""
    if known is None or known.ref != entry.ref or known.version != entry.version:
        return False
    if isinstance(known.value, SpecInvalid) or isinstance(entry.value, SpecInvalid):
        return type(known.value) is type(entry.value)
    return known.value == entry.value


def _serves(source: Entry, slo: Entry) -> bool:
    """Whether an SLO may have been asked at this source: it is evaluated anew to find out."""
    here = source.ref.namespace in ("", slo.ref.namespace)
    return here and isinstance(slo.value, Slo)

"""Tells SLOs: the status when it is worth a write, /metrics at every evaluation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from penstock.domain.entry import Resource
from penstock.domain.evidence import Evidence
from penstock.domain.report import SloReport, report
from penstock.domain.slo import Slo
from penstock.engine.catalog import Catalog, Key
from penstock.engine.ports import Clock, Cluster, Lease, Tally
from penstock.engine.telling import slo_is_worth_telling
from penstock.errors import ClusterError, SpecInvalid

log = logging.getLogger(__name__)

WRITERS = 4


class Reporter:
    """One report per SLO waits at most: a newer one replaces it.

    A write that failed is made good by the next evaluation: only what was written counts as told.
    """

    def __init__(
        self,
        catalog: Catalog,
        cluster: Cluster,
        clock: Clock,
        tally: Tally,
        lease: Lease,
        stir: Callable[[Iterable[Key]], None],
    ) -> None:
        self._catalog, self._cluster, self._clock = catalog, cluster, clock
        self._tally, self._lease, self._stir = tally, lease, stir
        self._told: dict[Key, SloReport] = {}
        self._waiting: dict[Key, SloReport | SpecInvalid] = {}
        self._queue: asyncio.Queue[Key] = asyncio.Queue()

    def tell(self, slo: Slo, evidence: Evidence) -> None:
        """Take one evaluation's outcome, and stir the Rollouts that it concerns."""
        key = (slo.ref.namespace, slo.ref.name)
        told = self._told.get(key) or self._resumed(key)
        made = report(slo, evidence, self._clock.now(), told)
        self._gauges(key, made)
        if slo_is_worth_telling(made, told):
            self._put(key, made)
        self._stir(self._catalog.rollouts_of(key))

    def tell_problem(self, key: Key, problem: SpecInvalid) -> None:
        """Say on an SLO why it cannot be acted on."""
        self._told.pop(key, None)
        self._put(key, problem)

    def forget(self, key: Key) -> None:
        """The SLO is gone."""
        self._told.pop(key, None)
        self._waiting.pop(key, None)
        self._tally.forget(namespace=key[0], slo=key[1])

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(self._write())

    def _resumed(self, key: Key) -> SloReport | None:
        entry = self._catalog.get(Resource.SLO, key)
        return entry.told if entry and isinstance(entry.told, SloReport) else None

    def _put(self, key: Key, what: SloReport | SpecInvalid) -> None:
        if key not in self._waiting:
            self._queue.put_nowait(key)
        self._waiting[key] = what

    async def _write(self) -> None:
        while True:
            key = await self._queue.get()
            what = self._waiting.pop(key, None)
            entry = self._catalog.get(Resource.SLO, key)
            if what is None or entry is None or not self._lease.held:
                continue
            try:
                if isinstance(what, SpecInvalid):
                    await self._cluster.write_invalid(Resource.SLO, entry, what)
                else:
                    await self._cluster.write_slo(what)
                    self._told[key] = what
            except ClusterError as error:
                log.warning("status of SLO %s was not written: %s", "/".join(key), error)
            except Exception:
                log.exception("status of SLO %s was not written", "/".join(key))
                self._tally.count("penstock_errors_total", where="reporter")

    def _gauges(self, key: Key, made: SloReport) -> None:
        labels = {"namespace": key[0], "slo": key[1]}
        if made.remaining is not None:
            self._tally.gauge(
                "penstock_slo_budget_remaining_ratio", float(made.remaining), **labels
            )
        for look, burn in made.burns:
            self._tally.gauge("penstock_slo_burn_rate", float(burn), **labels, window=str(look))

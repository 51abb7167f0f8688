"""All ledgers of all sources: keeps them up to date beside evaluations, and across restarts.

Upkeep is a task of its own, so that no decision waits for a backfill. It sends each source one
request at a time, so that the source always has capacity for a decision.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator

from penstock.domain.exported_counters import CounterTotals
from penstock.domain.ledger import Ledger
from penstock.domain.ledger_codec import decode, encode
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.slo import Slo
from penstock.engine.budget.ledger_updater import LedgerUpdater
from penstock.engine.budget.source_ledgers import SourceLedgers, counters_of, name_of
from penstock.engine.metric_names import CounterName
from penstock.engine.ports import Clock, MetricsRecorder, Snapshots
from penstock.engine.promql.query_client import QueryClient
from penstock.errors import ClusterError

log = logging.getLogger(__name__)

LEAST_LAG_SECONDS, LAG_SCRAPES = 60, 3
BETWEEN_REQUESTS_SECONDS = 0.1
SNAPSHOT_SECONDS = 600.0


class LedgerManager:
    """The ledgers, by source.

    Args:
        client: queries a source.
        snapshots: where ledgers outlive the process.
        scrape_seconds: how far apart samples usually are.
        own_job: the job under which sources scrape us; empty if they do not.
    """

    def __init__(
        self,
        client: QueryClient,
        snapshots: Snapshots,
        clock: Clock,
        metrics: MetricsRecorder,
        scrape_seconds: float,
        own_job: str = "",
    ) -> None:
        self._client, self._snapshots, self._clock, self._metrics = (
            client,
            snapshots,
            clock,
            metrics,
        )
        self._lag = int(max(LEAST_LAG_SECONDS, LAG_SCRAPES * scrape_seconds))
        self._own_job = own_job
        self._sources: dict[str, SourceLedgers] = {}
        self._woken: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._news, self._filled = asyncio.Event(), asyncio.Event()
        self.kept: dict[str, Ledger] = {}

    def source_ledgers(self, source: MetricsSource) -> SourceLedgers:
        """The ledgers of a source; a source with another address has other ledgers."""
        name = name_of(source)
        if name not in self._sources:
            self._sources[name] = SourceLedgers(source)
        self._sources[name].source = source
        return self._sources[name]

    def wake(self, source: MetricsSource) -> None:
        """This source was just queried: its upkeep may continue."""
        self._woken[name_of(source)].set()
        self._news.set()

    async def run(self) -> None:
        """Run until cancelled; the caller then saves a last snapshot."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._save_now_and_then())
            served: set[str] = set()
            while True:
                for name in self._sources.keys() - served:
                    group.create_task(self._keep_up(name))
                    served.add(name)
                await self._news.wait()
                self._news.clear()

    async def load(self) -> None:
        """Load what the last process saved; a ledger that cannot be read starts empty."""
        try:
            saved = await self._snapshots.load()
        except ClusterError as error:
            log.warning("could not load ledger snapshots, backfilling from the sources: %s", error)
            return
        for digest, data in saved.items():
            ledger = decode(data)
            if ledger is not None:
                self.kept[digest] = ledger
        log.info("loaded %d of %d ledgers", len(self.kept), len(saved))

    async def save(self) -> None:
        """Write a snapshot of every ledger, including those that no evaluation has used yet."""
        held = {
            tracked.key.digest: tracked.ledger
            for source_ledgers in self._sources.values()
            for tracked in source_ledgers
        }
        await self._snapshots.save({name: encode(it) for name, it in (self.kept | held).items()})

    def counted(self) -> Iterator[tuple[str, CounterTotals]]:
        """The counters of all ledgers that are up to date, by name."""
        now = int(self._clock.now().timestamp())
        for source_ledgers in self._sources.values():
            for tracked in source_ledgers:
                if tracked.counted is not None and tracked.counted.is_current(now):
                    yield counters_of(source_ledgers.source, tracked), tracked.counted

    def counters_of(self, slo: Slo, source: MetricsSource) -> str | None:
        """The name of the counters of an SLO's ledger; None while it has no ledger."""
        source_ledgers = self._sources.get(name_of(source))
        tracked = source_ledgers.find(slo) if source_ledgers else None
        return None if tracked is None else counters_of(source, tracked)

    async def _save_now_and_then(self) -> None:
        """Save periodically, and as soon as a backfill is complete: that is what costs most."""
        while True:
            try:
                async with asyncio.timeout(SNAPSHOT_SECONDS):
                    await self._filled.wait()
            except TimeoutError:
                self._tidy()
            self._filled.clear()
            try:
                await self.save()
            except ClusterError as error:
                log.warning("could not save ledger snapshots, a restart backfills more: %s", error)

    def _tidy(self) -> None:
        """Drop ledgers that were not used since the start, or for a long time."""
        self.kept.clear()
        for source_ledgers in self._sources.values():
            source_ledgers.forget_unused(self._clock.monotonic())

    async def _keep_up(self, name: str) -> None:
        woken, more = self._woken[name], False
        while True:
            await woken.wait()
            woken.clear()
            was_filling, more = more, await self._upkeep(name)
            if more:
                await asyncio.sleep(BETWEEN_REQUESTS_SECONDS)
                woken.set()
            elif was_filling:
                self._filled.set()

    async def _upkeep(self, name: str) -> bool:
        """Do what is due; returns whether there is more to do at once."""
        updater = LedgerUpdater(self._client, self._sources[name], self._lag, self._own_job)
        try:
            return await updater.once(self._clock.now(), self._clock.monotonic())
        except Exception:
            log.exception("could not update the ledgers of %s", name)
            self._metrics.count(CounterName.ERRORS, where="ledger")
            return False

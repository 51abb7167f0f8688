"""The one place in tests that knows of what the engine consists and how it is wired.

A test speaks of ports and of what people see; when the engine is built otherwise, this file alone
changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from penstock.domain.evidence import Evidence
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.source_status import SourceHealth, SourceReason
from penstock.engine.budget.ledger_manager import LedgerManager
from penstock.engine.evidence_view import EvaluationIntervals
from penstock.engine.ports import (
    Clock,
    Deleted,
    EvidenceSource,
    MetricsRecorder,
    Snapshots,
    Upserted,
    WatchEvent,
    WorkloadChanged,
    Workloads,
)
from penstock.engine.promql.query_client import Q, QueryBatcher, QueryRange, QueryResult
from penstock.engine.wiring import Engine as Core
from penstock.engine.wiring import Options, wire_engine
from penstock.engine.wiring import Ports as CorePorts
from support.doubles.measures import StoredLease
from support.doubles.ports import StoredObjects

__all__ = ["Deleted", "Engine", "Ports", "Upserted", "WatchEvent", "WorkloadChanged", "wired"]


@dataclass(frozen=True)
class Ports:
    """All that an engine is given."""

    cluster: StoredObjects
    workloads: Workloads
    metrics: EvidenceSource
    snapshots: Snapshots
    clock: Clock
    tally: MetricsRecorder
    lease: StoredLease


@dataclass(frozen=True)
class Intervals:
    """The settings that the engine knows, in seconds; the defaults are the product's."""

    rest: float = 60.0
    hot: float = 10.0
    scrape: float = 15.0
    relist: float = 300.0


class NobodyAsks:
    """Implements ``engine.promql.query_client.QueryClient``: scripted evidence, no queries."""

    async def ask(
        self,
        source: MetricsSource,
        groups: Sequence[tuple[QueryBatcher[Q], Sequence[Q]]],
        when: datetime | QueryRange,
    ) -> Mapping[Hashable, QueryResult | Evidence]:
        """Nothing."""
        return {}

    async def health(self, source: MetricsSource) -> SourceHealth:
        """Well."""
        return SourceHealth(SourceReason.CONNECTED)

    def is_overloaded(self, source: MetricsSource) -> bool:
        """Never."""
        return False


@dataclass(frozen=True)
class Engine:
    """Everything that ``app.wire`` wires inside ``engine/``."""

    core: Core
    library: LedgerManager
    lease: StoredLease

    def watch_event(self, change: WatchEvent) -> None:
        """The feed saw something."""
        self.core.informer.handle(change)

    def watch_was_broken(self) -> None:
        """The feed had a gap."""
        self.core.informer.relist_soon()

    @property
    def synced(self) -> asyncio.Event:
        """Set once the first list is complete."""
        return self.core.informer.synced

    async def run(self) -> None:
        """As ``app`` runs it, until leadership is lost."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.core.informer.run())
            await self.synced.wait()
            await self.lease.acquire()
            await self.library.load()
            tasks = [group.create_task(part.run()) for part in (self.library, self.core)]
            await self.lease.renew()
            for task in tasks:
                task.cancel()
            raise LeadershipLost

    async def leave(self) -> None:
        """As ``app`` ends it when it is asked to stop."""
        if self.lease.held:
            await self.library.save()
        await self.lease.release()


class LeadershipLost(Exception):
    """Another replica leads."""


def wired(ports: Ports, intervals: Intervals) -> Engine:
    """An engine upon these ports."""
    hot = min(intervals.hot, intervals.rest)
    options = Options(
        intervals=EvaluationIntervals(intervals.rest, hot, intervals.scrape),
        resync_seconds=intervals.relist,
    )
    core = wire_engine(
        CorePorts(
            api=ports.cluster,
            notifiers=[ports.cluster],
            workloads=ports.workloads,
            evidence_source=ports.metrics,
            clock=ports.clock,
            lease=ports.lease,
            metrics=ports.tally,
        ),
        options,
    )
    ledgers = LedgerManager(
        NobodyAsks(), ports.snapshots, ports.clock, ports.tally, intervals.scrape
    )
    return Engine(core, ledgers, ports.lease)

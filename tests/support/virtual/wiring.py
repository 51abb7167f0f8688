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
from penstock.domain.source import Source
from penstock.domain.source_report import Health, SourceReason
from penstock.engine.asking import Answer, Form, Q, Span
from penstock.engine.budget.library import Library
from penstock.engine.catalog import Catalog
from penstock.engine.desk import Desk
from penstock.engine.evaluator import Evaluator, Pace
from penstock.engine.keeper import Keeper
from penstock.engine.ports import (
    Change,
    Clock,
    Cluster,
    Metrics,
    Removal,
    Snapshots,
    Stirred,
    Tally,
    Upsert,
    Workloads,
)
from penstock.engine.reporter import Reporter
from penstock.engine.source_keeper import SourceKeeper
from support.doubles.measures import StoredLease

__all__ = ["Change", "Engine", "Ports", "Removal", "Stirred", "Upsert", "wired"]


@dataclass(frozen=True)
class Ports:
    """All that an engine is given."""

    cluster: Cluster
    workloads: Workloads
    metrics: Metrics
    snapshots: Snapshots
    clock: Clock
    tally: Tally
    lease: StoredLease


@dataclass(frozen=True)
class Intervals:
    """The settings that the engine knows, in seconds; the defaults are the product's."""

    rest: float = 60.0
    hot: float = 10.0
    scrape: float = 15.0
    relist: float = 300.0


class NobodyAsks:
    """Implements ``engine.asking.Asker``: evidence is scripted, so ledgers ask nothing."""

    async def ask(
        self, source: Source, groups: Sequence[tuple[Form[Q], Sequence[Q]]], when: datetime | Span
    ) -> Mapping[Hashable, Answer | Evidence]:
        """Nothing."""
        return {}

    async def look(self, source: Source) -> Health:
        """Well."""
        return Health(SourceReason.CONNECTED)

    def is_overloaded(self, source: Source) -> bool:
        """Never."""
        return False


@dataclass(frozen=True)
class Engine:
    """Everything that ``app.wire`` wires inside ``engine/``."""

    catalog: Catalog
    evaluator: Evaluator
    keeper: Keeper
    reporter: Reporter
    sources: SourceKeeper
    desk: Desk
    library: Library
    lease: StoredLease

    def watch_event(self, change: Change) -> None:
        """The feed saw something."""
        self.desk.on(change)

    def watch_was_broken(self) -> None:
        """The feed had a gap."""
        self.desk.soon()

    @property
    def synced(self) -> asyncio.Event:
        """Set once the first list is complete."""
        return self.desk.primed

    async def run(self) -> None:
        """As ``app`` runs it, until leadership is lost."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.desk.run())
            await self.desk.primed.wait()
            await self.lease.acquire()
            await self.library.load()
            self.desk.lead()
            tasks = [
                group.create_task(part.run())
                for part in (self.library, self.evaluator, self.keeper, self.reporter, self.sources)
            ]
            await self.lease.keep()
            for task in tasks:
                task.cancel()
            raise LeadershipLost

    async def leave(self) -> None:
        """As ``app`` ends it when it is asked to stop."""
        if self.lease.held:
            await self.library.save()
        await self.lease.give_back()


class LeadershipLost(Exception):
    """Another replica leads."""


def wired(ports: Ports, intervals: Intervals) -> Engine:
    """An engine upon these ports."""
    catalog = Catalog()
    pace = Pace(intervals.rest, min(intervals.hot, intervals.rest), intervals.scrape)
    library = Library(NobodyAsks(), ports.snapshots, ports.clock, ports.tally, intervals.scrape)
    keeper = Keeper(
        catalog,
        ports.cluster,
        ports.workloads,
        ports.clock,
        ports.tally,
        ports.lease,
        lambda rollout, now: evaluator.evidence(rollout, now),
        lambda rollout: evaluator.hurry(rollout),
        pace.rest,
    )
    reporter = Reporter(catalog, ports.cluster, ports.clock, ports.tally, ports.lease, keeper.stir)
    evaluator = Evaluator(
        catalog,
        ports.metrics,
        ports.clock,
        ports.tally,
        pace,
        lambda slo, spared: any(
            keeper.is_hot(one, spared=spared) for one in catalog.rollouts_of(slo)
        ),
        reporter.tell,
        lambda slo: keeper.onsets(catalog.rollouts_of(slo)),
    )
    desk = Desk(
        catalog,
        ports.cluster,
        ports.workloads,
        evaluator,
        keeper,
        reporter,
        ports.clock,
        ports.tally,
        ports.lease,
        intervals.relist,
    )
    sources = SourceKeeper(
        catalog, ports.cluster, ports.metrics, ports.clock, ports.tally, ports.lease
    )
    return Engine(catalog, evaluator, keeper, reporter, sources, desk, library, ports.lease)

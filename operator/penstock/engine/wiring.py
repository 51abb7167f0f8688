"""Builds the whole engine from its ports: ``app`` passes adapters, a test passes doubles."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penstock.engine.active_releases import ActiveReleases
from penstock.engine.actuator import Actuator
from penstock.engine.controller import Controller
from penstock.engine.evaluator import Evaluator
from penstock.engine.evidence_store import EvidenceStore
from penstock.engine.evidence_view import EvaluationIntervals
from penstock.engine.informer import Informer
from penstock.engine.manager_index import ManagerIndex
from penstock.engine.object_cache import ObjectCache
from penstock.engine.orphaned_holds import OrphanedHolds
from penstock.engine.ports import (
    Clock,
    EvidenceSource,
    Lease,
    MetricsRecorder,
    Notifier,
    StatusApi,
    Workloads,
)
from penstock.engine.rollout_reconciler import RolloutReconciler
from penstock.engine.slo_status_reconciler import SloStatusReconciler
from penstock.engine.source_prober import SourceProber
from penstock.engine.status_writer import StatusWriter
from penstock.engine.stores import GATHER_SECONDS, Queues, Stores

ROLLOUT_WORKERS, SLO_STATUS_WORKERS, SOURCE_WORKERS = 8, 4, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the engine needs from the outside world."""

    api: StatusApi
    notifiers: Sequence[Notifier]
    workloads: Workloads
    evidence_source: EvidenceSource
    clock: Clock
    lease: Lease
    metrics: MetricsRecorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of the engine.

    Attributes:
        resync_seconds: between two lists of all our objects.
    """

    intervals: EvaluationIntervals
    resync_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """All parts, wired. ``informer.run`` keeps the cache warm; ``run`` decides and writes."""

    stores: Stores
    clock: Clock
    informer: Informer
    evaluator: Evaluator
    controllers: Sequence[Controller[Any]]

    async def run(self) -> None:
        """Decide from now on, until cancelled; only the leader runs this."""
        self.informer.start_leading()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.evaluator.run())
            for controller in self.controllers:
                group.create_task(controller.run())

    def stuck_seconds(self) -> float:
        """How long an SLO has been due without being evaluated; 0 on a standby."""
        return self.stores.queues.slos.stuck_seconds() if self.informer.is_leading else 0.0

    def evidence_age(self) -> float:
        """Seconds since the oldest evidence was measured; 0 while there is none."""
        oldest = self.stores.evidence.oldest()
        return 0.0 if oldest is None else self.clock.monotonic() - oldest


def wire_engine(ports: Ports, options: Options) -> Engine:
    """Build every part and pass it what it needs; a lower part knows nothing of a higher one."""
    intervals, clock, metrics, lease = options.intervals, ports.clock, ports.metrics, ports.lease
    # SLOs that are added within this time are queried together.
    queues = Queues(clock, min(GATHER_SECONDS, intervals.hot / 4))
    stores = Stores(ObjectCache(), EvidenceStore(), ActiveReleases(), ManagerIndex(), queues)
    statuses = StatusWriter(ports.api, ports.notifiers, clock, metrics, lease)
    actuator = Actuator(ports.api, ports.workloads, lease, metrics)
    rollouts = RolloutReconciler(
        stores, ports.workloads, actuator, statuses, clock, metrics, intervals
    )
    slo_statuses = SloStatusReconciler(stores, statuses, clock, metrics)
    sources = SourceProber(stores, ports.evidence_source, statuses, clock)
    orphans = OrphanedHolds(stores, ports.workloads, actuator, metrics)
    controllers: list[Controller[Any]] = [
        Controller(queues.rollouts, rollouts, lease, metrics, ROLLOUT_WORKERS),
        Controller(queues.slo_statuses, slo_statuses, lease, metrics, SLO_STATUS_WORKERS),
        Controller(queues.sources, sources, lease, metrics, SOURCE_WORKERS),
        Controller(queues.orphaned_holds, orphans, lease, metrics),
    ]
    return Engine(
        stores=stores,
        clock=clock,
        informer=Informer(stores, ports.api, ports.workloads, metrics, options.resync_seconds),
        evaluator=Evaluator(stores, ports.evidence_source, clock, metrics, intervals),
        controllers=controllers,
    )

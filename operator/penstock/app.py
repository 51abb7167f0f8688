"""Wires everything, and stops when any part ends: the only module that knows all packages.

One task group: if the informer, a controller or the Lease ends, the process ends, and Kubernetes
starts a new one that resumes from the statuses. Only the feed is restarted in place.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock import __version__
from penstock.adapters import logs
from penstock.adapters.clock import SystemClock
from penstock.adapters.credentials import CredentialCache
from penstock.adapters.custom_resources import CustomResources
from penstock.adapters.discovery import Discovery
from penstock.adapters.event_notifier import EventNotifier
from penstock.adapters.health_routes import metrics_route, probe_route
from penstock.adapters.http_server import HttpServer
from penstock.adapters.kube_client import KubeClient
from penstock.adapters.lease import AlwaysLeader, LeaderElector
from penstock.adapters.ledger_store import LedgerStore, NoStore
from penstock.adapters.metrics import MetricsRegistry
from penstock.adapters.prometheus_query_client import PrometheusQueryClient
from penstock.adapters.served_schema import ServedSchema
from penstock.adapters.source_pool import SourcePool
from penstock.adapters.workloads.adapter import AdapterFactory
from penstock.adapters.workloads.registry import ADAPTERS, WorkloadRegistry
from penstock.engine.budget.evidence_source import BudgetEvidence
from penstock.engine.budget.ledger_manager import LedgerManager
from penstock.engine.evidence_view import EvaluationIntervals
from penstock.engine.metric_names import GaugeName
from penstock.engine.ports import HoldOutcome
from penstock.engine.rollout_metrics import slis
from penstock.engine.wiring import Engine, Options, Ports, wire_engine
from penstock.errors import ClusterError, PenstockError
from penstock.handlers.optional_feed import DISCOVERY_SECONDS, OptionalFeed, optional_groups
from penstock.handlers.watcher import Watcher
from penstock.settings import Settings

log = logging.getLogger(__name__)

ASKED_TO_STOP, FAILED, LOST_LEADERSHIP = 0, 1, 3
STUCK_SECONDS = 30.0
FEED_DEAD_SECONDS = 600.0
POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class LeadershipLost(Exception):
    """Another replica leads now; this one has stopped writing."""


@dataclass(frozen=True, kw_only=True)
class Components:
    """All parts that run, wired."""

    metrics: MetricsRegistry
    engine: Engine
    ledgers: LedgerManager
    watcher: Watcher
    optional_feeds: Sequence[OptionalFeed]
    schema: ServedSchema


def run(settings: Settings, adapters: Sequence[AdapterFactory] = ADAPTERS) -> int:
    """Run until asked to stop, guarding the kinds of these adapters; returns the exit code."""
    logs.set_up(settings.log_level, settings.log_format)
    log.info("penstock %s starts with %s", __version__, settings.model_dump(mode="json"))
    try:
        return asyncio.run(_main(settings, adapters))
    except (PenstockError, OSError) as error:
        log.error("penstock cannot run: %s", error)
    except BaseExceptionGroup as group:
        if group.subgroup(LeadershipLost):
            return LOST_LEADERSHIP
        log.exception("penstock stops")
    return FAILED


def release_all(settings: Settings, adapters: Sequence[AdapterFactory] = ADAPTERS) -> int:
    """Release every hold, whichever Rollout it was for; returns the exit code."""
    logs.set_up(settings.log_level, "text")
    try:
        return asyncio.run(_release_all(settings, adapters))
    except (PenstockError, OSError) as error:
        log.error("could not release all holds: %s", error)
        return FAILED


async def _release_all(settings: Settings, adapters: Sequence[AdapterFactory]) -> int:
    kube = await KubeClient.connect()
    workloads = WorkloadRegistry.of(kube, settings.namespaces, adapters)
    left = 0
    try:
        for hold_ref in await workloads.held():
            result = await workloads.release(hold_ref)
            left += result.outcome not in (HoldOutcome.DONE, HoldOutcome.GONE)
            log.info("%s/%s: %s %s", hold_ref.namespace, hold_ref.ref, result.outcome, result.why)
    finally:
        await kube.close()
    if left:
        log.error("%d holds are left; the lines above say why", left)
    return FAILED if left else ASKED_TO_STOP


async def _main(settings: Settings, adapters: Sequence[AdapterFactory]) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    kube = await KubeClient.connect()
    clock = SystemClock()
    lease = _lease(settings, kube, clock)
    components = wire(settings, kube, clock, lease, adapters)
    web = HttpServer(
        settings.listen,
        [
            probe_route("/healthz", lambda: _liveness(components, clock)),
            probe_route("/readyz", lambda: _readiness(components)),
            metrics_route(lambda: _scrape(components, lease)),
        ],
    )
    await web.start()
    try:
        async with asyncio.TaskGroup() as group:
            work = group.create_task(_work(components, lease))
            await stop.wait()
            work.cancel()
    finally:
        await _shutdown(components, lease)
        await web.stop()
        await kube.close()
    return ASKED_TO_STOP


async def _shutdown(components: Components, lease: LeaderElector | AlwaysLeader) -> None:
    """Save what the next process starts from; none of it may take long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(3):
            if lease.held:
                with contextlib.suppress(ClusterError):
                    await components.ledgers.save()
            await lease.release()


def wire(
    settings: Settings,
    kube: KubeClient,
    clock: SystemClock,
    lease: LeaderElector | AlwaysLeader,
    adapters: Sequence[AdapterFactory],
) -> Components:
    """Build every part and pass it what it needs."""
    registry = MetricsRegistry()
    resources = CustomResources(kube, settings.namespaces)
    workloads = WorkloadRegistry.of(kube, settings.namespaces, adapters)
    credentials = CredentialCache(
        resources.secret, clock, _own_namespace(settings), settings.token_folder
    )
    client = PrometheusQueryClient(SourcePool(credentials, clock, registry), clock)
    ledgers = LedgerManager(
        client,
        _snapshots(settings, kube),
        clock,
        registry,
        settings.scrape_interval,
        settings.own_job,
    )
    ports = Ports(
        api=resources,
        notifiers=[EventNotifier(kube)],
        workloads=workloads,
        evidence_source=BudgetEvidence(client, ledgers, clock),
        clock=clock,
        lease=lease,
        metrics=registry,
    )
    engine = wire_engine(ports, _options(settings))
    cache, informer = engine.stores.cache, engine.informer
    registry.register_ledger_collector(ledgers.counted, lambda: slis(cache, ledgers))
    watcher = Watcher(
        [watch for watch in workloads.watches if watch.resource.is_built_in],
        informer.handle,
        informer.relist_soon,
        clock,
        registry,
        settings.namespaces,
        lambda: resources.readable,
    )
    optional_feeds = [
        OptionalFeed(
            watches,
            Discovery(kube),
            informer.handle,
            informer.relist_soon,
            clock,
            registry,
            settings.namespaces,
            min(DISCOVERY_SECONDS, settings.resync_interval),
        )
        for watches in optional_groups(workloads.watches)
    ]
    return Components(
        metrics=registry,
        engine=engine,
        ledgers=ledgers,
        watcher=watcher,
        optional_feeds=optional_feeds,
        schema=ServedSchema(kube),
    )


def _options(settings: Settings) -> Options:
    hot = min(settings.hot_interval, settings.interval)
    intervals = EvaluationIntervals(settings.interval, hot, settings.scrape_interval)
    return Options(intervals=intervals, resync_seconds=settings.resync_interval)


async def _work(components: Components, lease: LeaderElector | AlwaysLeader) -> None:
    """Watch and list at once, so that a standby is warm; decide and write only while leading."""
    engine, ledgers = components.engine, components.ledgers
    async with asyncio.TaskGroup() as group:
        complete = group.create_task(components.schema.wait())
        group.create_task(engine.informer.run())
        await engine.informer.synced.wait()
        group.create_task(components.watcher.run())
        for optional in components.optional_feeds:
            group.create_task(optional.run())
        await complete
        await lease.acquire()
        await ledgers.load()
        group.create_task(ledgers.run())
        group.create_task(engine.run())
        await lease.renew()
        raise LeadershipLost


def _snapshots(settings: Settings, kube: KubeClient) -> LedgerStore | NoStore:
    namespace = _own_namespace(settings)
    return LedgerStore(kube, namespace) if namespace else NoStore()


def _lease(
    settings: Settings, kube: KubeClient, clock: SystemClock
) -> LeaderElector | AlwaysLeader:
    namespace = _own_namespace(settings)
    if not namespace:
        return AlwaysLeader()
    identity = settings.identity or os.environ.get("POD_NAME") or socket.gethostname()
    return LeaderElector(kube, namespace, identity, clock)


def _own_namespace(settings: Settings) -> str:
    """The operator's namespace; empty outside a cluster if it is not configured."""
    if settings.lease_namespace or not POD_NAMESPACE.exists():
        return settings.lease_namespace
    return POD_NAMESPACE.read_text(encoding="utf-8").strip()


def _liveness(components: Components, clock: SystemClock) -> str:
    """What a restart would fix; an unreachable Prometheus or API server does not count."""
    stuck = components.engine.stuck_seconds()
    if stuck > STUCK_SECONDS:
        return f"the evaluator has not moved for {stuck:.0f} s"
    feed, now = components.watcher.health, clock.monotonic()
    is_synced = components.engine.informer.synced.is_set()
    if is_synced and not feed.running and now - feed.since > FEED_DEAD_SECONDS:
        return f"the feed has been dead for {now - feed.since:.0f} s"
    return ""


def _readiness(components: Components) -> str:
    if components.schema.problem:
        return components.schema.problem
    if not components.engine.informer.synced.is_set():
        return "the first list is not complete"
    return components.watcher.not_connected()


def _scrape(components: Components, lease: LeaderElector | AlwaysLeader) -> bytes:
    metrics = components.metrics
    metrics.gauge(GaugeName.EVALUATION_AGE, components.engine.evidence_age())
    metrics.gauge(GaugeName.LEADER, 1.0 if lease.held else 0.0)
    return metrics.exposition()

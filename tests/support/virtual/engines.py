"""Engines that work on one store, one after the other: started, fed by a watch, killed."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from penstock.api.decode import decode_object
from penstock.api.kinds import KIND_BY_PLURAL
from penstock.domain.cached_object import Resource
from penstock.domain.refs import WorkloadRef
from support.clocks import SimulatedLoop
from support.doubles.connection import Connection, Connections
from support.doubles.deployments import API_VERSION, KIND
from support.doubles.measures import Counted, Leadership, ScriptedMetrics, StoredLease
from support.doubles.ports import StoredObjects, StoredSnapshots, StoredWorkloads
from support.doubles.store import RECORDS, Store
from support.virtual.wiring import (
    Deleted,
    Engine,
    Intervals,
    Ports,
    Upserted,
    WatchEvent,
    WorkloadChanged,
    wired,
)

WATCH_SECONDS = 0.05


@dataclass
class Process:
    """One engine from its start to its end."""

    engine: Engine
    connection: Connection
    tally: Counted
    lease: StoredLease
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    changes: deque[tuple[float, WatchEvent]] = field(default_factory=deque)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_running(self) -> bool:
        return not self.tasks[0].done()


class Engines:
    """What outlives each of them, and the one that works now.

    Attributes:
        is_watched: whether the watch shows changes.
        has_successors: another engine starts at once where a fault has killed one.
    """

    def __init__(self, **intervals: float) -> None:
        self.loop = SimulatedLoop()
        self.intervals = Intervals(**intervals)
        self.store = Store(self.loop.now)
        self.metrics = ScriptedMetrics()
        self.connections = Connections()
        self.leadership = Leadership()
        self.processes: list[Process] = []
        self.is_watched = True
        self.has_successors = False
        self.store.on_change = self.changed
        self.stirred = asyncio.Event()
        self.connections.on_call = self.stirred.set

    @property
    def process(self) -> Process:
        """The engine that was started last."""
        return self.processes[-1]

    @property
    def tally(self) -> Counted:
        """What the engine that leads has counted, or else the one that was started last."""
        leading = (one for one in self.processes if one.is_running and one.lease.held)
        return next(leading, self.process).tally

    def start(self, identity: str = "") -> Process:
        """Start an engine upon what is there."""
        session = Connection(self.connections)
        tally = Counted()
        name = identity or f"engine-{len(self.processes)}"
        lease = StoredLease(self.leadership, name, self.loop)
        ports = Ports(
            StoredObjects(self.store, session),
            StoredWorkloads(self.store, session),
            self.metrics,
            StoredSnapshots(self.store, session),
            self.loop,
            tally,
            lease,
        )
        process = Process(wired(ports, self.intervals), session, tally, lease)
        self.processes.append(process)
        process.tasks = [
            asyncio.create_task(process.engine.run()),
            asyncio.create_task(self._feed(process)),
            asyncio.create_task(self._bury(process)),
        ]
        return process

    async def kill(self, process: Process | None = None) -> None:
        """The engine ends in the midst of whatever it does; its lease is found free."""
        process = process or self.process
        for task in process.tasks:
            task.cancel()
        process.connection.died.set()
        await asyncio.gather(*process.tasks, return_exceptions=True)
        self.leadership.holder = ""

    async def stop(self, process: Process | None = None) -> None:
        """The engine is asked to end."""
        process = process or self.process
        process.tasks[0].cancel()
        await asyncio.gather(process.tasks[0], return_exceptions=True)
        await process.engine.leave()
        holder = self.leadership.holder
        await self.kill(process)
        self.leadership.holder = holder

    async def restart(self) -> None:
        """The engine is killed, and another one takes over at once."""
        await self.kill()
        self.start()

    async def end_all(self) -> None:
        """No engine runs any more."""
        for process in self.processes:
            await self.kill(process)
        for task in self.connections.background:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*self.connections.background, return_exceptions=True)

    async def _bury(self, process: Process) -> None:
        """One that was killed by a fault ends at once."""
        await process.connection.died.wait()
        for task in process.tasks[:2]:
            task.cancel()
        self.leadership.holder = ""
        if self.has_successors and process is self.process:
            self.start()

    def changed(self, kind: str, namespace: str, name: str) -> None:
        """Something in the store has changed: the watch shows it to the engine."""
        self.stirred.set()
        if not self.is_watched or kind == RECORDS:
            return
        for process in self.processes:
            self._seen(process, kind, namespace, name)

    def _seen(self, process: Process, kind: str, namespace: str, name: str) -> None:
        process.changes.append(
            (self.loop.time() + WATCH_SECONDS, self._event(kind, namespace, name))
        )
        process.came.set()

    def _event(self, kind: str, namespace: str, name: str) -> WatchEvent:
        if kind == "deployments":
            return WorkloadChanged(namespace, WorkloadRef(API_VERSION, KIND, name))
        resource, body = Resource(kind), self.store.read(kind, namespace, name)
        if not body:
            return Deleted(resource, namespace, name)
        return Upserted(resource, decode_object(KIND_BY_PLURAL[resource], body))

    async def _feed(self, process: Process) -> None:
        """As Kopf does: first all that is there, then each change, in their order."""
        await process.engine.synced.wait()
        self.see_everything(process)
        while True:
            await process.came.wait()
            process.came.clear()
            while process.changes:
                due, change = process.changes[0]
                await asyncio.sleep(max(0.0, due - self.loop.time()))
                process.changes.popleft()
                process.engine.watch_event(change)

    def see_everything(self, process: Process) -> None:
        """A watch that begins shows all that is there."""
        for resource in Resource:
            for body in self.store.all(str(resource)):
                metadata = body["metadata"]
                self._seen(process, str(resource), metadata["namespace"], metadata["name"])
        for namespace, name in self.store.deployments:
            self._seen(process, "deployments", namespace, name)

    def watch_again(self) -> None:
        """A watch that was broken begins again: what was deleted meanwhile it does not show."""
        self.is_watched = True
        self.see_everything(self.process)
        self.process.engine.watch_was_broken()

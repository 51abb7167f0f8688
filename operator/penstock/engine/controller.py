"""Runs a reconciler over a work queue: workers, requeue and back-off, once for all controllers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from penstock.engine.metric_names import CounterName
from penstock.engine.ports import Lease, MetricsRecorder
from penstock.engine.work_queue import WorkQueue
from penstock.errors import ClusterError, Throttled

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
KeyOf = TypeVar("KeyOf", bound=Hashable, contravariant=True)


class Reconciler(Protocol[KeyOf]):
    """Brings one object to its desired state."""

    name: str

    async def reconcile(self, key: KeyOf, *, marked: bool) -> float | None:
        """Work on one key.

        Args:
            key: which object; it may be gone meanwhile.
            marked: whether the key was added with a mark.

        Returns:
            Seconds after which to requeue the key; None: no requeue.

        Raises:
            ClusterError: the API server did not do what was asked; the key is retried.
        """


class Controller(Generic[K]):
    """Runs a reconciler; one worker at a time works on a key, so its writes keep their order."""

    def __init__(
        self,
        queue: WorkQueue[K],
        reconciler: Reconciler[K],
        lease: Lease,
        metrics: MetricsRecorder,
        workers: int = 1,
    ) -> None:
        self._queue, self._reconciler = queue, reconciler
        self._lease, self._metrics, self._workers = lease, metrics, workers

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key, marked = await self._queue.get()
            try:
                await self._reconcile(key, marked=marked)
            finally:
                self._queue.done(key)

    async def _reconcile(self, key: K, *, marked: bool) -> None:
        if not self._lease.held:
            self._queue.add_with_backoff(key, mark=marked)
            return
        try:
            again_after = await self._reconciler.reconcile(key, marked=marked)
        except ClusterError as error:
            at_least = error.retry_after if isinstance(error, Throttled) else 0.0
            seconds = self._queue.add_with_backoff(key, at_least, mark=marked)
            log.warning("%s is retried in %.0f s: %s", _name(key), seconds, error)
        except Exception:
            log.exception("%s failed in the %s reconciler", _name(key), self._reconciler.name)
            self._metrics.count(CounterName.ERRORS, where=self._reconciler.name)
            self._queue.add_with_backoff(key, mark=marked)
        else:
            self._queue.forget_failures(key)
            if again_after is not None:
                self._queue.add_after(key, again_after)


def _name(key: object) -> str:
    """``namespace/name`` of a key; a key may be a tuple of both."""
    return "/".join(filter(None, map(_name, key))) if isinstance(key, tuple) else str(key)

"""Writes the statuses of all our objects, if one is worth a write and only while we lead.

The last written status is known from the write itself, and after a restart from the object. The
caller repeats a write that fails; only a write that succeeded counts as written.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from penstock.domain.cached_object import CachedObject
from penstock.domain.source_status import SourceStatus
from penstock.engine.metric_names import CounterName
from penstock.engine.object_cache import Key, key_of
from penstock.engine.ports import Clock, Lease, MetricsRecorder, Notification, Notifier, StatusApi
from penstock.engine.status_policy import should_write, transition
from penstock.errors import ClusterError, SpecInvalid

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Written:
    """What is in one object's status.

    Attributes:
        status: the last one written or read back; None if there is none.
        problem: generation and problem, if the object has been invalid since.
    """

    uid: str
    status: object
    problem: tuple[int, str] | None = None


class StatusWriter:
    """Sends a notification for each transition that it has written."""

    def __init__(
        self,
        api: StatusApi,
        notifiers: Sequence[Notifier],
        clock: Clock,
        metrics: MetricsRecorder,
        lease: Lease,
    ) -> None:
        self._api, self._notifiers = api, notifiers
        self._clock, self._metrics, self._lease = clock, metrics, lease
        self._written: dict[tuple[str, Key], _Written] = {}

    def last(self, resource: str, obj: CachedObject) -> object:
        """The last status written to this very object; None also after it was invalid."""
        written = self._of(resource, obj)
        return None if written.problem else written.status

    async def write(self, resource: str, obj: CachedObject, status: object) -> None:
        """Write a status, if it is worth a write, and notify of a transition.

        Raises:
            ClusterError: it was not written.
        """
        written = self._of(resource, obj)
        if not should_write(obj.ref, status, self.last(resource, obj)):
            return
        self._check_lease()
        await self._api.write_status(resource, obj.ref, status)
        former = written.status
        written.status, written.problem = status, None
        notification = transition(obj.ref, status, former, self._clock.now())
        if notification is not None:
            await self.notify(notification)

    async def write_invalid(self, resource: str, obj: CachedObject, problem: SpecInvalid) -> None:
        """Write into an object's status, once, which field is wrong and what to write instead.

        Raises:
            ClusterError: it was not written.
        """
        written, said = self._of(resource, obj), (obj.generation, str(problem))
        if written.problem == said:
            return
        self._check_lease()
        await self._api.write_invalid(resource, obj, problem, self._clock.now())
        written.problem = said

    async def notify(self, notification: Notification) -> None:
        """Send a notification through every notifier; one that fails affects no other."""
        for notifier in self._notifiers:
            try:
                await notifier.notify(notification)
            except ClusterError as error:
                ref = notification.ref
                log.warning(
                    "%s/%s: event %s was not posted: %s",
                    ref.namespace,
                    ref.name,
                    notification.reason,
                    error,
                )
                self._metrics.count(CounterName.ERRORS, where="events")

    def forget(self, resource: str, key: Key) -> None:
        """The object is gone."""
        self._written.pop((resource, key), None)

    def _of(self, resource: str, obj: CachedObject) -> _Written:
        place = resource, key_of(obj)
        written = self._written.get(place)
        if written is None or written.uid != obj.ref.uid:
            status = _resumed(obj, self._clock.now())
            written = self._written[place] = _Written(obj.ref.uid, status)
        return written

    def _check_lease(self) -> None:
        if not self._lease.held:
            raise ClusterError("leadership is lost, so nothing is written")


def _resumed(obj: CachedObject, now: datetime) -> object:
    """The status that the object had when it was read; a source's heartbeat counts from now."""
    if isinstance(obj.slo_or_source_status, SourceStatus):
        return replace(obj.slo_or_source_status, reported_at=now)
    return obj.status

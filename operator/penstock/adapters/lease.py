"""Leader election by a Lease, by client-go's rules, on the monotonic clock.

"Expired" means that we have seen the same record for a whole lease duration: clocks of different
machines are never compared. A replica that loses the Lease stops writing before anything else.
"""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import UTC, datetime

from penstock.adapters.kube_client import Body, KubeClient, path_segment
from penstock.engine.ports import Clock
from penstock.errors import ClusterError, Conflict, NotFound

log = logging.getLogger(__name__)

NAME = "penstock"
DURATION_SECONDS = 15
RENEW_DEADLINE_SECONDS = 10.0
RETRY_SECONDS = 2.0


class AlwaysLeader:
    """Outside a cluster: this is the only replica, and always leads."""

    held = True

    async def acquire(self) -> None:
        """Return at once."""

    async def renew(self) -> None:
        """Never return: there is nothing to lose."""
        await asyncio.Event().wait()

    async def release(self) -> None:
        """Do nothing."""


class LeaderElector:
    """One Lease object that all replicas compete for."""

    def __init__(self, kube: KubeClient, namespace: str, identity: str, clock: Clock) -> None:
        self._kube, self._identity, self._clock = kube, identity, clock
        self._collection = (
            f"/apis/coordination.k8s.io/v1/namespaces/{path_segment(namespace)}/leases"
        )
        self._namespace = namespace
        self._valid_until = 0.0
        self._seen: tuple[str, float] | None = None

    @property
    def held(self) -> bool:
        """Whether we lead now."""
        return self._clock.monotonic() < self._valid_until

    async def acquire(self) -> None:
        """Wait until we lead."""
        while not await self._try():
            jitter = random.uniform(1.0, 1.2)  # noqa: S311
            await asyncio.sleep(RETRY_SECONDS * jitter)
        log.info("leading as %s", self._identity)

    async def renew(self) -> None:
        """Renew while we hold the Lease; returns when it is lost."""
        while self.held:
            await self._try()
            await asyncio.sleep(RETRY_SECONDS)
        # Final: a process that slept through its Lease must not write what it decided before.
        log.error("leadership is lost")

    async def release(self) -> None:
        """Let the next replica take over at once."""
        if not self.held:
            return
        self._valid_until = 0.0
        try:
            lease = await self._kube.get(f"{self._collection}/{NAME}")
            lease["spec"]["holderIdentity"] = ""
            lease["spec"]["leaseDurationSeconds"] = 1
            await self._kube.replace(f"{self._collection}/{NAME}", lease)
        except ClusterError as error:
            log.info("could not release the lease, it expires by itself: %s", error)

    async def _try(self) -> bool:
        """Acquire or renew once."""
        begun = self._clock.monotonic()
        try:
            async with asyncio.timeout(RENEW_DEADLINE_SECONDS / 2):
                won = await self._write_if_ours()
        except (ClusterError, TimeoutError) as error:
            log.warning("could not renew the lease: %s", error or type(error).__name__)
            return False
        if won:
            # The time before the request: the others count from when they see it.
            self._valid_until = begun + RENEW_DEADLINE_SECONDS
        return won

    async def _write_if_ours(self) -> bool:
        path = f"{self._collection}/{NAME}"
        try:
            lease = await self._kube.get(path)
        except NotFound:
            return await self._create()
        holder = lease["spec"].get("holderIdentity") or ""
        if holder not in ("", self._identity) and not self._expired(lease):
            return False
        transitions = int(lease["spec"].get("leaseTransitions") or 0)
        lease["spec"] |= self._spec(transitions + (holder != self._identity))
        try:
            await self._kube.replace(path, lease)
        except Conflict:
            return False
        return True

    async def _create(self) -> bool:
        body: Body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": NAME, "namespace": self._namespace},
            "spec": self._spec(0),
        }
        try:
            await self._kube.create(self._collection, body)
        except Conflict:
            return False
        return True

    def _spec(self, transitions: int) -> Body:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": DURATION_SECONDS,
            "renewTime": now,
            "leaseTransitions": transitions,
        }

    def _expired(self, lease: Body) -> bool:
        """Whether we ourselves have seen this very record for a whole duration."""
        version, now = lease["metadata"]["resourceVersion"], self._clock.monotonic()
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, now)
            return False
        seconds = float(lease["spec"].get("leaseDurationSeconds") or DURATION_SECONDS)
        return now - self._seen[1] > seconds

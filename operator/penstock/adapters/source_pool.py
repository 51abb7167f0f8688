"""Clients of all metrics sources: every query goes through here.

    client = await sources.client_for(source)
    if isinstance(client, Evidence):  # why not: for every SLO that it serves
        return client
    vector = await client.ask(query, at)

Each source has its own connections and threads, so that none slows another down.
"""

from __future__ import annotations

import asyncio

from penstock.adapters.credentials import CredentialCache, Credentials, CredentialsUnavailable
from penstock.adapters.source_client import SourceClient
from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import SourceKind
from penstock.domain.source_status import SourceHealth, SourceReason
from penstock.engine.ports import Clock, MetricsRecorder

REQUESTS_EVERYWHERE = 32
IDLE_SECONDS = 600.0
# A source that nobody queries is still probed this often, so that its status is true.
LOOK_SECONDS = 60.0

Key = tuple[SourceKind, ObjectRef]


class SourcePool:
    """Clients, created when they are needed and dropped when unused for a while."""

    def __init__(
        self, credentials: CredentialCache, clock: Clock, metrics: MetricsRecorder
    ) -> None:
        self._credentials, self._clock, self._metrics = credentials, clock, metrics
        self._everywhere = asyncio.Semaphore(REQUESTS_EVERYWHERE)
        self._clients: dict[Key, SourceClient] = {}

    async def client_for(self, source: MetricsSource) -> SourceClient | Evidence:
        """The client of a source that can be queried now, or why there is none."""
        try:
            client = await self._client(source)
        except CredentialsUnavailable as unready:
            return unready.evidence
        return await client.unavailable_reason() or client

    async def health(self, source: MetricsSource) -> SourceHealth:
        """Its health; it is queried only if nobody has queried it for a while."""
        try:
            client = await self._client(source)
        except CredentialsUnavailable as unready:
            return SourceHealth(unready.reason, unready.detail)
        if not client.was_asked_within(LOOK_SECONDS):
            await client.unavailable_reason(LOOK_SECONDS)
        return client.health

    def is_overloaded(self, source: MetricsSource) -> bool:
        """Whether it has recently reported overload."""
        client = self._clients.get((source.kind, source.ref))
        return client is not None and client.is_overloaded

    def close(self) -> None:
        """Close idle connections."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    async def _client(self, source: MetricsSource) -> SourceClient:
        """A changed source or Secret gets a new client, and failures of the old one are dropped."""
        try:
            return self._known(source, await self._credentials.credentials(source))
        except CredentialsUnavailable:
            self._credentials.invalidate(source)
            raise

    def _known(self, source: MetricsSource, credentials: Credentials) -> SourceClient:
        now = self._clock.monotonic()
        for idle in [
            k for k, client in self._clients.items() if now - client.used_at > IDLE_SECONDS
        ]:
            self._clients.pop(idle).close()
        key = (source.kind, source.ref)
        client = self._clients.get(key)
        if client is None or client.source != source or client.credentials != credentials:
            if client is not None:
                self._clients.pop(key).close()
            client = self._clients[key] = self._new(source, credentials)
        client.used_at = now
        return client

    def _new(self, source: MetricsSource, credentials: Credentials) -> SourceClient:
        try:
            return SourceClient(
                source,
                credentials,
                self._clock,
                self._metrics,
                self._everywhere,
                lambda: self._credentials.invalidate(source),
            )
        except ValueError:  # unbalanced brackets, for example
            raise _NoAddress from None


class _NoAddress(CredentialsUnavailable):
    def __init__(self) -> None:
        super().__init__(SourceReason.UNREACHABLE, "spec.url is not a URL")

    @property
    def evidence(self) -> Evidence:
        return Evidence(EvidenceKind.UNREACHABLE, self.detail)

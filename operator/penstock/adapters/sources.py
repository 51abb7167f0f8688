"""All metrics sources as they are reached: the small door through which everything is asked.

    link = await sources.reach(source)
    if isinstance(link, Evidence):  # why not: for every SLO that it serves
        return link
    vector = await link.ask(query, at)

Each source has its own connections and threads, so that none slows another down.
"""

from __future__ import annotations

import asyncio

from penstock.adapters.credentials import Credentials, Unready, Vault
from penstock.adapters.prometheus_link import Link
from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import SourceKind
from penstock.domain.source_status import SourceHealth, SourceReason
from penstock.engine.ports import Clock, Tally

REQUESTS_EVERYWHERE = 32
IDLE_SECONDS = 600.0
# A source that nobody asks is asked so often all the same, so that its status is true.
LOOK_SECONDS = 60.0

Key = tuple[SourceKind, ObjectRef]


class Sources:
    """Links, made when they are needed and forgotten when nobody has used them for a while."""

    def __init__(self, vault: Vault, clock: Clock, tally: Tally) -> None:
        self._vault, self._clock, self._tally = vault, clock, tally
        self._everywhere = asyncio.Semaphore(REQUESTS_EVERYWHERE)
        self._links: dict[Key, Link] = {}

    async def reach(self, source: MetricsSource) -> Link | Evidence:
        """The way to a source that is worth asking now, or why there is none."""
        try:
            link = await self._link(source)
        except Unready as unready:
            return unready.evidence
        return await link.refusal() or link

    async def look(self, source: MetricsSource) -> SourceHealth:
        """How it stands; asked only when nobody has asked it for a while."""
        try:
            link = await self._link(source)
        except Unready as unready:
            return SourceHealth(unready.reason, unready.detail)
        if not link.was_asked_within(LOOK_SECONDS):
            await link.refusal(LOOK_SECONDS)
        return link.health

    def is_overloaded(self, source: MetricsSource) -> bool:
        """Whether it has said lately that it has too much to do."""
        link = self._links.get((source.kind, source.ref))
        return link is not None and link.is_overloaded

    def close(self) -> None:
        """Close the connections that are idle."""
        for link in self._links.values():
            link.close()
        self._links.clear()

    async def _link(self, source: MetricsSource) -> Link:
        """A changed source or Secret gets a new link, and what the old one failed by is over."""
        try:
            return self._known(source, await self._vault.credentials(source))
        except Unready:
            self._vault.doubt(source)
            raise

    def _known(self, source: MetricsSource, credentials: Credentials) -> Link:
        now = self._clock.monotonic()
        for idle in [k for k, link in self._links.items() if now - link.used_at > IDLE_SECONDS]:
            self._links.pop(idle).close()
        key = (source.kind, source.ref)
        link = self._links.get(key)
        if link is None or link.source != source or link.credentials != credentials:
            if link is not None:
                self._links.pop(key).close()
            link = self._links[key] = self._new(source, credentials)
        link.used_at = now
        return link

    def _new(self, source: MetricsSource, credentials: Credentials) -> Link:
        try:
            return Link(
                source,
                credentials,
                self._clock,
                self._tally,
                self._everywhere,
                lambda: self._vault.doubt(source),
            )
        except ValueError:  # brackets that do not close, and the like
            raise _NoAddress from None


class _NoAddress(Unready):
    def __init__(self) -> None:
        super().__init__(SourceReason.UNREACHABLE, "spec.url is not a URL")

    @property
    def evidence(self) -> Evidence:
        return Evidence(EvidenceKind.UNREACHABLE, self.detail)

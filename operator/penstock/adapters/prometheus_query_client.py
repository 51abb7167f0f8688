"""Queries servers with the Prometheus query API: implements the port ``QueryClient``.

It decides which queries share a request, since a request for each would cost forty times as much. A
rejected request is split in halves until the query at fault is alone, so that it costs no other its
answer; after that it is sent alone from the start. It keeps nothing that a
restart would miss.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic

from penstock.adapters.prometheus_response import (
    CircuitOpen,
    Matrix,
    QueryError,
    QueryOutcome,
    Vector,
)
from penstock.adapters.source_client import SourceClient
from penstock.adapters.source_pool import SourcePool
from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.source_status import SourceHealth
from penstock.engine.ports import Clock
from penstock.engine.promql.query_client import (
    BatchableQuery,
    BatchedQuery,
    Q,
    QueryBatcher,
    QueryRange,
    QueryResult,
    Series,
)

APART_SECONDS = 3_600.0

Found = dict[Hashable, QueryResult | Evidence]


class PrometheusQueryClient:
    """Decides which queries share a request, and returns their answers."""

    def __init__(self, pool: SourcePool, clock: Clock) -> None:
        self._pool = pool
        self._limits = BatchLimits(clock)

    async def ask(
        self,
        source: MetricsSource,
        groups: Sequence[tuple[QueryBatcher[Q], Sequence[Q]]],
        when: datetime | QueryRange,
    ) -> Mapping[Hashable, QueryResult | Evidence]:
        """For each query, by its key: its rows, or why there are none."""
        queries = [one for _, group in groups for one in group]
        if not queries:
            return {}
        client = await self._pool.client_for(source)
        if isinstance(client, Evidence):
            return _all(queries, client)
        sanity_check = _SanityCheck(client)
        batches = [
            _Batch(client, self._limits, sanity_check, batcher, when).ask(batch)
            for batcher, group in groups
            for batch in self._limits.batches(batcher, group)
        ]
        return {key: one for part in await asyncio.gather(*batches) for key, one in part.items()}

    async def health(self, source: MetricsSource) -> SourceHealth:
        """The health of a source."""
        return await self._pool.health(source)

    def is_overloaded(self, source: MetricsSource) -> bool:
        """Whether a source has recently reported overload."""
        return self._pool.is_overloaded(source)


class BatchLimits:
    """How many others a query may share a request with; all, until it has spoilt one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._most: dict[Hashable, tuple[int, float]] = {}

    def limit(self, queries: Iterable[BatchableQuery], most: int) -> None:
        """From now on put at most this number into one request with these, themselves included."""
        ends = self._clock.monotonic() + APART_SECONDS
        for asked in queries:
            former = self._most.get(asked.key, (most, 0.0))[0]
            self._most[asked.key] = max(1, min(most, former)), ends

    def batches(self, batcher: QueryBatcher[Q], queries: Sequence[Q]) -> Iterator[Sequence[Q]]:
        """Batches, the most trusted first: a query that costs too much delays only its like."""
        now = self._clock.monotonic()
        self._most = {key: kept for key, kept in self._most.items() if kept[1] > now}
        if not self._most:
            yield from batcher.cut(queries, batcher.most)
            return
        by_size: dict[int, list[Q]] = {}
        for asked in queries:
            most = self._most.get(asked.key, (batcher.most, 0.0))[0]
            by_size.setdefault(min(most, batcher.most), []).append(asked)
        for size, group in sorted(by_size.items(), reverse=True):
            yield from batcher.cut(group, size)


class _SanityCheck:
    """Whether a server that rejects a query answers any at all; checked once a round."""

    def __init__(self, client: SourceClient) -> None:
        self._client, self._lock, self._is_sane = client, asyncio.Lock(), False

    async def passed(self) -> None:
        """A server that rejects every query must not be sent each query alone.

        Raises:
            QueryError: it does.
        """
        async with self._lock:
            if not self._is_sane:
                await self._client.probe()
            self._is_sane = True


@dataclass(frozen=True)
class _Batch(Generic[Q]):
    """Queries of one form that share a request, split in halves if it is rejected."""

    client: SourceClient
    limits: BatchLimits
    sanity_check: _SanityCheck
    batcher: QueryBatcher[Q]
    when: datetime | QueryRange

    async def ask(self, batch: Sequence[Q]) -> Found:
        """The answer to each, or why there is none."""
        return await self._settled(batch, await self._tried(batch))

    async def _tried(self, batch: Sequence[Q]) -> Found | QueryError:
        """The result of one request for all of them."""
        try:
            batched = self.batcher.batched(batch)
            found = await self._sent(batched.query)
            if found.warnings:
                return await self._warned(batch, found.warnings)
            answers = _demultiplex(batched, _rows(found, self.when))
        except QueryError as failed:
            return failed
        return {asked.key: answer for asked, answer in zip(batch, answers, strict=True)}

    async def _sent(self, query: str) -> Vector | Matrix:
        if isinstance(self.when, QueryRange):
            step = float(self.when.step.seconds)
            return await self.client.ask_range(query, self.when.start, self.when.end, step)
        return await self.client.ask(query, self.when)

    async def _settled(self, batch: Sequence[Q], failed: Found | QueryError) -> Found:
        """The same; if that failed, by smaller requests."""
        if not isinstance(failed, QueryError):
            return failed
        told = _all(batch, self.client.as_evidence(failed))
        if isinstance(failed, CircuitOpen):
            return told
        if failed.outcome is QueryOutcome.OVERLOADED:
            self.limits.limit(batch, len(batch) // 2)
        if failed.outcome is not QueryOutcome.REJECTED:
            return told
        if len(batch) == 1:
            self.limits.limit(batch, 1)
            return told
        return await self._halves(batch)

    async def _warned(self, batch: Sequence[Q], warnings: Sequence[str]) -> Found:
        """Warnings mean that something is missing. Those of PromQL are about a single query."""
        by_query = all(warning.startswith("PromQL") for warning in warnings)
        if by_query and len(batch) > 1:
            return await self._halves(batch)
        if by_query:
            self.limits.limit(batch, 1)
        failed = QueryError(QueryOutcome.PARTIAL, f"the answer is partial: {warnings[0]}")
        return _all(batch, self.client.as_evidence(failed))

    async def _halves(self, batch: Sequence[Q]) -> Found:
        """An answered half shows that the server answers; without one, that is checked first."""
        middle = len(batch) // 2
        halves = batch[:middle], batch[middle:]
        tried = await asyncio.gather(*map(self._tried, halves))
        if all(_is_refused(one) for one in tried):
            try:
                await self.sanity_check.passed()
            except QueryError as worse:
                return _all(batch, self.client.as_evidence(worse))
        settled = (self._settled(half, one) for half, one in zip(halves, tried, strict=True))
        parts = await asyncio.gather(*settled)
        found = parts[0] | parts[1]
        kinds = {one.kind for one in found.values() if isinstance(one, Evidence)}
        if not {EvidenceKind.REJECTED, EvidenceKind.PARTIAL} & kinds:
            self.limits.limit(batch, middle)  # none of them is at fault: together they are too big
        return found


def _is_refused(tried: Found | QueryError) -> bool:
    return isinstance(tried, QueryError) and tried.outcome is QueryOutcome.REJECTED


def _demultiplex(batched: BatchedQuery, rows: Sequence[Series]) -> Sequence[QueryResult]:
    try:
        return batched.demultiplex(rows)
    except ValueError as error:
        raise QueryError(QueryOutcome.MALFORMED, str(error)) from error


def _rows(found: Vector | Matrix, when: datetime | QueryRange) -> list[Series]:
    if isinstance(found, Matrix):
        return [
            (labels, tuple((round(at * 1_000), text) for at, text in points))
            for labels, points in found.rows
        ]
    at = when.start if isinstance(when, QueryRange) else when
    moment = round(at.timestamp() * 1_000)
    return [(labels, ((moment, text),)) for labels, text in found.rows]


def _all(queries: Iterable[BatchableQuery], same: Evidence) -> Found:
    return {asked.key: same for asked in queries}

"""The port ``EvidenceSource``: short windows are read directly, longer ones from ledgers."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from penstock.domain.evidence import EventCounts, Evidence
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.quantities import Duration
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import Occurrences, Slo
from penstock.domain.source_status import SourceHealth
from penstock.domain.window import length
from penstock.engine.budget.direct import Direct
from penstock.engine.budget.ledger_evidence import evidence_from_ledger
from penstock.engine.budget.ledger_manager import LedgerManager
from penstock.engine.budget.ledger_plan import LedgerPlan, plan_ledger_read
from penstock.engine.budget.migration import Migrations
from penstock.engine.budget.source_ledgers import TrackedLedger
from penstock.engine.ports import Clock, EvidenceRequest
from penstock.engine.promql import CountQuery, CountRange, Counts, fetch_counts
from penstock.engine.promql.query_client import QueryClient

SHORTEST_OF_LEDGER = Duration.parse("1h")


class PlannedRequest(NamedTuple):
    """How one request is answered."""

    request: EvidenceRequest
    ledger: TrackedLedger
    plan: LedgerPlan


class BudgetEvidence:
    """Evidence of every SLO's budget."""

    def __init__(self, client: QueryClient, ledgers: LedgerManager, clock: Clock) -> None:
        self._client, self._ledgers, self._clock = client, ledgers, clock
        self._direct = Direct(client)
        self._migrations = Migrations()

    async def measure(
        self, source: MetricsSource, requests: Sequence[EvidenceRequest], at: datetime
    ) -> Mapping[ObjectRef, Evidence]:
        """Evidence for each request, all for the same instant."""
        short, others = list[EvidenceRequest](), list[EvidenceRequest]()
        for request in requests:
            (short if _is_read_directly(request.slo, at) else others).append(request)
        read, kept = await asyncio.gather(
            self._direct.measure(source, short, at),
            self._migrating(source, others, at.replace(microsecond=0)),
        )
        return {**read, **kept}

    async def health(self, source: MetricsSource) -> SourceHealth:
        """The health of a source."""
        return await self._client.health(source)

    def is_overloaded(self, source: MetricsSource) -> bool:
        """Whether a source has recently reported overload."""
        return self._client.is_overloaded(source)

    async def _migrating(
        self, source: MetricsSource, requests: Sequence[EvidenceRequest], at: datetime
    ) -> dict[ObjectRef, Evidence]:
        """If the indicator of an SLO has changed, measure the former one as well."""
        former = self._migrations.former(source, requests)
        found = await self._from_ledgers(source, [*requests, *former], at)
        return self._migrations.merge(source, requests, found, self._clock.monotonic())

    async def _from_ledgers(
        self, source: MetricsSource, requests: Sequence[EvidenceRequest], at: datetime
    ) -> dict[ObjectRef, Evidence]:
        if not requests:
            return {}
        planned = self.planned(source, requests, at)
        found = await self.read(source, planned, at)
        self._ledgers.wake(source)
        return {
            one.request.slo.ref: told
            if isinstance(told := found[one.ledger], Evidence)
            else evidence_from_ledger(
                one.plan,
                one.ledger.ledger,
                _by_burn_window(told, one.plan),
                one.request.release_starts,
            )
            for one in planned
        }

    def planned(
        self, source: MetricsSource, requests: Sequence[EvidenceRequest], at: datetime
    ) -> list[PlannedRequest]:
        """How each request is answered: from which ledger, and by which additional queries."""
        source_ledgers, now = self._ledgers.source_ledgers(source), self._clock.monotonic()
        found = []
        for request in requests:
            tracked = source_ledgers.ledger_for(request.slo, at, self._ledgers.kept)
            tracked.used_at, tracked.is_hot = now, request.hot
            plan = plan_ledger_read(
                request.slo, request.burn_windows, tracked.ledger, at, hot=request.hot
            )
            found.append(PlannedRequest(request, tracked, plan))
        return found

    async def read(
        self, source: MetricsSource, planned: Sequence[PlannedRequest], at: datetime
    ) -> Mapping[Hashable, Counts | Evidence]:
        """What the ledgers lack, by ledger: one query, however many SLOs need it."""
        wanted: dict[TrackedLedger, frozenset[CountRange]] = {}
        for _, tracked, plan in planned:
            asked = wanted.setdefault(tracked, plan.ranges.every)
            if asked is not plan.ranges.every:
                wanted[tracked] = asked | plan.ranges.every
        fresh = source.freshness
        count_queries = [
            CountQuery(tracked, tracked.indicator_query, asked, fresh, tracked.ledger.has_events)
            for tracked, asked in wanted.items()
        ]
        return await fetch_counts(self._client, source, count_queries, at)


def _is_read_directly(slo: Slo, at: datetime) -> bool:
    """Only ledgers have time slices, however short the window is."""
    return isinstance(slo.budgeting, Occurrences) and length(slo.window, at) < SHORTEST_OF_LEDGER


def _by_burn_window(read: Counts, plan: LedgerPlan) -> dict[Duration, EventCounts]:
    """Counts by burn window; one without data is missing."""
    moment = plan.at * 1_000
    return {
        burn_window: count
        for burn_window, count_range in plan.ranges.by_burn_window.items()
        if (count := read.at[count_range].get(moment)) is not None
    }

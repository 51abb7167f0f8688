"""Reads budgets of short windows directly: it queries the whole window and each burn window.

Nothing is stored, so nothing is known but what the server still has, and a long window costs as
much at each evaluation as at the first.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock.domain.evidence import EventCounts, Evidence, EvidenceKind, Reading, evidence_of
from penstock.domain.indicator import CountedEvents, RatioIndicator, RawRatioIndicator
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.quantities import Duration, plain
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import Slo
from penstock.domain.source_status import SourceHealth
from penstock.domain.window import length
from penstock.engine.ports import EvidenceRequest
from penstock.engine.promql import (
    CountQuery,
    Counts,
    IncreaseOver,
    build_indicator_query,
    fetch_counts,
)
from penstock.engine.promql.query_client import QueryClient


class Direct:
    """The port ``EvidenceSource``, without memory."""

    def __init__(self, client: QueryClient) -> None:
        self._client = client

    async def measure(
        self, source: MetricsSource, requests: Sequence[EvidenceRequest], at: datetime
    ) -> Mapping[ObjectRef, Evidence]:
        """Evidence for each request, all for the same instant."""
        plans = {
            request.slo.ref: plan_direct_read(request, at, source.freshness) for request in requests
        }
        asked = {ref: one for ref, one in plans.items() if isinstance(one, DirectPlan)}
        found: Mapping[Hashable, Counts | Evidence] = {}
        if asked:
            count_queries = [one.query for one in asked.values()]
            found = await fetch_counts(self._client, source, count_queries, at)
        return {
            ref: one
            if isinstance(one, Evidence)
            else evidence_from_counts(one, found[one.query.key], at)
            for ref, one in plans.items()
        }

    async def health(self, source: MetricsSource) -> SourceHealth:
        """The health of a source."""
        return await self._client.health(source)

    def is_overloaded(self, source: MetricsSource) -> bool:
        """Whether a source has recently reported overload."""
        return self._client.is_overloaded(source)


@dataclass(frozen=True, slots=True)
class DirectPlan:
    """What to query for a request; ``window`` begins where the SLO's own window does."""

    request: EvidenceRequest
    window: Duration
    query: CountQuery


def plan_direct_read(
    request: EvidenceRequest, at: datetime, freshness: Duration
) -> DirectPlan | Evidence:
    """What to query for a request, or why nothing can be queried."""
    slo = request.slo
    window = _since_start(slo, at)
    if window.milliseconds <= 0:
        return Evidence(EvidenceKind.INSUFFICIENT_HISTORY, "the window has just begun")
    ranges = frozenset(IncreaseOver(back) for back in {window, *request.burn_windows})
    key = (slo.ref, slo.generation)
    return DirectPlan(
        request, window, CountQuery(key, build_indicator_query(slo.indicator), ranges, freshness)
    )


def evidence_from_counts(planned: DirectPlan, found: Counts | Evidence, at: datetime) -> Evidence:
    """What the counts say about the budget."""
    if isinstance(found, Evidence):
        return found
    slo, window = planned.request.slo, planned.window
    whole = _count(found, window)
    if whole is None:
        return Evidence(EvidenceKind.ABSENT, f"no events in the last {window}")
    if _lacks_good(slo, found, window, whole):
        events = plain(whole.total.quantize(1))
        return Evidence(
            EvidenceKind.ABSENT,
            f"there are {events} events in the last {window}, but no series matches "
            "spec.indicator.ratio.good",
        )
    burn_windows = {back: _count(found, back) for back in planned.request.burn_windows}
    reading = Reading(
        at=at,
        objective=slo.objective,
        window=length(slo.window, at),
        window_counts=whole,
        burn_windows={back: count for back, count in burn_windows.items() if count is not None},
    )
    # A recorded ratio has no number of events.
    is_of_events = not isinstance(slo.indicator, RawRatioIndicator)
    return evidence_of(reading, slo.minimum_events if is_of_events else 0)


def _count(found: Counts, back: Duration) -> EventCounts | None:
    return next(iter(found.at.get(IncreaseOver(back), {}).values()), None)


def _lacks_good(slo: Slo, found: Counts, window: Duration, whole: EventCounts) -> bool:
    """Whether good events never happened in the whole window: probably a mistake in the query."""
    indicator = slo.indicator
    counts_good = isinstance(indicator, RatioIndicator) and indicator.counted is CountedEvents.GOOD
    return counts_good and whole.total > 0 and IncreaseOver(window) in found.without_events


def _since_start(slo: Slo, at: datetime) -> Duration:
    return Duration(max(0, (at - slo.window.start(at)) // timedelta(milliseconds=1)))

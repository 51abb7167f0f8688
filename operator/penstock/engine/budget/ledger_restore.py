"""Restores ledgers from the counters of an earlier operator process, which a source has scraped.

This is for ledgers that were lost together with their snapshots: it reads at most 1,500 samples for
each instead of months of raw ones. What the counters do not prove stays unknown and is backfilled
as usual.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from penstock.domain.bucket_ring import BucketState
from penstock.domain.evidence import EventCounts, Evidence, EvidenceKind
from penstock.domain.exported_counters import (
    CounterSamples,
    boundary_at,
    hours_from_counters,
    seen_at,
)
from penstock.domain.ledger import HOUR
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.quantities import Duration
from penstock.domain.selector import NAME, Matcher, Op, Selector, literal
from penstock.engine.budget.source_ledgers import TrackedLedger, counters_of
from penstock.engine.metric_names import CounterName
from penstock.engine.promql.query_client import (
    BatchedQuery,
    BatchedQueryByLabel,
    QueryClient,
    QueryRange,
    QueryResult,
    Series,
)

COUNTERS = CounterName.SLI_EVENTS.value
SLI, KIND, SINCE = "sli", "kind", "since"
BAD, TOTAL = "bad", "total"
# Two numbers for each hour, and two more: 1,500.
MOST_HOURS = 749
TOGETHER, MOST_TRIES = 25, 5


class LedgerRestore:
    """Restores the ledgers of one source.

    Args:
        client: queries the source.
        job: the job under which it scrapes us; empty: it does not, and nothing is queried.
    """

    def __init__(self, client: QueryClient, job: str) -> None:
        self._client, self._job = client, job

    async def once(
        self, source: MetricsSource, tracked_ledgers: Sequence[TrackedLedger], now: int
    ) -> bool:
        """Look for the past of some ledgers that lack it; returns whether it did.

        A source that rejects the query of counters may still answer for raw samples, so it is not
        queried for counters again. Time slices are not counted here.
        """
        wanted = []
        for tracked in tracked_ledgers:
            hours = _hours(tracked, now)
            if self._job and hours and not tracked.ledger.slices:
                wanted.append((tracked, hours))
            else:
                tracked.lacks_before = None
        if not wanted:
            return False
        hours = wanted[0][1]
        those = [tracked for tracked, its in wanted if its == hours][:TOGETHER]
        answers = await self._ask(source, those, hours)
        for tracked, answer in zip(those, answers, strict=True):
            if isinstance(answer, Evidence):
                _failed(tracked, answer)
            else:
                _restore(tracked, answer[COUNTERS], hours)
            await asyncio.sleep(0)
        return any(one.lacks_before is None for one in those)

    async def _ask(
        self, source: MetricsSource, tracked_ledgers: Sequence[TrackedLedger], hours: range
    ) -> list[QueryResult | Evidence]:
        asked = [_CounterQuery(counters_of(source, tracked)) for tracked in tracked_ledgers]
        bounds = (hours.start * HOUR, hours.stop * HOUR)
        start, end = (datetime.fromtimestamp(seen_at(boundary), UTC) for boundary in bounds)
        when = QueryRange(start, end, Duration.of_seconds(HOUR))
        found = await self._client.ask(source, [(_CounterQueryBatcher(self._job), asked)], when)
        return [found[one.key] for one in asked]


def _hours(tracked: TrackedLedger, now: int) -> range:
    """Hours of its window before its ledger's first bucket that were not looked for yet."""
    if tracked.lacks_before is None:
        return range(0)
    end = tracked.lacks_before // HOUR
    return range(max((now - tracked.ledger.retention) // HOUR, end - MOST_HOURS), end)


def _failed(tracked: TrackedLedger, why: Evidence) -> None:
    """Retry an unreachable source a few times: it has no raw samples either. Else give up."""
    tracked.recalls_failed += len(tracked.ledger.fine) > 0
    if why.kind is not EvidenceKind.UNREACHABLE or tracked.recalls_failed >= MOST_TRIES:
        tracked.lacks_before = None


def _restore(tracked: TrackedLedger, rows: Sequence[Series], hours: range) -> None:
    tracked.lacks_before = None
    for number, count in hours_from_counters(_samples(rows)).items():
        if number in hours and tracked.ledger.coarse.state(number) is BucketState.UNKNOWN:
            tracked.ledger.backfill(number, [count], BucketState.SEALED)


@dataclass(frozen=True, slots=True)
class _CounterQuery:
    """A query of the counters of one ledger."""

    name: str

    @property
    def key(self) -> Hashable:
        return COUNTERS, self.name


@dataclass(frozen=True, slots=True)
class _CounterQueryBatcher:
    """All counters of some ledgers, as they are: the labels say which process wrote them."""

    job: str
    most: int = TOGETHER

    def cut(
        self, queries: Sequence[_CounterQuery], together: int
    ) -> Iterator[Sequence[_CounterQuery]]:
        return (queries[first : first + together] for first in range(0, len(queries), together))

    def batched(self, queries: Sequence[_CounterQuery]) -> BatchedQuery:
        names = [one.name for one in queries]
        query = Selector.of(
            Matcher(NAME, Op.EQUAL, COUNTERS),
            Matcher("job", Op.EQUAL, self.job),
            Matcher(SLI, Op.LIKE, "|".join(map(literal, names))),
        )
        return BatchedQueryByLabel(query.text, SLI, names, COUNTERS)


def _samples(rows: Iterable[Series]) -> Iterator[CounterSamples]:
    """Bad and total events by process, without any process that has an odd value."""
    pairs: dict[frozenset[tuple[str, str]], dict[str, Series]] = defaultdict(dict)
    for row in rows:
        labels, _ = row
        whose = frozenset((name, text) for name, text in labels.items() if name != KIND)
        pairs[whose][labels.get(KIND, "")] = row
    for pair in pairs.values():
        if pair.keys() >= {BAD, TOTAL}:
            try:
                since = int(pair[TOTAL][0].get(SINCE, ""))
                bad, total = _totals(pair[BAD]), _totals(pair[TOTAL])
            except (ValueError, InvalidOperation):
                continue
            both = bad.keys() & total.keys()
            yield CounterSamples(
                since, {boundary: EventCounts(bad[boundary], total[boundary]) for boundary in both}
            )


def _totals(row: Series) -> Mapping[int, Decimal]:
    """Totals by bucket boundary.

    Raises:
        ValueError: a value is not a number.
    """
    _, points = row
    said = {boundary_at(at // 1_000): Decimal(text) for at, text in points}
    if not all(number.is_finite() for number in said.values()):
        raise ValueError("no number")
    return said

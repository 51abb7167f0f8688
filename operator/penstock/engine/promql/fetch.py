"""Sends count queries and reads their answers: all that callers who want counts need to know."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime

from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.indicator import Indicator, LatencyIndicator
from penstock.domain.metrics_source import MetricsSource
from penstock.engine.promql.batching import groups
from penstock.engine.promql.count_query import CountQuery, Counts
from penstock.engine.promql.decode import decode_counts
from penstock.engine.promql.histogram_buckets import BucketBoundsKey, BucketBoundsQuery, no_bucket
from penstock.engine.promql.query_client import QueryClient, QueryRange

_NO_NATIVE = Evidence(
    EvidenceKind.SLO_INVALID,
    "spec.indicator.latency.histogram: VictoriaMetrics stores no native histograms; name the "
    "series of a classic one, which end in _bucket",
)


async def fetch_counts(
    client: QueryClient,
    source: MetricsSource,
    count_queries: Sequence[CountQuery],
    when: datetime | QueryRange,
) -> Mapping[Hashable, Counts | Evidence]:
    """The counts of each count query by its key, or why there are none.

    For histograms whose threshold is not a bucket it also queries which buckets exist.
    """
    found: dict[Hashable, Counts | Evidence] = {}
    readable = [
        asked for asked in count_queries if _can_be_read(source, asked.indicator_query.indicator)
    ]
    if len(readable) < len(count_queries):
        found = {asked.key: _NO_NATIVE for asked in count_queries}
    answers = await client.ask(source, groups(readable, source.dialect), when)
    lost: dict[Hashable, LatencyIndicator] = {}
    for asked in readable:
        answer = answers[asked.key]
        told = answer if isinstance(answer, Evidence) else decode_counts(asked, answer)
        found[asked.key] = told
        indicator = asked.indicator_query.indicator
        if isinstance(indicator, LatencyIndicator) and _lacks_bucket(told):
            lost[asked.key] = indicator
    if lost:
        at = when.end if isinstance(when, QueryRange) else when
        further = [BucketBoundsKey(key, one.histogram) for key, one in lost.items()]
        bounds = await client.ask(source, [(BucketBoundsQuery(), further)], at)
        found |= {key: no_bucket(one, bounds[key]) for key, one in lost.items()}
    return found


def _lacks_bucket(found: Counts | Evidence) -> bool:
    return isinstance(found, Evidence) and found.kind is EvidenceKind.SLO_INVALID


def _can_be_read(source: MetricsSource, indicator: Indicator) -> bool:
    is_native = isinstance(indicator, LatencyIndicator) and not indicator.is_classic
    return source.dialect.has_native_histograms or not is_native

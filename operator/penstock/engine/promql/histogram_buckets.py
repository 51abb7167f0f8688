"""Queries which buckets a histogram has, once its threshold turned out not to be a bucket."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.indicator import BUCKET_BOUND, LatencyIndicator
from penstock.domain.quantities import Duration, plain
from penstock.domain.selector import Selector
from penstock.engine.promql.batching import MOST_GROUPS, any_of, labelled
from penstock.engine.promql.indicator_query import LABEL
from penstock.engine.promql.query_client import BatchedQuery, BatchedQueryByLabel, QueryResult

BUCKET_BOUNDS = "borders"


@dataclass(frozen=True, slots=True)
class BucketBoundsKey:
    """Identifies the query for the buckets of a histogram."""

    key: Hashable
    histogram: Selector


class BucketBoundsQuery:
    """Batches these queries."""

    most = MOST_GROUPS

    def cut(
        self, queries: Sequence[BucketBoundsKey], together: int
    ) -> Iterator[Sequence[BucketBoundsKey]]:
        """Batches of at most ``together``."""
        return (queries[first : first + together] for first in range(0, len(queries), together))

    def batched(self, queries: Sequence[BucketBoundsKey]) -> BatchedQuery:
        """One query for all; each bucket is a row."""
        counted = (f"count by ({BUCKET_BOUND}) ({asked.histogram.text})" for asked in queries)
        names = [str(number) for number in range(len(queries))]
        terms = [labelled(text, name) for text, name in zip(counted, names, strict=True)]
        return BatchedQueryByLabel(any_of(terms), LABEL, names, BUCKET_BOUNDS)


def no_bucket(
    indicator: LatencyIndicator, answer: QueryResult | Evidence | None = None
) -> Evidence:
    """Says that the threshold is not a bucket, and which ones are nearest, if known."""
    threshold = indicator.threshold
    detail = f"spec.indicator.latency.threshold: {threshold} is not a bucket of the histogram"
    rows = [] if answer is None or isinstance(answer, Evidence) else answer[BUCKET_BOUNDS]
    bounds = {
        bound for labels, _ in rows if (bound := _bound(labels.get(BUCKET_BOUND, ""))) is not None
    }
    below = [max(under)] if (under := {one for one in bounds if one < threshold.seconds}) else []
    above = [min(over)] if (over := {one for one in bounds if one > threshold.seconds}) else []
    nearest = " and ".join(_written(one) for one in (*below, *above))
    return Evidence(
        EvidenceKind.SLO_INVALID, f"{detail}; the nearest: {nearest}" if nearest else detail
    )


def _bound(text: str) -> Decimal | None:
    try:
        bound = Decimal(text)
    except InvalidOperation:
        return None
    return bound if bound.is_finite() else None


def _written(seconds: Decimal) -> str:
    """As a duration, where it is one of whole milliseconds."""
    milliseconds = seconds * 1_000
    is_whole = 0 < milliseconds < 10**12 and milliseconds == int(milliseconds)
    return str(Duration(int(milliseconds))) if is_whole else f"{plain(seconds)} s"

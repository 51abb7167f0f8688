"""Builds PromQL queries, and turns their answers into counts."""

from penstock.engine.promql.batching import groups
from penstock.engine.promql.count_query import CountQuery, Counts
from penstock.engine.promql.decode import decode_counts
from penstock.engine.promql.fetch import fetch_counts
from penstock.engine.promql.indicator_query import build_indicator_query
from penstock.engine.promql.ranges import CountRange, ExactBucket, IncreaseOver

__all__ = [
    "CountQuery",
    "CountRange",
    "Counts",
    "ExactBucket",
    "IncreaseOver",
    "build_indicator_query",
    "decode_counts",
    "fetch_counts",
    "groups",
]

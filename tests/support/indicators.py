"""Indicators as their authors write them."""

from __future__ import annotations

from penstock.api import promql_validation
from penstock.domain.indicator import (
    CountedEvents,
    LatencyIndicator,
    ProbeIndicator,
    QueryIndicator,
    RatioIndicator,
    RawRatioIndicator,
)
from penstock.domain.quantities import Duration
from penstock.domain.selector import Selector


def ratio(events: str, total: str, counted: CountedEvents = CountedEvents.BAD) -> RatioIndicator:
    return RatioIndicator(counted, selector(events), selector(total))


def selector(text: str) -> Selector:
    return promql_validation.selector("spec", text, may_sum=True)


def latency(histogram: str, threshold: str) -> LatencyIndicator:
    return LatencyIndicator(
        promql_validation.histogram("spec", histogram), Duration.parse(threshold)
    )


def probe(metric: str) -> ProbeIndicator:
    return ProbeIndicator(selector(metric))


def query(bad: str, total: str) -> QueryIndicator:
    return QueryIndicator(
        promql_validation.expression("spec", bad), promql_validation.expression("spec", total)
    )


def raw_ratio(error_ratio: str) -> RawRatioIndicator:
    return RawRatioIndicator(promql_validation.expression("spec", error_ratio))

"""Queries of event counts, and the counts that answer them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from penstock.domain.evidence import EventCounts
from penstock.domain.quantities import Duration
from penstock.engine.promql.indicator_query import IndicatorQuery
from penstock.engine.promql.ranges import CountRange


class CountQuery(NamedTuple):
    """What is queried about one indicator; a plain tuple, since each round creates thousands.

    Attributes:
        key: identifies its answer among others; a rejection is remembered by it.
        indicator_query: how its indicator is queried.
        freshness: data that is older is stale; None if its age is not queried, as for closed
            buckets.
        remembered: events before all ranges are known, so none of the ranges may be a pause:
            whether there is data then depends on its age alone, where that is known.
    """

    key: Hashable
    indicator_query: IndicatorQuery
    ranges: frozenset[CountRange]
    freshness: Duration | None = None
    remembered: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """Bad and total events, as the answer of a query.

    Attributes:
        at: for each range and evaluation time, in milliseconds since the epoch; a time without
            data is missing.
        without_events: ranges that have a total, but no series of the events that the author
            counts. Good events missing from a whole window are probably a mistake in the query, in
            a short burn window an outage; bad events that never happened are normal.
    """

    at: Mapping[CountRange, Mapping[int, EventCounts]]
    without_events: frozenset[CountRange] = field(default=frozenset())

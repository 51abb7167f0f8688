"""Questions about events, and the counts that answer them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from penstock.domain.evidence import EventCounts
from penstock.domain.quantities import Duration
from penstock.engine.promql.indicator_query import IndicatorQuery
from penstock.engine.promql.ranges import CountRange


class CountQuery(NamedTuple):
    """What is asked about one indicator; a plain tuple, since thousands are made in each round.

    Attributes:
        key: it identifies its answer among others, and a refusal of it is remembered.
        indicator_query: how its indicator is asked.
        freshness: data that is older is stale; None where its age is not asked for, as of closes.
        remembered: events before all legs are known, so that none in them may be a pause: whether
            data is there is then a matter of its age alone, where that is known.
    """

    key: Hashable
    indicator_query: IndicatorQuery
    ranges: frozenset[CountRange]
    freshness: Duration | None = None
    remembered: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """Bad and all events of a question that was answered.

    Attributes:
        at: for each leg and evaluation time, in milliseconds since the epoch; a time without data
            is missing.
        without_events: legs that have a total, but no series of the events that the author counts.
            Good ones missing from a whole window are a slip of the pen, in a short look an outage;
            bad ones that never happened are the rule.
    """

    at: Mapping[CountRange, Mapping[int, EventCounts]]
    without_events: frozenset[CountRange] = field(default=frozenset())

"""Questions about events, and the counts that answer them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from penstock.domain.evidence import Count
from penstock.domain.indicator import Indicator
from penstock.domain.quantities import Duration
from penstock.engine.promql.legs import Leg
from penstock.engine.promql.measure import Measure, measure_of


@dataclass(frozen=True)
class Question:
    """What is asked about one indicator.

    Attributes:
        key: by this its answer is told from others', and a refusal of it is remembered.
        freshness: data that is older is stale; None where its age is not asked for, as of closes.
        remembered: events before all legs are known, so that none in them may be a pause: whether
            data is there is then a matter of its age alone, where that can be told.
    """

    key: Hashable
    indicator: Indicator
    legs: frozenset[Leg]
    freshness: Duration | None = None
    remembered: bool = False

    @cached_property
    def measure(self) -> Measure:
        """How its indicator is asked."""
        return measure_of(self.indicator)


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

    at: Mapping[Leg, Mapping[int, Count]]
    without_events: frozenset[Leg] = field(default=frozenset())

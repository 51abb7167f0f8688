"""Indicators: how bad and total events are measured. Exactly one kind for each SLO."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from penstock.domain.quantities import Duration
from penstock.domain.selector import Selector

# Placeholder in a query for the range that Penstock queries: "5m", "1h", ...
WINDOW_PLACEHOLDER = "$window"
# The name of a classic histogram's buckets ends in this; their upper bounds are in this label.
BUCKET, BUCKET_BOUND = "_bucket", "le"


class CountedEvents(StrEnum):
    """Which of the two kinds of events the author's selector counts."""

    BAD = "bad"
    GOOD = "good"


@dataclass(frozen=True, slots=True)
class RatioIndicator:
    """Two counters read separately, never as a quotient: a missing error series is 0."""

    counted: CountedEvents
    events: Selector
    total: Selector


@dataclass(frozen=True, slots=True)
class LatencyIndicator:
    """Events at or below the threshold are good.

    The threshold must be the upper bound of a bucket, unless the histogram is a native one.
    """

    histogram: Selector
    threshold: Duration

    @property
    def is_classic(self) -> bool:
        """Whether the histogram is a classic one, with a series for each bucket."""
        return (self.histogram.name or "").endswith(BUCKET)


@dataclass(frozen=True, slots=True)
class ProbeIndicator:
    """A 0/1 gauge, weighted by time."""

    metric: Selector


@dataclass(frozen=True, slots=True)
class QueryIndicator:
    """Any two expressions with ``$window``; their author answers for what they mean."""

    bad: str
    total: str


@dataclass(frozen=True, slots=True)
class RawRatioIndicator:
    """An error ratio with ``$window`` and no event counts."""

    error_ratio: str


Indicator = RatioIndicator | LatencyIndicator | ProbeIndicator | QueryIndicator | RawRatioIndicator


def is_of_counters(indicator: Indicator) -> bool:
    """Whether its events are counted by the differences of counters."""
    if isinstance(indicator, LatencyIndicator):
        return indicator.is_classic
    return isinstance(indicator, RatioIndicator)

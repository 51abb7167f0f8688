"""Indicators: how bad and total events are measured. Exactly one kind for each SLO."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from penstock.domain.quantities import Duration

# Stands in a query for the range that Penstock asks about: "5m", "1h", ...
WINDOW_PLACEHOLDER = "$window"


class Counted(StrEnum):
    """Which of the two kinds of events the author's selector counts."""

    BAD = "bad"
    GOOD = "good"


@dataclass(frozen=True, slots=True)
class RatioIndicator:
    """Two counters read apart, never as a quotient: an error series that was never born is 0."""

    counted: Counted
    events: str
    total: str


@dataclass(frozen=True, slots=True)
class LatencyIndicator:
    """Good are the events at or under the threshold, which must be a bucket of the histogram."""

    histogram: str
    threshold: Duration


@dataclass(frozen=True, slots=True)
class ProbeIndicator:
    """A 0/1 gauge, weighted by time."""

    metric: str


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

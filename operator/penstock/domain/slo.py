"""An SLO as its author wrote it, parsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from penstock.domain.indicator import Indicator
from penstock.domain.quantities import Duration, Objective, Percentage
from penstock.domain.refs import ObjectRef
from penstock.domain.window import Window


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Every event counts the same: the budget is a number of events."""


@dataclass(frozen=True, slots=True)
class Timeslices:
    """A slice of time is bad when its share of good events is under ``target``."""

    slice: Duration
    target: Percentage


@dataclass(frozen=True, slots=True)
class RatioTimeslices:
    """The mean of the slices' shares of good events, however many events each had."""

    slice: Duration


Budgeting = Occurrences | Timeslices | RatioTimeslices


class SourceKind(StrEnum):
    """Where a source may be defined."""

    METRICS_SOURCE = "MetricsSource"
    CLUSTER_METRICS_SOURCE = "ClusterMetricsSource"


@dataclass(frozen=True, slots=True)
class SourceRef:
    """The source that an SLO names."""

    kind: SourceKind
    name: str


@dataclass(frozen=True, slots=True)
class Slo:
    """An SLO; ``source`` is None where the namespace's or the cluster's ``default`` serves."""

    ref: ObjectRef
    generation: int
    labels: Mapping[str, str]
    description: str
    objective: Objective
    window: Window
    budgeting: Budgeting
    indicator: Indicator
    source: SourceRef | None
    minimum_events: int

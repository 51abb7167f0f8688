"""The kind SLO: an objective and how it is measured."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from penstock.api.base import Choice, KubeModel, Rule, exactly_one
from penstock.api.common import CONDITIONS, TIME, Condition, Count, map_by
from penstock.api.field_types import (
    MAX_QUERY,
    Text,
    cel_is_duration,
    cel_milliseconds,
    duration,
    free_text,
    name,
    percentage,
)
from penstock.domain.indicator import WINDOW_PLACEHOLDER
from penstock.domain.quantities import Duration
from penstock.domain.slo import SourceKind
from penstock.domain.window import Period

HOUR = Duration.parse("1h")
SELECTOR = free_text(MAX_QUERY)


class CalendarSpec(KubeModel):
    """A calendar period; the budget resets at its start."""

    period: Choice[Period]
    """Period: Week (from Monday), Month, Quarter or Year."""
    time_zone: Annotated[str, free_text(64)] = "UTC"
    """IANA time zone whose midnight starts the period, daylight saving included.
    Default: UTC. Example: Europe/Berlin"""


class WindowSpec(KubeModel):
    """Time window of the objective: rolling or calendar."""

    rolling: (
        Annotated[str, duration("window.rolling", least="1m", most="90d", example="30d")] | None
    ) = None
    """Length of a rolling window, from 1m to 90d, in whole w d h m s. Windows under 1h are for
    tests and demos. Example: 30d"""
    calendar: CalendarSpec | None = None
    """A calendar period instead. Example: {period: Month, timeZone: Europe/Berlin}"""

    rules: ClassVar[tuple[Rule, ...]] = (exactly_one("window", "rolling", "calendar"),)


class BudgetingMethod(StrEnum):
    """How events or time slices are counted against the budget."""

    OCCURRENCES = "Occurrences"
    TIMESLICES = "Timeslices"
    RATIO_TIMESLICES = "RatioTimeslices"


def _slice_divides_hour(text: str) -> bool:
    return HOUR.milliseconds % Duration.parse(text).milliseconds == 0


SLICE_LENGTH = duration("budgeting.slice", least="1m", most="1h", example="1m")
SLICE = Text(
    (
        *SLICE_LENGTH.rules,
        Rule(
            cel=f"!({cel_is_duration('self')}) || "
            f"{cel_milliseconds('self')} > {HOUR.milliseconds} || "
            f"{HOUR.milliseconds} % {cel_milliseconds('self')} == 0",
            message="budgeting.slice: write a length that divides an hour, such as "
            '"1m", "5m" or "30m"',
            holds=_slice_divides_hour,
        ),
    ),
    SLICE_LENGTH.longest,
)


class BudgetingSpec(KubeModel):
    """How the budget is counted."""

    method: Choice[BudgetingMethod] = BudgetingMethod.OCCURRENCES
    """Occurrences (default) counts every event. Timeslices counts a time slice as bad when its
    share of good events is below target. RatioTimeslices takes the mean of the shares of all
    slices."""
    slice: Annotated[str, SLICE] | None = None
    """Length of a slice, from 1m to 1h; it must divide an hour. For Timeslices and RatioTimeslices.
    Example: 1m"""
    target: (
        Annotated[str, percentage("budgeting.target", least="0.000001%", example="95%")] | None
    ) = None
    """Share of good events at or above which a slice is good; for Timeslices. Example: "95%\""""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.slice) == (self.method != 'Occurrences')",
            message="budgeting: give slice with method Timeslices or RatioTimeslices, and only "
            "there",
            holds=lambda it: (
                (it.slice is not None) == (it.method is not BudgetingMethod.OCCURRENCES)
            ),
        ),
        Rule(
            cel="has(self.target) == (self.method == 'Timeslices')",
            message="budgeting: give target with method Timeslices, and only there",
            holds=lambda it: (it.target is not None) == (it.method is BudgetingMethod.TIMESLICES),
        ),
    )


class RatioSpec(KubeModel):
    """Two counters, queried separately."""

    bad: Annotated[str, SELECTOR] | None = None
    """Selector of the counter of bad events, or sum by () (selector), without a range: Penstock
    wraps it in increase(...[w]). Example: http_requests_total{service="checkout",code=~"5.."}"""
    good: Annotated[str, SELECTOR] | None = None
    """Selector of the counter of good events instead; bad is then total minus good.
    Example: http_requests_total{service="checkout",code!~"5.."}"""
    total: Annotated[str, SELECTOR]
    """Selector of the counter of all events. Example: http_requests_total{service="checkout"}"""

    rules: ClassVar[tuple[Rule, ...]] = (exactly_one("indicator.ratio", "bad", "good"),)


class LatencySpec(KubeModel):
    """Events slower than a threshold are bad."""

    histogram: Annotated[str, SELECTOR]
    """Selector of the buckets of a classic histogram (its name ends in _bucket) or of a native
    histogram. Example: http_request_duration_seconds_bucket{service="checkout"}"""
    threshold: Annotated[
        str,
        duration(
            "indicator.latency.threshold",
            least="1ms",
            most="1h",
            example="300ms",
            milliseconds=True,
        ),
    ]
    """Longest duration of a good event, from 1ms to 1h, in whole h m s ms. For a classic histogram
    it must be a bucket bound. Example: 300ms"""


class ProbeSpec(KubeModel):
    """A gauge that is 1 while the service is up and 0 while it is down."""

    metric: Annotated[str, SELECTOR]
    """Selector of the gauge, weighted by time. Example: probe_success{job="checkout"}"""


def _window_query(field: str) -> Text:
    return Text(
        (
            Rule(
                cel=f"self.contains('{WINDOW_PLACEHOLDER}')",
                message=f"{field}: write {WINDOW_PLACEHOLDER} where the range belongs, such as "
                f"sum(increase(errors_total[{WINDOW_PLACEHOLDER}]))",
                holds=lambda text: WINDOW_PLACEHOLDER in text,
            ),
        ),
        MAX_QUERY,
    )


class QuerySpec(KubeModel):
    """Any PromQL; its author is responsible for what it means."""

    bad: Annotated[str, _window_query("indicator.query.bad")]
    """Expression for the number of bad events in $window. Example:
    sum(increase(errors_total[$window]))"""
    total: Annotated[str, _window_query("indicator.query.total")]
    """Expression for the number of all events in $window. Example:
    sum(increase(requests_total[$window]))"""


class RawRatioSpec(KubeModel):
    """A ratio without event counts, such as an existing recording rule."""

    error_ratio: Annotated[str, _window_query("indicator.rawRatio.errorRatio")]
    """Expression for the share of bad events in $window, from 0 to 1. Example:
    slo:sli_error:ratio_rate$window{service="checkout"}"""


class IndicatorSpec(KubeModel):
    """How bad and total events are measured; set exactly one of the five kinds."""

    ratio: RatioSpec | None = None
    """Two counters: bad (or good) and total; Penstock wraps each in increase(...[w])."""
    latency: LatencySpec | None = None
    """A histogram and a threshold: slower events are bad."""
    probe: ProbeSpec | None = None
    """A gauge that is 1 while the service is up and 0 while it is down, weighted by time."""
    query: QuerySpec | None = None
    """Two PromQL expressions with $window."""
    raw_ratio: RawRatioSpec | None = None
    """An error ratio with $window."""

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one("indicator", "ratio", "latency", "probe", "query", "raw_ratio"),
    )


class SourceRefSpec(KubeModel):
    """The metrics source to query."""

    kind: Choice[SourceKind] = SourceKind.METRICS_SOURCE
    """MetricsSource (default; in the SLO's namespace) or ClusterMetricsSource."""
    name: Annotated[str, name("sourceRef.name", "a metrics source")]
    """Name of the source. Example: default"""


def _whole_slices(spec: SLOSpec) -> bool:
    if spec.budgeting.slice is None or spec.window.rolling is None:
        return True
    window, slice_ = Duration.parse(spec.window.rolling), Duration.parse(spec.budgeting.slice)
    return window.milliseconds % slice_.milliseconds == 0


class SLOSpec(KubeModel):
    """The objective, its window, and how it is measured."""

    description: Annotated[str, Text((), 1_024)] | None = None
    """Description for people, at most 1,024 characters.
    Example: Checkout answers without a server error"""
    objective: Annotated[str, percentage("objective", least="50%", below="100%", example="99.9%")]
    """Target share of good events: a quoted percentage with its sign, from 50% to under 100%, with
    at most six decimals. Example: "99.9%\""""
    window: WindowSpec
    """Time window of the objective. Example: {rolling: 30d}"""
    budgeting: BudgetingSpec = BudgetingSpec()
    """How the budget is counted. Default: {method: Occurrences}"""
    indicator: IndicatorSpec
    """How bad and total events are measured; set exactly one of ratio, latency, probe, query,
    rawRatio."""
    source_ref: SourceRefSpec | None = None
    """The metrics source to query. Default: the MetricsSource named default in this namespace, else
    the ClusterMetricsSource named default."""
    minimum_events: Count = 0
    """Number of events in the window below which the budget is not evaluated (InsufficientEvents).
    Default: 0. Example: 100"""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.budgeting.slice) || !has(self.window.rolling) || "
            f"!({cel_is_duration('self.window.rolling')}) || "
            f"!({cel_is_duration('self.budgeting.slice')}) || "
            f"{cel_milliseconds('self.window.rolling')} % "
            f"{cel_milliseconds('self.budgeting.slice')} == 0",
            message="window.rolling: write a whole number of budgeting.slice, such as 30d for 1m",
            holds=_whole_slices,
        ),
    )


class BudgetStatus(KubeModel):
    """The error budget, in plain numbers."""

    remaining_ratio: str | None = None
    """Share of the budget that is left; negative once overspent. Example: "0.3720\""""
    remaining_seconds: int | None = None
    """Remaining budget as seconds of full outage."""
    remaining_events: int | None = None
    """Remaining budget as bad events."""
    allowed_events: int | None = None
    """Bad events that the whole budget allows at the traffic of the window."""


class BurnRateStatus(KubeModel):
    """How fast the budget burns, over one burn window."""

    window: str
    """Burn window. Example: 1h"""
    rate: str
    """Burn rate; 1 spends exactly the whole budget in one window. Example: "1.31\""""


class ForecastStatus(KubeModel):
    """Forecast at the current burn rate."""

    exhausted_at: str | None = TIME
    """Time at which the budget is exhausted at the current burn rate."""
    recovers_at: str | None = TIME
    """Time at which some budget is left again if there are no more errors."""


class SLODisplay(KubeModel):
    """Texts for columns and people; not an API."""

    objective: str | None = None
    """Objective. Example: 99.9%"""
    window: str | None = None
    """Window. Example: 30d"""
    indicator: str | None = None
    """Kind of indicator. Example: ratio"""
    budget_left: str | None = None
    """Share of the budget that is left. Example: 37.2%"""
    burn: str | None = None
    """Burn rate of the shortest burn window. Example: 1.3x"""


class SLOStatus(KubeModel):
    """What was measured; written by Penstock only."""

    state: str | None = None
    """Healthy, AtRisk, Exhausted or Unknown."""
    summary: str | None = None
    """Summary in one sentence."""
    budget: BudgetStatus | None = None
    """The error budget."""
    burn_rates: list[BurnRateStatus] | None = Field(
        default=None, json_schema_extra=map_by("window")
    )
    """Burn rates of the standard burn windows."""
    forecast: ForecastStatus | None = None
    """Forecast at the current burn rate."""
    coverage: str | None = None
    """Share of the window that has data. Example: "0.9800\""""
    evaluated_at: str | None = TIME
    """Time of the evaluation shown here."""
    display: SLODisplay | None = None
    """Texts for columns and people; not an API."""
    observed_generation: int | None = Field(default=None, ge=0)
    """The metadata.generation that this status is based on."""
    conditions: list[Condition] | None = CONDITIONS
    """Conditions: Ready, Evaluated, BudgetAvailable."""


class SLO(KubeModel):
    """A service level objective: the share of good events over a time window. Penstock tracks how
    much of its error budget is left and gates the Rollouts that name it.
    """

    spec: SLOSpec
    """The objective, its window, and how it is measured."""
    status: SLOStatus | None = None
    """What was measured; written by Penstock only."""

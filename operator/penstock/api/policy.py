"""The policy of a Rollout.

No field has a default in the schema: a default written into every stored object could never be
improved. Defaults live in the core, and ``status.effectivePolicy`` shows what applies.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from penstock.api.base import Choice, KubeModel, Rule
from penstock.api.common import ATOMIC, Count
from penstock.api.field_types import (
    Text,
    cel_is_duration,
    cel_milliseconds,
    decimal,
    duration,
    percentage,
)
from penstock.domain.policy import UnknownThen
from penstock.domain.quantities import PERCENTAGE_PATTERN, Duration, Percentage

MAX_BURN_PAIRS = 8


def _hold_at(field: str) -> Text:
    return percentage(field, least="0%", below="100%", example="10%")


class StartSpec(KubeModel):
    """Thresholds for a new release."""

    hold_at: Annotated[str, _hold_at("policy.start.holdAt")] | None = None
    """Share of the budget at or below which no new release may start, from 0% to under 100%.
    Default: 0%. Example: "10%\""""


class InFlightSpec(KubeModel):
    """Thresholds for the release in progress."""

    hold_at: Annotated[str, _hold_at("policy.inFlight.holdAt")] | None = None
    """Share of the budget at or below which a release in progress is held while errors continue,
    from 0% to under 100%. Default: 0%. Example: "0%\""""
    while_burn_above: (
        Annotated[str, decimal("policy.inFlight.whileBurnAbove", example="1")] | None
    ) = None
    """Burn rate of the last hour above which errors count as continuing. Default: 1.
    Example: "1\""""


def _longer(pair: BurnPairSpec) -> bool:
    return Duration.parse(pair.long) > Duration.parse(pair.short)


class BurnPairSpec(KubeModel):
    """Two windows that must both burn above a factor: the long one shows that it matters, the short
    one that it is still happening.
    """

    long: Annotated[str, duration("policy.burn.long", least="1s", most="90d", example="1h")]
    """The long window. Example: 1h"""
    short: Annotated[str, duration("policy.burn.short", least="1s", most="90d", example="5m")]
    """The short window. Example: 5m"""
    factor: Annotated[str, decimal("policy.burn.factor", above="0", example="14.4")]
    """Burn rate that both windows must exceed; 14.4 spends 2% of a 30d budget in 1h. A factor that
    can never fire for an SLO's objective makes the gate PolicyInvalid. Example: "14.4\""""
    minimum_bad_events: Count | None = None
    """The pair does not fire below this many bad events in the long window. Default: 5.
    Example: 5"""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"!({cel_is_duration('self.long')}) || !({cel_is_duration('self.short')}) || "
            f"{cel_milliseconds('self.long')} > {cel_milliseconds('self.short')}",
            message="policy.burn: write a long window that is longer than the short one, such as "
            "1h and 5m",
            holds=_longer,
        ),
    )


class ResumeSpec(KubeModel):
    """When a hold ends."""

    margin: Annotated[str, percentage("policy.resume.margin", least="0%", example="1%")] | None = (
        None
    )
    """Budget above holdAt that must be left before a budget hold ends, in percentage points.
    Default: 1%. Example: "1%\""""
    calm: (
        Annotated[str, duration("policy.resume.calm", least="1s", most="7d", example="10m")] | None
    ) = None
    """How long burn rates must stay low before a hold ends. Default: 10m. Example: 10m"""


def _keep_last(field: str) -> Text:
    return duration(field, least="0s", most="1d", example="5m")


class OutageSpec(KubeModel):
    """What to do when data is missing or cannot be trusted: unreachable, stale, absent, partial,
    unauthorized, rejected, malformed, ambiguous; an SLO that is missing or invalid.
    """

    keep_last: Annotated[str, _keep_last("policy.unknown.outage.keepLast")] | None = None
    """How long a release in progress keeps its last verdict, from 0s to 1d; no new release may
    start meanwhile. Default: 5m. Example: 5m"""
    then: Choice[UnknownThen] | None = None
    """Verdict after that: Hold (default) or Permit."""


class ThinSpec(KubeModel):
    """What to do when there is not enough data: no traffic, few events, a short history, warming
    up. Burn rules still apply.
    """

    keep_last: Annotated[str, _keep_last("policy.unknown.thin.keepLast")] | None = None
    """How long the last verdict is kept, from 0s to 1d. Default: 0s. Example: 0s"""
    then: Choice[UnknownThen] | None = None
    """Verdict after that: Permit (default) or Hold."""


class UnknownSpec(KubeModel):
    """What to do with an SLO that cannot be evaluated. Unknown never ends a hold or aborts a
    release.
    """

    outage: OutageSpec | None = None
    """What to do when data is missing or cannot be trusted."""
    thin: ThinSpec | None = None
    """What to do when there is not enough data."""


def _resumable(policy: PolicySpec) -> bool:
    if policy.resume is None or policy.resume.margin is None:
        return True
    margin = Percentage.parse(policy.resume.margin).value
    thresholds = [
        Percentage.parse(part.hold_at).value
        for part in (policy.start, policy.in_flight)
        if part is not None and part.hold_at is not None
    ]
    return all(threshold + margin <= 100 for threshold in thresholds)


def _cel_resumable(part: str) -> str:
    threshold, margin = f"self.{part}.holdAt", "self.resume.margin"
    form = f"matches('^{PERCENTAGE_PATTERN}$')".replace("\\", "\\\\")
    number = "quantity({}.replace('%', ''))".format
    return (
        f"(!has(self.{part}) || !has({threshold}) || "
        f"!{threshold}.{form} || !{margin}.{form} || "
        f"{number(threshold)}.add({number(margin)}).compareTo(quantity('100')) <= 0)"
    )


class PolicySpec(KubeModel):
    """Thresholds. Every field is optional."""

    start: StartSpec | None = None
    """Thresholds for a new release."""
    in_flight: InFlightSpec | None = None
    """Thresholds for the release in progress."""
    burn: list[BurnPairSpec] | None = Field(
        default=None, max_length=MAX_BURN_PAIRS, json_schema_extra=ATOMIC
    )
    """Pairs of windows that close the gate although budget is left, at most 8; an empty list turns
    them off. Default for a window of 30d: 1h/5m at 14.4 and 6h/30m at 6.
    Example: [{long: 1h, short: 5m, factor: "14.4"}]"""
    resume: ResumeSpec | None = None
    """When a hold ends."""
    unknown: UnknownSpec | None = None
    """What to do with an SLO that cannot be evaluated."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.resume) || !has(self.resume.margin) || "
            f"({_cel_resumable('start')} && {_cel_resumable('inFlight')})",
            message="policy.resume.margin: write a margin that together with holdAt is at most "
            "100%, or no hold could ever end",
            holds=_resumable,
        ),
    )

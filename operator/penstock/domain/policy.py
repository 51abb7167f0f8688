"""How strictly a release is guarded: thresholds, burn pairs, calm, and the effect of Unknown.

A field that the author left out is None here. The defaults are resolved in one place, so that a
status can say where each value came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from penstock.domain.quantities import Duration, Percentage


class UnknownThen(StrEnum):
    """The effect of an SLO without usable evidence once the last verdict is too old to keep."""

    HOLD = "Hold"
    PERMIT = "Permit"


@dataclass(frozen=True, slots=True)
class BurnPair:
    """Fires while both windows burn above the factor, with enough bad events in the long one."""

    long: Duration
    short: Duration
    factor: Decimal
    minimum_bad_events: int | None = None


@dataclass(frozen=True, slots=True)
class StartPolicy:
    """For the next release: held at or below this share of the budget."""

    hold_at: Percentage | None = None


@dataclass(frozen=True, slots=True)
class InFlightPolicy:
    """For the release in progress: held at or below this share while errors continue."""

    hold_at: Percentage | None = None
    while_burn_above: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ResumePolicy:
    """What ends a hold: a margin above the threshold, and a time of calm."""

    margin: Percentage | None = None
    calm: Duration | None = None


@dataclass(frozen=True, slots=True)
class UnknownPolicy:
    """For one class of missing evidence: how long the last verdict is kept, and what follows."""

    keep_last: Duration | None = None
    then: UnknownThen | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What one Rollout's author wrote; ``burn`` None means the defaults for the SLO's window."""

    start: StartPolicy = StartPolicy()
    in_flight: InFlightPolicy = InFlightPolicy()
    burn: tuple[BurnPair, ...] | None = None
    resume: ResumePolicy = ResumePolicy()
    outage: UnknownPolicy = UnknownPolicy()
    thin: UnknownPolicy = UnknownPolicy()

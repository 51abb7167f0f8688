"""What is known about one SLO's budget at an instant, or why nothing admissible is.

A number that is missing, old or odd is never a number here: it is a kind of evidence of its own,
so that no comparison with it can permit a release.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from penstock.domain import budget
from penstock.domain.quantities import Duration, Objective, Ratio
from penstock.domain.verdict import Reason


class Unit(StrEnum):
    """What a count counts."""

    EVENTS = "events"
    SECONDS = "seconds"
    SLICES = "slices"
    SHARES = "shares"


@dataclass(frozen=True, slots=True)
class Count:
    """Bad and all events in one look back; measured by increase(), so not always whole.

    ``events`` are the bad events behind it, where ``bad`` itself counts slices of time.
    """

    bad: Decimal
    total: Decimal
    events: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """When things change at the current burn rate; None where that is not known.

    Attributes:
        exhausted_at: nothing is left any more at the present burn rate.
        recovers_at: something is left again if no more errors come.
    """

    exhausted_at: datetime | None = None
    recovers_at: datetime | None = None


NO_FORECAST = Forecast()


@dataclass(frozen=True, slots=True)
class Reading:
    """One measured budget, and the instant it is for.

    Attributes:
        at: the evaluation's time, on the metrics server's scale.
        window: the length of the SLO's window at that instant.
        whole: events in the whole window.
        looks: events in the shorter looks back that burn rates need.
        unit: what the counts count.
        traffic: events in the whole window, where ``whole`` counts slices of time.
        coverage: the share of the window that there is data of; None where it was not looked at.
        bad_since: what was bad in the window since moments that were asked about, as far as known.
    """

    at: datetime
    objective: Objective
    window: Duration
    whole: Count
    looks: Mapping[Duration, Count] = field(default_factory=dict)
    unit: Unit = Unit.EVENTS
    traffic: Count | None = None
    coverage: Decimal | None = None
    forecast: Forecast = NO_FORECAST
    bad_since: Mapping[datetime, Decimal] = field(default_factory=dict)

    @property
    def remaining(self) -> Ratio | None:
        """Share of the budget that is left; None without events."""
        return budget.remaining(self.objective, self.whole.bad, self.whole.total)

    def burn(self, look: Duration) -> Ratio | None:
        """Burn rate of one look back: 0 where nothing happened, None where it was not read."""
        count = self.whole if look == self.window else self.looks.get(look)
        if count is None:
            return None
        return budget.burn_rate(self.objective, count.bad, count.total) or Ratio(Decimal(0))

    def spent_since(self, moment: datetime) -> Ratio | None:
        """Share of the window's budget that was spent since then; None where it is not known."""
        bad = self.bad_since.get(moment)
        return None if bad is None else budget.spent(self.objective, bad, self.whole.total)

    def events(self, look: Duration) -> Count | None:
        """The events of one look back."""
        return self.whole if look == self.window else self.looks.get(look)

    def bad_events(self, look: Duration) -> Decimal | None:
        """Bad events of one look back; None where there are no counts of events at all."""
        count = self.events(look)
        if count is None or self.unit is Unit.SHARES:
            return None
        return count.bad if count.events is None else count.events


class Grade(StrEnum):
    """How far evidence can be relied on."""

    FRESH = "Fresh"
    THIN = "Thin"
    OUTAGE = "Outage"


class Kind(StrEnum):
    """What there is, or why there is nothing."""

    FRESH = "Fresh"
    MIGRATING = "Migrating"
    NO_TRAFFIC = "NoTraffic"
    INSUFFICIENT_EVENTS = "InsufficientEvents"
    INSUFFICIENT_HISTORY = "InsufficientHistory"
    WARMING_UP = "WarmingUp"
    STALE = "Stale"
    ABSENT = "Absent"
    AMBIGUOUS = "Ambiguous"
    MALFORMED = "Malformed"
    PARTIAL = "Partial"
    UNREACHABLE = "Unreachable"
    UNAUTHORIZED = "Unauthorized"
    CLOCK_SKEW = "ClockSkew"
    REJECTED = "Rejected"
    SLO_NOT_FOUND = "SLONotFound"
    SLO_INVALID = "SLOInvalid"
    SOURCE_NOT_FOUND = "SourceNotFound"
    POLICY_INVALID = "PolicyInvalid"


REASONS = {
    Kind.FRESH: Reason.BUDGET_HEALTHY,
    Kind.MIGRATING: Reason.MIGRATING,
    Kind.NO_TRAFFIC: Reason.NO_TRAFFIC,
    Kind.INSUFFICIENT_EVENTS: Reason.INSUFFICIENT_EVENTS,
    Kind.INSUFFICIENT_HISTORY: Reason.INSUFFICIENT_HISTORY,
    Kind.WARMING_UP: Reason.WARMING_UP,
    Kind.STALE: Reason.EVIDENCE_STALE,
    Kind.ABSENT: Reason.EVIDENCE_ABSENT,
    Kind.AMBIGUOUS: Reason.EVIDENCE_AMBIGUOUS,
    Kind.MALFORMED: Reason.MALFORMED,
    Kind.PARTIAL: Reason.PARTIAL_RESPONSE,
    Kind.UNREACHABLE: Reason.METRICS_UNREACHABLE,
    Kind.UNAUTHORIZED: Reason.UNAUTHORIZED,
    Kind.CLOCK_SKEW: Reason.CLOCK_SKEW,
    Kind.REJECTED: Reason.QUERY_REJECTED,
    Kind.SLO_NOT_FOUND: Reason.SLO_NOT_FOUND,
    Kind.SLO_INVALID: Reason.SLO_INVALID,
    Kind.SOURCE_NOT_FOUND: Reason.SOURCE_NOT_FOUND,
    Kind.POLICY_INVALID: Reason.POLICY_INVALID,
}
_THIN = frozenset(
    {Kind.NO_TRAFFIC, Kind.INSUFFICIENT_EVENTS, Kind.INSUFFICIENT_HISTORY, Kind.WARMING_UP}
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known: a kind, for people a detail, and the reading where there is one.

    Thin evidence may carry a reading too: its burn rates are judged, its budget is not.

    Attributes:
        so_far: of a window whose past is still being read, what is known of it already; while an
            indicator is replaced, the other one's reading, which counts besides ``reading``.
    """

    kind: Kind
    detail: str = ""
    reading: Reading | None = None
    so_far: Reading | None = None

    @property
    def grade(self) -> Grade:
        """Fresh, thin, or an outage."""
        if self.kind in (Kind.FRESH, Kind.MIGRATING):
            return Grade.FRESH
        return Grade.THIN if self.kind in _THIN else Grade.OUTAGE

    @property
    def reason(self) -> Reason:
        """The reason code of a decision that rests on it."""
        return REASONS[self.kind]


def judged(reading: Reading, minimum_events: int) -> Evidence:
    """A reading as evidence: without traffic, or with too few events, its budget says nothing."""
    total = (reading.traffic or reading.whole).total
    if total <= 0:
        return Evidence(Kind.NO_TRAFFIC, "no events in the window", reading)
    if reading.unit is not Unit.SHARES and total < minimum_events:
        return Evidence(
            Kind.INSUFFICIENT_EVENTS,
            f"{int(total)} of at least {minimum_events} events in the window",
            reading,
        )
    return Evidence(Kind.FRESH, reading=reading)

"""What is known about one SLO's budget at an instant, or why there is no usable evidence.

A number that is missing, old or odd is never a number here. It is a separate kind of evidence, so
that no comparison with it can permit a release.
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


class CountUnit(StrEnum):
    """What a count counts."""

    EVENTS = "events"
    SECONDS = "seconds"
    SLICES = "slices"
    SHARES = "shares"


@dataclass(frozen=True, slots=True)
class EventCounts:
    """Bad and all events in one burn window; measured by increase(), so not always whole.

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
        window_counts: events in the whole window.
        burn_windows: events in the shorter burn windows that burn rates need.
        unit: what the counts count.
        traffic: events in the whole window, where ``window_counts`` counts slices of time.
        coverage: the share of the window that there is data of; None where it was not looked at.
        bad_since: what was bad in the window since moments that were asked about, as far as known.
    """

    at: datetime
    objective: Objective
    window: Duration
    window_counts: EventCounts
    burn_windows: Mapping[Duration, EventCounts] = field(default_factory=dict)
    unit: CountUnit = CountUnit.EVENTS
    traffic: EventCounts | None = None
    coverage: Decimal | None = None
    forecast: Forecast = NO_FORECAST
    bad_since: Mapping[datetime, Decimal] = field(default_factory=dict)

    @property
    def remaining(self) -> Ratio | None:
        """Share of the budget that is left; None without events."""
        return budget.remaining(self.objective, self.window_counts.bad, self.window_counts.total)

    def burn(self, burn_window: Duration) -> Ratio | None:
        """Burn rate of one burn window: 0 where nothing happened, None where it was not read."""
        count = (
            self.window_counts if burn_window == self.window else self.burn_windows.get(burn_window)
        )
        if count is None:
            return None
        return budget.burn_rate(self.objective, count.bad, count.total) or Ratio(Decimal(0))

    def spent_since(self, moment: datetime) -> Ratio | None:
        """Share of the window's budget that was spent since then; None where it is not known."""
        bad = self.bad_since.get(moment)
        return None if bad is None else budget.spent(self.objective, bad, self.window_counts.total)

    def events(self, burn_window: Duration) -> EventCounts | None:
        """The events of one burn window."""
        return (
            self.window_counts if burn_window == self.window else self.burn_windows.get(burn_window)
        )

    def bad_events(self, burn_window: Duration) -> Decimal | None:
        """Bad events of one burn window; None where there are no counts of events at all."""
        count = self.events(burn_window)
        if count is None or self.unit is CountUnit.SHARES:
            return None
        return count.bad if count.events is None else count.events


class EvidenceGrade(StrEnum):
    """How far evidence can be relied on."""

    FRESH = "Fresh"
    THIN = "Thin"
    OUTAGE = "Outage"


class EvidenceKind(StrEnum):
    """What evidence there is, or why there is none."""

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
    EvidenceKind.FRESH: Reason.BUDGET_HEALTHY,
    EvidenceKind.MIGRATING: Reason.MIGRATING,
    EvidenceKind.NO_TRAFFIC: Reason.NO_TRAFFIC,
    EvidenceKind.INSUFFICIENT_EVENTS: Reason.INSUFFICIENT_EVENTS,
    EvidenceKind.INSUFFICIENT_HISTORY: Reason.INSUFFICIENT_HISTORY,
    EvidenceKind.WARMING_UP: Reason.WARMING_UP,
    EvidenceKind.STALE: Reason.EVIDENCE_STALE,
    EvidenceKind.ABSENT: Reason.EVIDENCE_ABSENT,
    EvidenceKind.AMBIGUOUS: Reason.EVIDENCE_AMBIGUOUS,
    EvidenceKind.MALFORMED: Reason.MALFORMED,
    EvidenceKind.PARTIAL: Reason.PARTIAL_RESPONSE,
    EvidenceKind.UNREACHABLE: Reason.METRICS_UNREACHABLE,
    EvidenceKind.UNAUTHORIZED: Reason.UNAUTHORIZED,
    EvidenceKind.CLOCK_SKEW: Reason.CLOCK_SKEW,
    EvidenceKind.REJECTED: Reason.QUERY_REJECTED,
    EvidenceKind.SLO_NOT_FOUND: Reason.SLO_NOT_FOUND,
    EvidenceKind.SLO_INVALID: Reason.SLO_INVALID,
    EvidenceKind.SOURCE_NOT_FOUND: Reason.SOURCE_NOT_FOUND,
    EvidenceKind.POLICY_INVALID: Reason.POLICY_INVALID,
}
_THIN = frozenset(
    {
        EvidenceKind.NO_TRAFFIC,
        EvidenceKind.INSUFFICIENT_EVENTS,
        EvidenceKind.INSUFFICIENT_HISTORY,
        EvidenceKind.WARMING_UP,
    }
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known: a kind, for people a detail, and the reading where there is one.

    Thin evidence may carry a reading too: its burn rates are judged, its budget is not.

    Attributes:
        so_far: of a window whose past is still being read, what is known of it already; while an
            indicator is replaced, the other one's reading, which counts besides ``reading``.
    """

    kind: EvidenceKind
    detail: str = ""
    reading: Reading | None = None
    so_far: Reading | None = None

    @property
    def grade(self) -> EvidenceGrade:
        """Fresh, thin, or an outage."""
        if self.kind in (EvidenceKind.FRESH, EvidenceKind.MIGRATING):
            return EvidenceGrade.FRESH
        return EvidenceGrade.THIN if self.kind in _THIN else EvidenceGrade.OUTAGE

    @property
    def reason(self) -> Reason:
        """The reason code of a decision that rests on it."""
        return REASONS[self.kind]


def evidence_of(reading: Reading, minimum_events: int) -> Evidence:
    """A reading as evidence: without traffic, or with too few events, its budget says nothing."""
    total = (reading.traffic or reading.window_counts).total
    if total <= 0:
        return Evidence(EvidenceKind.NO_TRAFFIC, "no events in the window", reading)
    if reading.unit is not CountUnit.SHARES and total < minimum_events:
        return Evidence(
            EvidenceKind.INSUFFICIENT_EVENTS,
            f"{int(total)} of at least {minimum_events} events in the window",
            reading,
        )
    return Evidence(EvidenceKind.FRESH, reading=reading)

"""Doubles of the other ports: evidence by script, a Lease, and a registry of metrics."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from penstock.domain.evidence import EventCounts, Evidence, EvidenceKind, Reading, evidence_of
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.quantities import Duration
from penstock.domain.refs import ObjectRef
from penstock.domain.source_status import SourceHealth, SourceReason
from penstock.domain.window import length
from penstock.engine.ports import Clock, EvidenceRequest

EVENTS = Decimal(1_000_000)
RECENT_EVENTS = Decimal(10_000)
ANSWER_SECONDS = 0.05


@dataclass(frozen=True)
class Measured:
    """What an SLO's events are: its budget that is left, how it burns, and what is missing.

    Attributes:
        left: share of the budget, as "0.5".
        burn: burn rate of every shorter range; ``burns`` names those that are otherwise.
        total: events of the window.
        recent: events of every shorter range.
        kind: anything but Fresh is missing or thin evidence; thin evidence has a reading.
        former: what the indicator that is being replaced says.
    """

    left: str = "0.9"
    burn: str = "0"
    burns: Mapping[str, str] = field(default_factory=dict)
    total: Decimal = EVENTS
    recent: Decimal = RECENT_EVENTS
    kind: EvidenceKind = EvidenceKind.FRESH
    detail: str = ""
    former: Measured | None = None

    def evidence(self, inquiry: EvidenceRequest, at: datetime) -> Evidence:
        if self.former is not None:
            old, new = self.former._reading(inquiry, at), self._reading(inquiry, at)
            return Evidence(EvidenceKind.MIGRATING, self.detail, old, new)
        if self.kind is not EvidenceKind.FRESH:
            thin = Evidence(self.kind).grade == "Thin"
            return Evidence(self.kind, self.detail, self._reading(inquiry, at) if thin else None)
        return evidence_of(self._reading(inquiry, at), inquiry.slo.minimum_events)

    def _reading(self, inquiry: EvidenceRequest, at: datetime) -> Reading:
        slo = inquiry.slo
        budget, named = slo.objective.budget, {Duration.parse(k): v for k, v in self.burns.items()}
        bad = (1 - Decimal(self.left)) * budget * self.total
        recent = {
            burn_window: EventCounts(
                Decimal(named.get(burn_window, self.burn)) * budget * self.recent, self.recent
            )
            for burn_window in inquiry.burn_windows
        }
        since = dict.fromkeys(inquiry.release_starts, bad)
        window = length(slo.window, at)
        return Reading(
            at, slo.objective, window, EventCounts(bad, self.total), recent, bad_since=since
        )


HEALTHY = Measured()
BURNING = Measured(left="0.5", burn="50")
EXHAUSTED = Measured(left="-0.1", burn="2")


def missing(kind: EvidenceKind, detail: str = "so it is planned") -> Measured:
    """No evidence, or thin evidence."""
    return Measured(kind=kind, detail=detail)


@dataclass(frozen=True)
class Asked:
    """One call of ``measure``."""

    at: float
    slos: frozenset[str]
    hot: bool
    onsets: frozenset[datetime]


class ScriptedMetrics:
    """Implements ``engine.ports.EvidenceSource``: the test sets the events of each SLO."""

    def __init__(self) -> None:
        self.script: dict[tuple[str, str], Measured] = {}
        self.healths: dict[str, SourceHealth] = {}
        self.overloaded: Callable[[], bool] = lambda: False
        self.seconds = ANSWER_SECONDS
        self.hanging: set[str] = set()
        self.raises: Exception | None = None
        self.asked: list[Asked] = []

    async def measure(
        self, source: MetricsSource, inquiries: Sequence[EvidenceRequest], at: datetime
    ) -> Mapping[ObjectRef, Evidence]:
        """Evidence as the script has it."""
        names = frozenset(request.slo.ref.name for request in inquiries)
        release_starts = frozenset(
            moment for request in inquiries for moment in request.release_starts
        )
        now = asyncio.get_running_loop().time()
        self.asked.append(Asked(now, names, inquiries[0].hot, release_starts))
        await asyncio.sleep(self.seconds)
        if source.ref.name in self.hanging:
            await asyncio.Event().wait()
        if self.raises is not None:
            raise self.raises
        return {request.slo.ref: self.answer(request, at) for request in inquiries}

    def answer(self, inquiry: EvidenceRequest, at: datetime) -> Evidence:
        """What one inquiry is answered now."""
        ref = inquiry.slo.ref
        return self.script.get((ref.namespace, ref.name), HEALTHY).evidence(inquiry, at)

    async def health(self, source: MetricsSource) -> SourceHealth:
        """How a source stands."""
        await asyncio.sleep(self.seconds)
        if source.ref.name in self.hanging:
            await asyncio.Event().wait()
        return self.healths.get(source.ref.name, SourceHealth(SourceReason.CONNECTED))

    def is_overloaded(self, source: MetricsSource) -> bool:
        """Whether it has said so."""
        return self.overloaded()

    def times(self, slo: str, since: float = 0.0) -> list[float]:
        """When an SLO was asked about."""
        return [one.at for one in self.asked if slo in one.slos and one.at >= since]


class Leadership:
    """The one Lease that engines compete for; ``is_reachable`` says whether it can be renewed."""

    DURATION_SECONDS, DEADLINE_SECONDS, RETRY_SECONDS = 15.0, 10.0, 2.0

    def __init__(self) -> None:
        self.holder = ""
        self.renewed_at = 0.0
        self.is_reachable = True


class StoredLease:
    """Implements ``engine.ports.Lease``, and what the application does with it."""

    def __init__(self, leadership: Leadership, identity: str, clock: Clock) -> None:
        self._leadership, self._identity, self._clock = leadership, identity, clock
        self._valid_until = 0.0

    @property
    def held(self) -> bool:
        """Whether we lead now."""
        return self._clock.monotonic() < self._valid_until

    async def acquire(self) -> None:
        """Wait until we lead."""
        while not self._try():  # noqa: ASYNC110 - as client-go does, it tries again and again
            await asyncio.sleep(Leadership.RETRY_SECONDS)

    async def renew(self) -> None:
        """Renew until it is lost."""
        while self.held:
            self._try()
            await asyncio.sleep(Leadership.RETRY_SECONDS)

    async def release(self) -> None:
        """Let the next one in at once."""
        if self.held:
            self._leadership.holder, self._valid_until = "", 0.0

    def lose(self) -> None:
        """It has run out, unnoticed by whoever holds it."""
        self._valid_until = 0.0
        self._leadership.holder = "another"
        self._leadership.renewed_at = self._clock.monotonic()

    def _try(self) -> bool:
        leadership, now = self._leadership, self._clock.monotonic()
        if not leadership.is_reachable:
            return False
        expired = now - leadership.renewed_at > Leadership.DURATION_SECONDS
        if leadership.holder not in ("", self._identity) and not expired:
            return False
        leadership.holder, leadership.renewed_at = self._identity, now
        self._valid_until = now + Leadership.DEADLINE_SECONDS
        return True


class Counted:
    """Implements ``engine.ports.MetricsRecorder``: counters, and gauges by their labels."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.labelled: Counter[tuple[str, frozenset[tuple[str, str]]]] = Counter()
        self.gauges: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        """Add to a counter."""
        self.counts[name] += amount
        self.labelled[name, frozenset(labels.items())] += amount

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        self.gauges[name, frozenset(labels.items())] = value

    def forget(self, **labels: str) -> None:
        """Drop every gauge with these labels."""
        gone = frozenset(labels.items())
        self.gauges = {key: value for key, value in self.gauges.items() if not gone <= key[1]}

    def errors(self) -> int:
        """Exceptions that nobody foresaw."""
        return sum(
            number
            for (name, labels), number in self.labelled.items()
            if name == "penstock_errors_total" and ("where", "events") not in labels
        )

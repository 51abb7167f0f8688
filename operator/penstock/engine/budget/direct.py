"""Reads budgets of short windows directly: the whole window and each look back are asked for.

Nothing is kept, so nothing is known but what the server still holds, and a long window is as dear
at each evaluation as it was at the first.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock.domain.evidence import EventCounts, Evidence, EvidenceKind, Reading, evidence_of
from penstock.domain.indicator import CountedEvents, RatioIndicator, RawRatioIndicator
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.quantities import Duration, plain
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import Slo
from penstock.domain.source_status import SourceHealth
from penstock.domain.window import length
from penstock.engine.asking import Asker
from penstock.engine.ports import Inquiry
from penstock.engine.promql import Counts, Look, Question, measure_of, measured


class Direct:
    """The port ``Metrics``, without memory."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def measure(
        self, source: MetricsSource, inquiries: Sequence[Inquiry], at: datetime
    ) -> Mapping[ObjectRef, Evidence]:
        """Evidence for each inquiry, all for the same instant."""
        plans = {inquiry.slo.ref: plan(inquiry, at, source.freshness) for inquiry in inquiries}
        asked = {ref: one for ref, one in plans.items() if isinstance(one, Plan)}
        found: Mapping[Hashable, Counts | Evidence] = {}
        if asked:
            questions = [one.question for one in asked.values()]
            found = await measured(self._asker, source, questions, at)
        return {
            ref: one if isinstance(one, Evidence) else evidence(one, found[one.question.key], at)
            for ref, one in plans.items()
        }

    async def look(self, source: MetricsSource) -> SourceHealth:
        """How a source stands."""
        return await self._asker.look(source)

    def is_overloaded(self, source: MetricsSource) -> bool:
        """Whether a source has said lately that it has too much to do."""
        return self._asker.is_overloaded(source)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for an inquiry; ``window`` reaches back to where the SLO's own begins."""

    inquiry: Inquiry
    window: Duration
    question: Question


def plan(inquiry: Inquiry, at: datetime, freshness: Duration) -> Plan | Evidence:
    """What to ask for an inquiry, or why nothing can be asked."""
    slo = inquiry.slo
    window = _since_start(slo, at)
    if window.milliseconds <= 0:
        return Evidence(EvidenceKind.INSUFFICIENT_HISTORY, "the window has just begun")
    legs = frozenset(Look(back) for back in {window, *inquiry.looks})
    key = (slo.ref, slo.generation)
    return Plan(inquiry, window, Question(key, measure_of(slo.indicator), legs, freshness))


def evidence(planned: Plan, found: Counts | Evidence, at: datetime) -> Evidence:
    """What the counts say of the budget."""
    if isinstance(found, Evidence):
        return found
    slo, window = planned.inquiry.slo, planned.window
    whole = _count(found, window)
    if whole is None:
        return Evidence(EvidenceKind.ABSENT, f"no events in the last {window}")
    if _lacks_good(slo, found, window, whole):
        events = plain(whole.total.quantize(1))
        return Evidence(
            EvidenceKind.ABSENT,
            f"there are {events} events in the last {window}, but no series matches "
            "spec.indicator.ratio.good",
        )
    burn_windows = {back: _count(found, back) for back in planned.inquiry.looks}
    reading = Reading(
        at=at,
        objective=slo.objective,
        window=length(slo.window, at),
        window_counts=whole,
        burn_windows={back: count for back, count in burn_windows.items() if count is not None},
    )
    # A ratio that is nobody's events has no number of them.
    is_of_events = not isinstance(slo.indicator, RawRatioIndicator)
    return evidence_of(reading, slo.minimum_events if is_of_events else 0)


def _count(found: Counts, back: Duration) -> EventCounts | None:
    return next(iter(found.at.get(Look(back), {}).values()), None)


def _lacks_good(slo: Slo, found: Counts, window: Duration, whole: EventCounts) -> bool:
    """Good events that never happened in the whole window look like a slip of the pen."""
    indicator = slo.indicator
    counts_good = isinstance(indicator, RatioIndicator) and indicator.counted is CountedEvents.GOOD
    return counts_good and whole.total > 0 and Look(window) in found.without_events


def _since_start(slo: Slo, at: datetime) -> Duration:
    return Duration(max(0, (at - slo.window.start(at)) // timedelta(milliseconds=1)))

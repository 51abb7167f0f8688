"""Hypothesis strategies for what a decision may rest on: evidence, policies, memories, cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from penstock.domain.decision import DecisionInput, ReleaseInput, ReleaseOrigin, SloEvidence
from penstock.domain.effective_policy import EffectivePolicy, resolve_policy
from penstock.domain.evidence import (
    EventCounts,
    Evidence,
    EvidenceGrade,
    EvidenceKind,
    Reading,
    evidence_of,
)
from penstock.domain.memory import HoldCause, Memory
from penstock.domain.policy import (
    BurnPair,
    InFlightPolicy,
    Policy,
    ResumePolicy,
    StartPolicy,
    UnknownPolicy,
    UnknownThen,
)
from penstock.domain.quantities import Duration, Objective, Percentage
from penstock.domain.verdict import Verdict
from support.decision_fixtures import NOW

SECONDS = st.integers(0, 4 * 3_600).map(lambda seconds: timedelta(seconds=seconds))
MOMENTS = st.one_of(
    st.sampled_from([timedelta(minutes=minutes) for minutes in (0, 1, 5, 10, 20, 120)]), SECONDS
).map(lambda before: NOW - before)
LENGTHS = st.sampled_from(["0s", "1s", "5s", "1m", "5m", "10m", "30m", "1h"]).map(Duration.parse)
SHARES = st.sampled_from(["0%", "0.5%", "1%", "5%", "10%", "50%", "100%"]).map(Percentage.parse)
RATES = st.sampled_from(["0", "0.5", "1", "2", "6", "14.4", "99", "1000"]).map(Decimal)
OBJECTIVES = st.sampled_from(["50%", "90%", "99%", "99.9%", "99.99%"]).map(Objective.parse)
WINDOWS = st.sampled_from(["2m", "20m", "1h", "1d", "6d", "7d", "28d", "30d", "90d"]).map(
    Duration.parse
)
NAMES = ("availability", "latency", "probe", "search")
SILENT = [kind for kind in EvidenceKind if Evidence(kind).grade is not EvidenceGrade.FRESH]


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


@st.composite
def pairs(draw: st.DrawFn) -> BurnPair:
    looks = [Duration.parse(text) for text in ("5s", "20s", "5m", "30m", "1h", "6h")]
    short, long = sorted(draw(st.permutations(looks))[:2])
    return BurnPair(long, short, draw(RATES.filter(bool)), draw(maybe(st.integers(0, 20))))


def policies() -> st.SearchStrategy[Policy]:
    unknown = st.builds(UnknownPolicy, maybe(LENGTHS), maybe(st.sampled_from(UnknownThen)))
    return st.builds(
        Policy,
        st.builds(StartPolicy, maybe(SHARES)),
        st.builds(InFlightPolicy, maybe(SHARES), maybe(RATES)),
        maybe(st.lists(pairs(), max_size=3).map(tuple)),
        st.builds(ResumePolicy, maybe(SHARES), maybe(LENGTHS.filter(lambda it: it.milliseconds))),
        unknown,
        unknown,
    )


@st.composite
def counts(draw: st.DrawFn) -> EventCounts:
    total = draw(st.integers(0, 20) | st.integers(0, 1_000_000))
    bad = draw(st.integers(0, total) | st.integers(0, min(total, 10)))
    return EventCounts(Decimal(bad), Decimal(total))


@st.composite
def readings(
    draw: st.DrawFn, guard: EffectivePolicy, objective: Objective, window: Duration
) -> Reading:
    looks = {look: draw(counts()) for look in sorted(guard.burn_windows)}
    for gone in draw(st.lists(st.sampled_from(sorted(guard.burn_windows)), max_size=1)):
        del looks[gone]
    return Reading(NOW, objective, window, draw(counts()), looks)


@st.composite
def slos(draw: st.DrawFn, name: str = "availability") -> SloEvidence:
    """One SLO: mostly measured, at times thin, lost, without a policy, or by two indicators."""
    objective, window = draw(OBJECTIVES), draw(WINDOWS)
    completed = resolve_policy(draw(policies()), objective, window)
    if draw(st.integers(0, 9)) == 0:
        kind = draw(st.sampled_from([EvidenceKind.SLO_NOT_FOUND, EvidenceKind.SLO_INVALID]))
        return SloEvidence(name, Evidence(kind, "gone"), None)
    if draw(st.integers(0, 3)) == 0:
        return SloEvidence(name, Evidence(draw(st.sampled_from(SILENT)), "no answer"), completed)
    reading = draw(readings(completed, objective, window))
    if draw(st.integers(0, 4)) == 0:
        other = draw(readings(completed, objective, window))
        return SloEvidence(
            name, Evidence(EvidenceKind.MIGRATING, "Migrating", reading, other), completed
        )
    return SloEvidence(name, evidence_of(reading, draw(st.sampled_from([0, 10, 1_000]))), completed)


@st.composite
def several(draw: st.DrawFn) -> tuple[SloEvidence, ...]:
    count = draw(st.integers(1, 3))
    return tuple(draw(slos(name)) for name in NAMES[:count])


def memories() -> st.SearchStrategy[Memory]:
    """Also such that no gate of ours would ever have: a person may have edited the status."""
    return st.builds(
        Memory,
        serial=st.integers(0, 10**9),
        held_for=maybe(st.sampled_from(HoldCause)),
        held_by=st.sets(st.sampled_from(NAMES)).map(lambda names: tuple(sorted(names))),
        calm_since=maybe(MOMENTS),
        calm_required=LENGTHS,
        recent_holds=st.lists(MOMENTS, max_size=4).map(lambda times: tuple(sorted(times))),
        unknown=maybe(st.sampled_from([EvidenceGrade.THIN, EvidenceGrade.OUTAGE])),
        unknown_since=maybe(MOMENTS),
        last_known=maybe(st.sampled_from(Verdict)),
    )


def releases() -> st.SearchStrategy[ReleaseInput]:
    return st.builds(
        ReleaseInput,
        id=st.just("5d4f8c7b9"),
        returns=st.booleans(),
        first=st.booleans(),
        origin=st.sampled_from(ReleaseOrigin),
        resumed_by_person=st.booleans(),
        held=st.booleans(),
    )


def decision_inputs(now: datetime = NOW) -> st.SearchStrategy[DecisionInput]:
    return st.builds(
        DecisionInput,
        slos=several(),
        memory=memories(),
        person=st.sampled_from([None, None, None, "", "migration"]),
        release=maybe(releases()),
        now=st.just(now),
    )


def worse(reading: Reading, more: dict[Duration | None, Decimal]) -> Reading:
    """The same reading with more bad events, by look back; None is the whole window."""

    def grown(count: EventCounts, by: Decimal) -> EventCounts:
        return replace(count, bad=min(count.total, count.bad + by))

    burn_windows = {
        burn_window: grown(one, more.get(burn_window, Decimal(0)))
        for burn_window, one in reading.burn_windows.items()
    }
    return replace(
        reading,
        window_counts=grown(reading.window_counts, more.get(None, Decimal(0))),
        burn_windows=burn_windows,
    )

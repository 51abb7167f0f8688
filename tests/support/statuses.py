"""Hypothesis strategies for standings as they are printed, and for statuses that nobody printed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from penstock.domain.decision import ReleaseOrigin
from penstock.domain.evidence import EvidenceGrade
from penstock.domain.memory import HoldCause, Memory
from penstock.domain.quantities import Duration
from penstock.domain.rollout_state import (
    HISTORY_KEPT,
    STABLE_KEPT,
    Condition,
    EffectiveSetting,
    Gate,
    Hold,
    ReleaseState,
    RolloutState,
    Spent,
    StableTemplate,
    Transition,
    WorkloadSummary,
)
from penstock.domain.template import PodTemplate, pod_template
from penstock.domain.verdict import GateState, Reason, Verdict
from penstock.domain.workload import HoldEffect, Phase

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
MOMENTS = st.integers(946_771_200_000_000, 32_503_000_000_000_000).map(
    lambda microseconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def some(strategy: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[Any]:
    return st.lists(strategy, max_size=most).map(tuple)


def one_of(enum: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(list(enum))


GATES = st.builds(
    Gate,
    *(one_of(Verdict), one_of(GateState), one_of(Reason), WORDS, TEXTS, MOMENTS, MOMENTS),
    *(TEXTS, TEXTS, TEXTS, TEXTS),
)
MEMORIES = st.builds(
    Memory,
    serial=st.integers(0, 2**40),
    held_for=maybe(one_of(HoldCause)),
    held_by=some(WORDS, 4),
    calm_since=maybe(MOMENTS),
    calm_required=st.integers(0, 604_800).map(Duration.of_seconds),
    recent_holds=some(MOMENTS, 17),
    unknown=maybe(st.sampled_from([EvidenceGrade.THIN, EvidenceGrade.OUTAGE])),
    unknown_since=maybe(MOMENTS),
    last_known=maybe(one_of(Verdict)),
)
RELEASES = st.builds(
    ReleaseState,
    id=WORDS,
    started_at=MOMENTS,
    from_hash=st.just("") | WORDS,
    remaining_at_start=st.sampled_from(["", "0.8120", "-0.0312"]),
    origin=one_of(ReleaseOrigin),
    resumed_at=maybe(MOMENTS),
    reason=maybe(one_of(Reason)),
    spent=maybe(
        st.builds(Spent, WORDS, st.sampled_from(["0.0000", "0.0512", "1.5000"]).map(Decimal))
    ),
)
SEEN = st.builds(
    WorkloadSummary,
    WORDS,
    st.just("") | WORDS,
    one_of(Phase),
    st.integers(0, 999),
    st.integers(0, 999),
)
STABLE = st.builds(StableTemplate, WORDS, some(TEXTS, 4), MOMENTS, st.just("") | WORDS)
HOLDS = st.builds(
    Hold,
    active=st.booleans(),
    manager=st.just("") | WORDS,
    effect=maybe(one_of(HoldEffect)),
    since=maybe(MOMENTS),
    lost_at=some(MOMENTS, 4),
    contested_by=TEXTS,
)
TRANSITIONS = st.builds(
    Transition, MOMENTS, one_of(Verdict), one_of(GateState), one_of(Reason), WORDS, TEXTS
)
CONDITIONS = st.builds(
    Condition, WORDS, st.sampled_from(["True", "False", "Unknown"]), one_of(Reason), TEXTS, MOMENTS
)
TEMPLATES: st.SearchStrategy[PodTemplate] = st.builds(
    lambda image, env, source: pod_template(
        {"spec": {"containers": [{"name": "app", "image": image, "env": env}]}}, source
    ),
    WORDS,
    st.dictionaries(WORDS, TEXTS, max_size=2),
    WORDS,
)


@st.composite
def rollout_states(draw: st.DrawFn) -> RolloutState:
    """Any standing that a status and a record can say."""
    bodies = draw(some(TEMPLATES, 3))
    return RolloutState(
        memory=draw(MEMORIES),
        gate=draw(maybe(GATES)),
        workload=draw(maybe(SEEN)),
        release=draw(maybe(RELEASES)),
        complete=draw(st.just("") | WORDS),
        stable=draw(some(STABLE, STABLE_KEPT)),
        proving_since=draw(maybe(MOMENTS)),
        hold=draw(HOLDS),
        history=draw(some(TRANSITIONS, HISTORY_KEPT)),
        conditions=draw(some(CONDITIONS, 5)),
        settings=draw(some(st.builds(EffectiveSetting, WORDS, TEXTS, WORDS), 12)),
        generation=draw(st.integers(0, 2**31)),
        bodies={body.hash: body for body in bodies},
    )


NUMBERS = st.integers() | st.floats(allow_nan=False) | st.just(10**30)
ODD_TIMES = st.sampled_from(
    [
        "",
        "now",
        "2026-11-24",
        "2026-11-24T14:02:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "9999-12-31T23:59:59Z",
        "2026-11-24T14:02:00Z",
        "2026-11-24T14:02:00.123456789Z",
        "2026-13-24T14:02:00Z",
        "2026-11-24T24:00:00Z",
    ]
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS | ODD_TIMES
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def garbled(draw: st.DrawFn, body: Any) -> Any:
    """The same body with some of its values, at any depth, replaced by others."""
    if draw(st.integers(0, 11)) == 0:
        return draw(JSON)
    if isinstance(body, dict):
        kept = {key: value for key, value in body.items() if draw(st.integers(0, 19))}
        return {key: draw(garbled(value)) for key, value in kept.items()}
    if isinstance(body, list):
        return [draw(garbled(value)) for value in body]
    return draw(JSON) if draw(st.integers(0, 15)) == 0 else body


def with_each(body: Any, value: Any) -> list[Any]:
    """The body once for each of its places, with that one value there."""
    if isinstance(body, dict):
        inner = [
            {**body, key: changed} for key, one in body.items() for changed in with_each(one, value)
        ]
    elif isinstance(body, list):
        inner = [
            [*body[:at], changed, *body[at + 1 :]]
            for at, one in enumerate(body)
            for changed in with_each(one, value)
        ]
    else:
        inner = []
    return [value, *inner]

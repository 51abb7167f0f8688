"""Cases for the core's tests: budgets and burn rates as a person would say them.

The objective is 99%, so that a budget of a million events is 10,000 bad ones, and a burn rate of
14.4 over 10,000 events is 1,440 bad ones: every figure here is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from penstock.domain import decide
from penstock.domain.decision import DecisionInput, Decisions, ReleaseInput, SloEvidence
from penstock.domain.effective_policy import EffectivePolicy, resolve_policy
from penstock.domain.evidence import EventCounts, Evidence, EvidenceKind, Reading
from penstock.domain.memory import HoldCause, Memory
from penstock.domain.policy import BurnPair, Policy
from penstock.domain.quantities import Duration, Objective
from penstock.domain.verdict import Verdict

NOW = datetime(2026, 11, 24, 14, 2, tzinfo=UTC)
OBJECTIVE = Objective.parse("99%")
WINDOW = "30d"
WHOLE, LOOK = Decimal(1_000_000), Decimal(10_000)
NOTHING: Mapping[str, str] = {}
HOT_FAST = {"1h": "14.5", "5m": "14.5"}
HOT_SLOW = {"6h": "6.1", "30m": "6.1"}


def ago(text: str) -> datetime:
    """So long before now."""
    return NOW - span(text)


def span(text: str) -> timedelta:
    """A duration as the standard library has it."""
    return timedelta(milliseconds=Duration.parse(text).milliseconds)


def completed(policy: Policy | None = None, window: str = WINDOW) -> EffectivePolicy:
    """A policy, completed for a window."""
    return resolve_policy(policy or Policy(), OBJECTIVE, Duration.parse(window))


def reading(
    left: str = "0.5",
    burn: str = "0",
    looks: Mapping[str, str] = NOTHING,
    policy: Policy | None = None,
    window: str = WINDOW,
    total: Decimal = LOOK,
) -> Reading:
    """A budget with so much left, burning at one rate but for the burn windows that are named."""
    needed = completed(policy, window).burn_windows
    budget = OBJECTIVE.budget
    rates = dict.fromkeys(needed, burn) | {Duration.parse(k): v for k, v in looks.items()}
    return Reading(
        at=NOW,
        objective=OBJECTIVE,
        window=Duration.parse(window),
        window_counts=EventCounts((1 - Decimal(left)) * budget * WHOLE, WHOLE),
        burn_windows={
            burn_window: EventCounts(Decimal(rate) * budget * total, total)
            for burn_window, rate in rates.items()
        },
    )


def slo(
    left: str = "0.5",
    burn: str = "0",
    looks: Mapping[str, str] = NOTHING,
    *,
    name: str = "checkout",
    kind: EvidenceKind = EvidenceKind.FRESH,
    policy: Policy | None = None,
    window: str = WINDOW,
    total: Decimal = LOOK,
) -> SloEvidence:
    """One SLO that was measured; thin evidence keeps its reading."""
    read = reading(left, burn, looks, policy, window, total)
    return SloEvidence(name, Evidence(kind, "", read), completed(policy, window))


def unmeasured(
    kind: EvidenceKind = EvidenceKind.UNREACHABLE,
    *,
    name: str = "checkout",
    policy: Policy | None = None,
) -> SloEvidence:
    """One SLO that could not be measured."""
    return SloEvidence(name, Evidence(kind, "connection refused"), completed(policy))


def decision_input(
    *slos: SloEvidence,
    memory: Memory | None = None,
    person: str | None = None,
    release: ReleaseInput | None = None,
    now: datetime = NOW,
) -> DecisionInput:
    """A case, noticed: as the gate machine puts it."""
    return decide.prepare(DecisionInput(slos or (slo(),), memory or Memory(), person, release, now))


def answers(
    *slos: SloEvidence,
    memory: Memory | None = None,
    person: str | None = None,
    release: ReleaseInput | None = None,
    now: datetime = NOW,
) -> Decisions:
    """Both answers."""
    return decide.decide(
        decision_input(*slos, memory=memory, person=person, release=release, now=now)
    )


def burn_hold(calm_for: str | None = None, required: str = "10m") -> Memory:
    """A hold for burning too fast, calm for so long."""
    return _hold(HoldCause.BURN, calm_for, required)


def budget_hold(calm_for: str | None = None, required: str = "10m") -> Memory:
    """A hold for lack of budget, calm for so long."""
    return _hold(HoldCause.BUDGET, calm_for, required)


def _hold(cause: HoldCause, calm_for: str | None, required: str) -> Memory:
    return Memory(
        held_for=cause,
        calm_since=None if calm_for is None else ago(calm_for),
        calm_required=Duration.parse(required),
        recent_holds=(ago("1h"),),
        last_known=Verdict.HOLD,
    )


def pair(long: str, short: str, factor: str, minimum: int | None = None) -> BurnPair:
    """A burn pair as its author wrote it."""
    return BurnPair(Duration.parse(long), Duration.parse(short), Decimal(factor), minimum)

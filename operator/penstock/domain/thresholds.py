"""Tests one SLO: whether it crosses a threshold, whether it is calm, which of several is worst."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from penstock.domain.budget import NOTABLE
from penstock.domain.decision import DecisionPoint, SloEvidence
from penstock.domain.effective_policy import (
    CALM_LONG_BELOW,
    CALM_SHORT_BELOW,
    BurnRule,
    EffectivePolicy,
)
from penstock.domain.evidence import Evidence, EvidenceGrade, EvidenceKind, Reading
from penstock.domain.quantities import Duration
from penstock.domain.verdict import Reason

_SEVERITY = {
    Reason.BUDGET_EXHAUSTED: 0,
    Reason.BURNING_FAST: 1,
    Reason.BURNING_SLOW: 2,
    Reason.BUDGET_LOW: 3,
}
_NO_SHARE = Decimal("Infinity")


def split_migration(slo: SloEvidence) -> tuple[SloEvidence, ...]:
    """While an indicator is replaced, the former one and the new one count as two SLOs would."""
    evidence = slo.evidence
    if evidence.kind is not EvidenceKind.MIGRATING or evidence.so_far is None:
        return (slo,)
    readings = (evidence.reading, evidence.so_far)
    return tuple(
        replace(slo, evidence=replace(evidence, reading=reading, so_far=None))
        for reading in readings
    )


def with_usable_evidence(slo: SloEvidence) -> SloEvidence:
    """The same SLO, its evidence replaced where the policy that applies cannot use it.

    A burn window that was not read would otherwise compare as quiet.
    """
    evidence, policy = slo.evidence, slo.policy
    if policy is None or evidence.reading is None:
        return slo
    if policy.impossible_rules:
        names = ", ".join(
            f"{rule.long}/{rule.short} at {rule.factor}" for rule in policy.impossible_rules
        )
        detail = (
            f"spec.policy.burn: {names} can never fire at an objective of "
            f"{evidence.reading.objective}; lower the factor"
        )
        return replace(slo, evidence=Evidence(EvidenceKind.POLICY_INVALID, detail))
    unread = sorted(
        burn_window
        for burn_window in policy.burn_windows
        if evidence.reading.events(burn_window) is None
    )
    if unread:
        detail = f"no data for the last {', '.join(map(str, unread))}"
        return replace(slo, evidence=Evidence(EvidenceKind.ABSENT, detail))
    return slo


def breach_reason(slo: SloEvidence, point: DecisionPoint) -> Reason | None:
    """Why this SLO holds a release, or None: budget first, then burn pairs from the fastest on."""
    reading, policy = slo.evidence.reading, slo.policy
    if reading is None or policy is None or slo.evidence.grade is EvidenceGrade.OUTAGE:
        return None
    if slo.evidence.grade is EvidenceGrade.FRESH:
        lacking = _budget_breach(reading, policy, point)
        if lacking is not None:
            return lacking
    hot = fastest_firing_rule(reading, policy)
    if hot is None:
        return None
    return Reason.BURNING_FAST if hot is policy.burn_rules[0] else Reason.BURNING_SLOW


def fastest_firing_rule(reading: Reading, policy: EffectivePolicy) -> BurnRule | None:
    """The fastest burn pair that fires."""
    return next((rule for rule in policy.burn_rules if _fires(reading, rule)), None)


def _budget_breach(
    reading: Reading, policy: EffectivePolicy, point: DecisionPoint
) -> Reason | None:
    remaining = reading.remaining
    if remaining is None:
        return None
    starting = point is DecisionPoint.START
    if remaining.value > (policy.start_hold_at if starting else policy.in_flight_hold_at):
        return None
    if not starting and _burn(reading, policy.errors_window) <= policy.while_burn_above:
        return None
    return Reason.BUDGET_EXHAUSTED if remaining.value <= 0 else Reason.BUDGET_LOW


def _fires(reading: Reading, rule: BurnRule) -> bool:
    bad = reading.bad_events(rule.long)
    return (
        reading.events(rule.long) is not None
        and (bad is None or bad >= rule.minimum_bad_events)
        and _burn(reading, rule.long) > rule.factor
        and _burn(reading, rule.short) > rule.factor
    )


def is_calm(slo: SloEvidence) -> bool:
    """Whether errors have calmed down, read from events: silence is not calm."""
    reading, policy = slo.evidence.reading, slo.policy
    if reading is None or policy is None or slo.evidence.grade is EvidenceGrade.OUTAGE:
        return False
    short, long = policy.calm_windows
    happened = reading.events(long)
    return (
        happened is not None
        and happened.total > 0
        and _burn(reading, short) < CALM_SHORT_BELOW
        and _burn(reading, long) < CALM_LONG_BELOW
    )


def has_no_traffic(slo: SloEvidence) -> bool:
    """Whether it was read that nothing happened lately, so that there is no calm to wait for."""
    reading, policy = slo.evidence.reading, slo.policy
    if reading is None or policy is None or slo.evidence.grade is EvidenceGrade.OUTAGE:
        return False
    happened = reading.events(policy.calm_windows[1])
    return happened is not None and happened.total <= 0


def is_below_margin(slo: SloEvidence) -> bool:
    """Whether less than the threshold and its margin is left, so that a budget hold continues.

    Of thin evidence the budget says nothing, so it shows no margin.
    """
    policy, share = slo.policy, remaining_share(slo)
    if policy is None or share is None or slo.evidence.grade is not EvidenceGrade.FRESH:
        return True
    return share < min(policy.start_hold_at + policy.margin, Decimal(1))


def remaining_share(slo: SloEvidence) -> Decimal | None:
    """Share of the budget that is left, where the evidence has one."""
    reading = slo.evidence.reading
    remaining = reading.remaining if reading else None
    return remaining.value if remaining else None


def worst(
    candidates: Iterable[tuple[SloEvidence, Reason]], named: str
) -> tuple[SloEvidence, Reason] | None:
    """The SLO that a message names: by severity, then the least budget, then the name.

    The one that is ``named`` already stays named until another has half a point less, because
    equals would take turns for ever: 90.1% gives way to 89.5%, not to 89.8%.
    """
    found = sorted(candidates, key=_badness)
    kept = (one for one in found if one[0].name == named and _is_as_bad(one, found[0]))
    return next(kept, found[0] if found else None)


def _is_as_bad(one: tuple[SloEvidence, Reason], first: tuple[SloEvidence, Reason]) -> bool:
    (severity, share, _), (highest, least, _) = _badness(one), _badness(first)
    return severity == highest and share <= least + NOTABLE


def _badness(candidate: tuple[SloEvidence, Reason]) -> tuple[int, Decimal, str]:
    slo, reason = candidate
    share = remaining_share(slo)
    return _SEVERITY.get(reason, 9), _NO_SHARE if share is None else share, slo.name


def _burn(reading: Reading, burn_window: Duration) -> Decimal:
    """A burn rate that ``with_usable_evidence`` has seen to be there."""
    burn = reading.burn(burn_window)
    if burn is None:
        raise LookupError(f"the burn window {burn_window} was not read")
    return burn.value

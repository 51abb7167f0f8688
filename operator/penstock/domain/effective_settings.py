"""The effective policy, with the origin of each setting, as a Rollout's status shows it."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.domain.decision import SloEvidence
from penstock.domain.effective_policy import (
    CALM,
    HOLD_AT,
    MARGIN,
    OUTAGE,
    THIN,
    WHILE_BURN_ABOVE,
    BurnRule,
)
from penstock.domain.policy import UnknownPolicy
from penstock.domain.quantities import plain
from penstock.domain.rollout import Rollout
from penstock.domain.rollout_state import EffectiveSetting

# As many as a Rollout can name; a selector may choose any number, and a status has a limit.
MOST_SLOS_SHOWN = 32


def effective_settings(
    rollout: Rollout, slos: Iterable[SloEvidence]
) -> tuple[EffectiveSetting, ...]:
    """Every setting, in the order of the manifest; burn pairs for each SLO, as windows differ."""
    policy = rollout.policy
    guarded = [slo for slo in slos if slo.policy]
    return (
        _setting("start.holdAt", policy.start.hold_at, HOLD_AT),
        _setting("inFlight.holdAt", policy.in_flight.hold_at, HOLD_AT),
        _setting("inFlight.whileBurnAbove", policy.in_flight.while_burn_above, WHILE_BURN_ABOVE),
        *(_pairs(one, written=policy.burn is not None) for one in guarded[:MOST_SLOS_SHOWN]),
        _setting("resume.margin", policy.resume.margin, MARGIN),
        _setting("resume.calm", policy.resume.calm, CALM),
        *_unknown("unknown.outage", policy.outage, OUTAGE),
        *_unknown("unknown.thin", policy.thin, THIN),
    )


def _setting(field: str, written: object | None, default: object) -> EffectiveSetting:
    if written is None:
        return EffectiveSetting(field, str(default), "Default")
    return EffectiveSetting(field, str(written), "Rollout")


def _unknown(
    field: str, written: UnknownPolicy, default: UnknownPolicy
) -> tuple[EffectiveSetting, ...]:
    return (
        _setting(f"{field}.keepLast", written.keep_last, default.keep_last),
        _setting(f"{field}.then", written.then, default.then),
    )


def _pairs(slo: SloEvidence, *, written: bool) -> EffectiveSetting:
    policy = slo.policy
    rules = policy.burn_rules if policy else ()
    message = ", ".join(_pair(rule) for rule in rules) or "none"
    if policy and policy.dropped_rules:
        left_out = ", ".join(_pair(rule) for rule in policy.dropped_rules)
        message += f"; left out, as they cannot serve this SLO: {left_out}"
    return EffectiveSetting(f"burn[{slo.name}]", message, "Rollout" if written else "Default")


def _pair(rule: BurnRule) -> str:
    return f"{rule.long}/{rule.short} at {plain(rule.factor)}"

"""The policy that applies, with where each setting came from, as a Rollout's status shows it."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.domain.case import Judged
from penstock.domain.guard import (
    CALM,
    HOLD_AT,
    MARGIN,
    OUTAGE,
    THIN,
    WHILE_BURN_ABOVE,
    ActivePair,
)
from penstock.domain.policy import UnknownPolicy
from penstock.domain.quantities import plain
from penstock.domain.rollout import Rollout
from penstock.domain.standing import Setting

# As many as a Rollout can name; a selector may choose any number, and a status has a limit.
MOST_SLOS_TOLD = 32


def settings_told(rollout: Rollout, slos: Iterable[Judged]) -> tuple[Setting, ...]:
    """Every setting, in the order of the manifest; burn pairs for each SLO, as windows differ."""
    policy = rollout.policy
    guarded = [judged for judged in slos if judged.guard]
    return (
        _setting("start.holdAt", policy.start.hold_at, HOLD_AT),
        _setting("inFlight.holdAt", policy.in_flight.hold_at, HOLD_AT),
        _setting("inFlight.whileBurnAbove", policy.in_flight.while_burn_above, WHILE_BURN_ABOVE),
        *(_pairs(one, written=policy.burn is not None) for one in guarded[:MOST_SLOS_TOLD]),
        _setting("resume.margin", policy.resume.margin, MARGIN),
        _setting("resume.calm", policy.resume.calm, CALM),
        *_unknown("unknown.outage", policy.outage, OUTAGE),
        *_unknown("unknown.thin", policy.thin, THIN),
    )


def _setting(field: str, written: object | None, default: object) -> Setting:
    if written is None:
        return Setting(field, str(default), "Default")
    return Setting(field, str(written), "Rollout")


def _unknown(field: str, written: UnknownPolicy, default: UnknownPolicy) -> tuple[Setting, ...]:
    return (
        _setting(f"{field}.keepLast", written.keep_last, default.keep_last),
        _setting(f"{field}.then", written.then, default.then),
    )


def _pairs(judged: Judged, *, written: bool) -> Setting:
    guard = judged.guard
    pairs = guard.pairs if guard else ()
    told = ", ".join(_pair(pair) for pair in pairs) or "none"
    if guard and guard.dropped:
        left_out = ", ".join(_pair(pair) for pair in guard.dropped)
        told += f"; left out, as they cannot serve this SLO: {left_out}"
    return Setting(f"burn[{judged.name}]", told, "Rollout" if written else "Default")


def _pair(pair: ActivePair) -> str:
    return f"{pair.long}/{pair.short} at {plain(pair.factor)}"

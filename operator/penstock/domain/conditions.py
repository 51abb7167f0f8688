"""The conditions of a Rollout, for ``kubectl wait`` and dashboards."""

from __future__ import annotations

from datetime import datetime

from penstock.domain.report import condition
from penstock.domain.rollout import Mode, Rollout
from penstock.domain.standing import Condition, Standing, Truth, too_large
from penstock.domain.verdict import GateState, Reason
from penstock.domain.workload import Effect, Observation, Phase

Aspect = tuple[Truth, str, str]

_OPEN: dict[GateState, Truth] = {
    GateState.OPEN: "True",
    GateState.CLOSED: "False",
    GateState.UNKNOWN: "Unknown",
}
_BROKEN = frozenset(
    {
        Reason.SLO_NOT_FOUND,
        Reason.SLO_INVALID,
        Reason.SOURCE_NOT_FOUND,
        Reason.POLICY_INVALID,
        Reason.WORKLOAD_CONFLICT,
    }
)


def conditions(
    rollout: Rollout, standing: Standing, seen: Observation, now: datetime
) -> tuple[Condition, ...]:
    """Ready, GateOpen, Held, Contested, WorkloadSupported, in this order."""
    gate = standing.gate
    if gate is None:
        return standing.conditions
    wanted: tuple[tuple[str, Truth, str, str], ...] = (
        ("Ready", *_ready(rollout, standing, seen)),
        ("GateOpen", _OPEN[gate.state], gate.reason, gate.message),
        ("Held", *_held(standing)),
        ("Contested", *_contested(standing, seen)),
        ("WorkloadSupported", *_supported(seen)),
    )
    return tuple(condition(standing.conditions, *one, now) for one in wanted)


def _ready(rollout: Rollout, standing: Standing, seen: Observation) -> Aspect:
    gate = standing.gate
    if gate is not None and gate.reason in _BROKEN:
        return "False", gate.reason, gate.message
    supported, reason, message = _supported(seen)
    if supported != "True":
        return "False", reason, message
    if too_large(standing):
        return (
            "False",
            Reason.TEMPLATE_TOO_LARGE,
            "a stable template is too large for the admission policy, so admission only warns; "
            "make the pod template smaller, for example by moving files into a ConfigMap",
        )
    if rollout.mode is Mode.AUDIT:
        return "True", Reason.AUDIT_ONLY, "decisions are reported; nothing is refused or held"
    if rollout.mode is Mode.OFF:
        return "True", Reason.DISABLED, "spec.mode is Off: nothing is decided"
    return "True", "Enforcing", "decisions are enforced"


def _held(standing: Standing) -> Aspect:
    hold, gate = standing.hold, standing.gate
    if hold.active and gate is not None:
        effect = hold.effect or Effect.NONE
        return "True", gate.reason, f"held by field manager {hold.manager}; effect: {effect}"
    return "False", Reason.NOT_HELD, "not held by Penstock"


def _contested(standing: Standing, seen: Observation) -> Aspect:
    who = standing.hold.contested_by
    if not who:
        return "False", Reason.NOT_HELD, "no competing writer"
    return (
        "True",
        Reason.CONTESTED,
        f"{who} keeps resuming the workload, so Penstock no longer pauses it. "
        f"{seen.advice.let_hold}",
    )


def _supported(seen: Observation) -> Aspect:
    if seen.phase is Phase.MISSING:
        return (
            "False",
            Reason.WORKLOAD_NOT_FOUND,
            f"{seen.ref} does not exist in namespace {seen.namespace}; create it, or create a "
            "Rollout with the right workloadRef",
        )
    if seen.refusal is not None:
        return "False", Reason.WORKLOAD_UNSUPPORTED, f"{seen.ref} {seen.refusal}"
    return "True", "Supported", f"{seen.ref} can be held"

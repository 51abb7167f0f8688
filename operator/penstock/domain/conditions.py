"""The conditions of a Rollout, for ``kubectl wait`` and dashboards."""

from __future__ import annotations

from datetime import datetime

from penstock.domain.rollout import Mode, Rollout
from penstock.domain.rollout_state import Condition, RolloutState, Truth, too_large
from penstock.domain.slo_status import condition
from penstock.domain.verdict import GateState, Reason
from penstock.domain.workload import HoldEffect, Phase, WorkloadState

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
    rollout: Rollout, state: RolloutState, workload: WorkloadState, now: datetime
) -> tuple[Condition, ...]:
    """Ready, GateOpen, Held, Contested, WorkloadSupported, in this order."""
    gate = state.gate
    if gate is None:
        return state.conditions
    wanted: tuple[tuple[str, Truth, str, str], ...] = (
        ("Ready", *_ready(rollout, state, workload)),
        ("GateOpen", _OPEN[gate.state], gate.reason, gate.message),
        ("Held", *_held(state)),
        ("Contested", *_contested(state, workload)),
        ("WorkloadSupported", *_supported(workload)),
    )
    return tuple(condition(state.conditions, *one, now) for one in wanted)


def _ready(rollout: Rollout, state: RolloutState, workload: WorkloadState) -> Aspect:
    gate = state.gate
    if gate is not None and gate.reason in _BROKEN:
        return "False", gate.reason, gate.message
    supported, reason, message = _supported(workload)
    if supported != "True":
        return "False", reason, message
    if too_large(state):
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


def _held(state: RolloutState) -> Aspect:
    hold, gate = state.hold, state.gate
    if hold.active and gate is not None:
        effect = hold.effect or HoldEffect.NONE
        return "True", gate.reason, f"held by field manager {hold.manager}; effect: {effect}"
    return "False", Reason.NOT_HELD, "not held by Penstock"


def _contested(state: RolloutState, workload: WorkloadState) -> Aspect:
    who = state.hold.contested_by
    if not who:
        return "False", Reason.NOT_HELD, "no competing writer"
    return (
        "True",
        Reason.CONTESTED,
        f"{who} keeps resuming the workload, so Penstock no longer pauses it. "
        f"{workload.advice.let_hold}",
    )


def _supported(workload: WorkloadState) -> Aspect:
    if workload.phase is Phase.MISSING:
        return (
            "False",
            Reason.WORKLOAD_NOT_FOUND,
            f"{workload.ref} does not exist in namespace {workload.namespace}; create it, or "
            "create a Rollout with the right workloadRef",
        )
    if workload.unsupported_reason is not None:
        return "False", Reason.WORKLOAD_UNSUPPORTED, f"{workload.ref} {workload.unsupported_reason}"
    return "True", "Supported", f"{workload.ref} can be held"

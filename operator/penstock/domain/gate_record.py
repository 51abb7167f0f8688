"""The GateRecord of one Rollout: what the admission policy reads."""

from __future__ import annotations

from penstock.domain.decision import Decision
from penstock.domain.rollout import Admission, Mode, Rollout
from penstock.domain.rollout_state import GateRecord, RolloutState


def record(rollout: Rollout, state: RolloutState, gate: Decision | None) -> GateRecord:
    """What admission reads: mode, enforcement and what Unknown does are already in ``admits``.

    Where a stable template is too large to be shown to admission, it only warns: a rollback that
    cannot be recognised must never be refused.
    """
    enforced = rollout.mode is Mode.ENFORCE and rollout.enforcement.admission is not Admission.OFF
    admits = gate is None or gate.proceeds or not enforced
    known = [
        (body, stable.completed_at)
        for stable in state.stable
        if (body := state.bodies.get(stable.hash)) is not None
    ]
    shown = tuple((body, at) for body, at in known if body.storable)
    complete = len(shown) == len(state.stable)
    return GateRecord(
        workload=rollout.workload.name,
        api_version=rollout.workload.api_version,
        kind=rollout.workload.kind,
        admits=admits,
        warns=rollout.enforcement.admission is Admission.WARN or not complete,
        message=state.gate.message if state.gate else "",
        templates=shown,
    )

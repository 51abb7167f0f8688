"""The GateRecord of one Rollout: what the admission policy reads."""

from __future__ import annotations

from penstock.domain.case import Decision
from penstock.domain.rollout import Admission, Mode, Rollout
from penstock.domain.standing import Record, Standing


def record(rollout: Rollout, standing: Standing, gate: Decision | None) -> Record:
    """What admission reads: mode, enforcement and what Unknown does are already in ``admits``.

    Where a stable template is too large to be shown to admission, it only warns: a rollback that
    cannot be recognised must never be refused.
    """
    enforced = rollout.mode is Mode.ENFORCE and rollout.enforcement.admission is not Admission.OFF
    admits = gate is None or gate.proceeds or not enforced
    known = [
        (body, one.completed_at)
        for one in standing.stable
        if (body := standing.bodies.get(one.hash)) is not None
    ]
    shown = tuple((body, at) for body, at in known if body.storable)
    complete = len(shown) == len(standing.stable)
    return Record(
        workload=rollout.workload.name,
        api_version=rollout.workload.api_version,
        kind=rollout.workload.kind,
        admits=admits,
        warns=rollout.enforcement.admission is Admission.WARN or not complete,
        message=standing.gate.message if standing.gate else "",
        templates=shown,
    )

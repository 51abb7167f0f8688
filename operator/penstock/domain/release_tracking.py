"""Tracks a workload between observations: releases begin, complete, bypass the gate, roll back.

Penstock recognizes a rollback by its stable templates, so they are recorded as early and dropped as
late as is safe: a version whose errors closed the gate is not stable, but the only known one stays.
A template that completed while the gate was closed, or on which the gate closed, becomes stable
once the gate has permitted for a whole calm period while it ran. Otherwise there would never be a
rollback to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from penstock.domain.decision import ReleaseOrigin
from penstock.domain.quantities import Duration
from penstock.domain.rollout_state import (
    STABLE_KEPT,
    Hold,
    ReleaseState,
    RolloutState,
    StableTemplate,
    WorkloadSummary,
)
from penstock.domain.template import PodTemplate
from penstock.domain.verdict import GateState
from penstock.domain.workload import Phase, WorkloadState


def observe_workload(state: RolloutState, workload: WorkloadState, now: datetime) -> RolloutState:
    """The state after one observation of the workload; nothing is decided here."""
    known = replace(state, workload=_workload_summary(state, workload))
    if not workload.exists or workload.template is None:
        return replace(known, release=None, hold=Hold())
    present = [
        template
        for template in (workload.template, *workload.former_templates)
        if template is not None
    ]
    bodies = {**state.bodies, **{template.hash: template for template in present}}
    return _with_bodies(
        _tracked(_with_current_hashes(known, present), state, workload, now), bodies
    )


def _tracked(
    known: RolloutState, before: RolloutState, workload: WorkloadState, now: datetime
) -> RolloutState:
    present = workload.template
    if present is None:
        return known
    if workload.phase is Phase.COMPLETE:
        return _with_completion(known, present, now)
    recreated = _is_recreated(before, workload)
    if not known.complete and workload.ever_complete:
        known = _with_former(known, present, workload, now)
    if present.hash == known.complete:
        return replace(known, release=None)
    return replace(known, release=_release_state(known, present.hash, recreated, now))


def drop_from_stable(state: RolloutState) -> RolloutState:
    """Forget the running template: the gate has closed on it. The only known one stays."""
    stable = state.stable
    if len(stable) > 1 and stable[0].hash == state.complete:
        stable = stable[1:]
    return replace(state, stable=stable)


def update_probation(
    state: RolloutState, workload: WorkloadState, *, permitted: bool, calm: Duration, now: datetime
) -> RolloutState:
    """The running template becomes stable by evidence: permitted for a whole calm period.

    Scaling and lost pods do not restart that time; anything but a Permit does.
    """
    present = workload.template
    if (
        present is None
        or present.hash != state.complete
        or is_stable(state, present.hash)
        or not permitted
    ):
        return replace(state, proving_since=None)
    since = min(state.proving_since or now, now)
    if now - since < timedelta(milliseconds=calm.milliseconds):
        return replace(state, proving_since=since)
    proven = _with_stable(replace(state, proving_since=None), present, now)
    return _with_bodies(proven, {**state.bodies, present.hash: present})


def is_stable(state: RolloutState, hash_: str) -> bool:
    """Whether a rollback to this template is always permitted."""
    return any(stable.hash == hash_ for stable in state.stable)


def _workload_summary(state: RolloutState, workload: WorkloadState) -> WorkloadSummary:
    """The uid outlives the object: what comes under the name afterwards is known as another."""
    former = state.workload.uid if state.workload else ""
    return WorkloadSummary(
        str(workload.ref), workload.uid or former, workload.phase, workload.updated, workload.total
    )


def _is_recreated(before: RolloutState, workload: WorkloadState) -> bool:
    return bool(
        before.workload and before.workload.uid not in ("", workload.uid) and before.complete
    )


def _with_current_hashes(state: RolloutState, present: list[PodTemplate]) -> RolloutState:
    """Stable templates as their ReplicaSets say them now.

    A new default of the API server changes every hash at once; it must not make strangers of them.
    """
    by_source = {template.source: template for template in present if template.source}
    renamed = {
        template.hash: by_source[template.source]
        for template in state.stable
        if template.source in by_source and by_source[template.source].hash != template.hash
    }
    if not renamed:
        return state
    stable = tuple(
        replace(template, hash=renamed[template.hash].hash, images=renamed[template.hash].images)
        if template.hash in renamed
        else template
        for template in state.stable
    )
    complete = renamed.get(state.complete)
    return replace(state, stable=stable, complete=complete.hash if complete else state.complete)


def _with_bodies(state: RolloutState, bodies: Mapping[str, PodTemplate]) -> RolloutState:
    """Keep the bodies of the templates that may be returned to."""
    kept = {stable.hash: bodies[stable.hash] for stable in state.stable if stable.hash in bodies}
    return replace(state, bodies=kept)


def _with_completion(state: RolloutState, template: PodTemplate, now: datetime) -> RolloutState:
    first_sight = not state.complete
    news = state.complete != template.hash or not state.stable
    closed = state.gate is not None and state.gate.state is GateState.CLOSED
    # Evidence that went missing during a hold makes its gate Unknown, and the hold is still there.
    held = closed or state.memory.held_for is not None
    known = replace(state, complete=template.hash, release=None)
    if not news or (held and not first_sight and not is_stable(state, template.hash)):
        return known
    return _with_stable(known, template, now)


def _with_stable(state: RolloutState, template: PodTemplate, now: datetime) -> RolloutState:
    newest = StableTemplate(template.hash, template.images, now, template.source)
    others = [stable for stable in state.stable if stable.hash != template.hash]
    return replace(state, stable=(newest, *others)[:STABLE_KEPT])


def _with_former(
    state: RolloutState, present: PodTemplate, workload: WorkloadState, now: datetime
) -> RolloutState:
    """A Rollout created in the middle of a release: what ran before it may be returned to.

    Without another template in the history it is the present one that ran, and is not a release.
    """
    former = next(
        (template for template in workload.former_templates if template.hash != present.hash),
        present,
    )
    return _with_stable(replace(state, complete=former.hash), former, now)


def _release_state(
    state: RolloutState,
    hash_: str,
    recreated: bool,
    now: datetime,
) -> ReleaseState:
    release = state.release
    opened = state.gate is None or state.gate.state is GateState.OPEN
    if release is not None and release.id == hash_ and not recreated:
        # Once the gate has been open for it, it is a release like any other.
        return replace(release, origin=ReleaseOrigin.ADMITTED) if opened else release
    origin = ReleaseOrigin.ADMITTED
    if recreated and not is_stable(state, hash_):
        origin = ReleaseOrigin.RECREATED
    elif not opened:
        origin = ReleaseOrigin.WHILE_CLOSED
    return ReleaseState(hash_, now, state.complete, origin=origin)

"""Follows a workload from one look to the next: releases begin, complete, slip through, return.

Stable templates are the memory that makes a rollback recognisable, so they are recorded as early
and dropped as late as is safe: a version whose errors closed the gate is none, but the only one
known stays. What completed past a closed gate, or had the gate close on it, and runs on, is stable
once the gate has permitted for a whole calm time meanwhile: else there were no way back to it ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from penstock.domain.case import Onset
from penstock.domain.quantities import Duration
from penstock.domain.standing import STABLE_KEPT, Hold, Seen, Stable, Standing, UnderWay
from penstock.domain.template import Template
from penstock.domain.verdict import GateState
from penstock.domain.workload import Observation, Phase


def follow(standing: Standing, seen: Observation, now: datetime) -> Standing:
    """The standing after one look at the workload; nothing is decided here."""
    known = replace(standing, workload=_seen(standing, seen))
    if not seen.exists or seen.template is None:
        return replace(known, release=None, hold=Hold())
    present = [one for one in (seen.template, *seen.ran) if one is not None]
    bodies = {**standing.bodies, **{one.hash: one for one in present}}
    return _with_bodies(_followed(_reread(known, present), standing, seen, now), bodies)


def _followed(known: Standing, before: Standing, seen: Observation, now: datetime) -> Standing:
    present = seen.template
    if present is None:
        return known
    if seen.phase is Phase.COMPLETE:
        return _completed(known, present, now)
    recreated = _recreated(before, seen)
    if not known.complete and seen.ever_complete:
        known = _with_former(known, present, seen, now)
    if present.hash == known.complete:
        return replace(known, release=None)
    return replace(known, release=_under_way(known, present.hash, recreated, now))


def without_suspect(standing: Standing) -> Standing:
    """Forget what runs: the gate has closed on it. The only template known is kept all the same."""
    stable = standing.stable
    if len(stable) > 1 and stable[0].hash == standing.complete:
        stable = stable[1:]
    return replace(standing, stable=stable)


def proving(
    standing: Standing, seen: Observation, *, permitted: bool, calm: Duration, now: datetime
) -> Standing:
    """What runs without being stable becomes so by evidence: permitted for a whole calm time.

    Scaling and lost pods do not restart the time; anything but a Permit does.
    """
    present = seen.template
    if (
        present is None
        or present.hash != standing.complete
        or is_stable(standing, present.hash)
        or not permitted
    ):
        return replace(standing, proving_since=None)
    since = min(standing.proving_since or now, now)
    if now - since < timedelta(milliseconds=calm.milliseconds):
        return replace(standing, proving_since=since)
    proven = _recorded(replace(standing, proving_since=None), present, now)
    return _with_bodies(proven, {**standing.bodies, present.hash: present})


def is_stable(standing: Standing, hash_: str) -> bool:
    """Whether a template may be returned to at any time."""
    return any(one.hash == hash_ for one in standing.stable)


def _seen(standing: Standing, seen: Observation) -> Seen:
    """The uid outlives the object: what comes under the name afterwards is known as another."""
    former = standing.workload.uid if standing.workload else ""
    return Seen(str(seen.ref), seen.uid or former, seen.phase, seen.updated, seen.total)


def _recreated(before: Standing, seen: Observation) -> bool:
    return bool(before.workload and before.workload.uid not in ("", seen.uid) and before.complete)


def _reread(standing: Standing, present: list[Template]) -> Standing:
    """Stable templates as their ReplicaSets say them now.

    A new default of the API server changes every hash at once; it must not make strangers of them.
    """
    by_source = {one.source: one for one in present if one.source}
    renamed = {
        one.hash: by_source[one.source]
        for one in standing.stable
        if one.source in by_source and by_source[one.source].hash != one.hash
    }
    if not renamed:
        return standing
    stable = tuple(
        replace(one, hash=renamed[one.hash].hash, images=renamed[one.hash].images)
        if one.hash in renamed
        else one
        for one in standing.stable
    )
    complete = renamed.get(standing.complete)
    return replace(
        standing, stable=stable, complete=complete.hash if complete else standing.complete
    )


def _with_bodies(standing: Standing, bodies: Mapping[str, Template]) -> Standing:
    """Keep the bodies of the templates that may be returned to."""
    kept = {one.hash: bodies[one.hash] for one in standing.stable if one.hash in bodies}
    return replace(standing, bodies=kept)


def _completed(standing: Standing, template: Template, now: datetime) -> Standing:
    first_sight = not standing.complete
    news = standing.complete != template.hash or not standing.stable
    closed = standing.gate is not None and standing.gate.state is GateState.CLOSED
    # Evidence that went missing during a hold makes its gate Unknown, and the hold is still there.
    shut = closed or standing.memory.held_for is not None
    known = replace(standing, complete=template.hash, release=None)
    if not news or (shut and not first_sight and not is_stable(standing, template.hash)):
        return known
    return _recorded(known, template, now)


def _recorded(standing: Standing, template: Template, now: datetime) -> Standing:
    newest = Stable(template.hash, template.images, now, template.source)
    others = [one for one in standing.stable if one.hash != template.hash]
    return replace(standing, stable=(newest, *others)[:STABLE_KEPT])


def _with_former(
    standing: Standing, present: Template, seen: Observation, now: datetime
) -> Standing:
    """A Rollout created in the middle of a release: what ran before it may be returned to.

    Without another template in the history it is the present one that ran, and is not a release.
    """
    former = next((one for one in seen.ran if one.hash != present.hash), present)
    return _recorded(replace(standing, complete=former.hash), former, now)


def _under_way(
    standing: Standing,
    hash_: str,
    recreated: bool,
    now: datetime,
) -> UnderWay:
    release = standing.release
    opened = standing.gate is None or standing.gate.state is GateState.OPEN
    if release is not None and release.id == hash_ and not recreated:
        # Once the gate has been open for it, it is a release like any other.
        return replace(release, onset=Onset.ADMITTED) if opened else release
    onset = Onset.ADMITTED
    if recreated and not is_stable(standing, hash_):
        onset = Onset.RECREATED
    elif not opened:
        onset = Onset.WHILE_CLOSED
    return UnderWay(hash_, now, standing.complete, onset=onset)

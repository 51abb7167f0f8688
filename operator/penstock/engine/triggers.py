"""What to work on after a change: a pure table from a change to keys of queues.

A change of a store counts like one from the watch: new evidence, a release that begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from penstock.domain.cached_object import CachedObject, Resource
from penstock.domain.refs import ApiResource, WorkloadRef
from penstock.domain.rollout import Rollout
from penstock.domain.slo import Slo
from penstock.engine.active_releases import ActiveRelease
from penstock.engine.object_cache import Key, ObjectCache, ObjectChange, SourceKey, key_of


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys to add to each queue.

    Attributes:
        slos: SLOs to evaluate.
        slo_statuses: SLOs whose status may be out of date.
        rollouts: Rollouts to reconcile.
        observe: whether the workload of these Rollouts may have changed.
        sources: sources to probe.
    """

    slos: Sequence[Key] = ()
    slo_statuses: Sequence[Key] = ()
    rollouts: Sequence[Key] = ()
    observe: bool = False
    sources: Sequence[SourceKey] = ()


Trigger = Callable[[ObjectCache, ObjectChange], Keys]


def workload_changed(cache: ObjectCache, namespace: str, ref: WorkloadRef) -> Keys:
    """After the watch saw a workload change."""
    return Keys(rollouts=cache.rollouts_for_workload(namespace, ref), observe=True)


def kind_changed(cache: ObjectCache, resource: ApiResource) -> Keys:
    """After the watch of a workload kind has begun or ended."""
    rollouts = [
        key_of(obj)
        for obj in cache.all(Resource.ROLLOUT)
        if isinstance(obj.spec, Rollout) and resource.is_kind_of(obj.spec.workload)
    ]
    return Keys(rollouts=rollouts, observe=True)


def evidence_changed(cache: ObjectCache, slo: Key) -> Keys:
    """After an SLO was evaluated."""
    return Keys(slo_statuses=[slo], rollouts=cache.rollouts_for_slo(slo))


def release_changed(
    cache: ObjectCache, rollout: Rollout, before: ActiveRelease | None, after: ActiveRelease
) -> Keys:
    """A release that begins, or a hold, must not wait for the next round at rest."""
    began = after.is_under_way and not (before is not None and before.is_under_way)
    return Keys(slos=_slos_of(cache, rollout)) if began else Keys()


def _slo_changed(cache: ObjectCache, change: ObjectChange) -> Keys:
    slo = change.key
    return Keys(slos=[slo], slo_statuses=[slo], rollouts=cache.rollouts_for_slo(slo))


def _rollout_changed(cache: ObjectCache, change: ObjectChange) -> Keys:
    """It may also change which of several Rollouts of one workload enforces."""
    conflicting = {key for obj in (change.old, change.new) for key in _conflicting(cache, obj)}
    value = change.new.spec if change.new is not None else None
    return Keys(
        slos=_slos_of(cache, value) if isinstance(value, Rollout) else (),
        rollouts=[change.key, *sorted(conflicting - {change.key})],
        observe=True,
    )


def _source_changed(cache: ObjectCache, change: ObjectChange) -> Keys:
    return Keys(
        slos=cache.slos_for_source(change.resource, change.key),
        sources=[(change.resource, change.key)],
    )


TRIGGERS: Mapping[str, Trigger] = {
    Resource.METRICS_SOURCE: _source_changed,
    Resource.CLUSTER_METRICS_SOURCE: _source_changed,
    Resource.SLO: _slo_changed,
    Resource.ROLLOUT: _rollout_changed,
}
"""By the plural of each cached kind; kinds that others refer to are listed first."""


def _slos_of(cache: ObjectCache, rollout: Rollout) -> list[Key]:
    return [
        (rollout.ref.namespace, named.name)
        for named in cache.slos_for_rollout(rollout)
        if named.obj is not None and isinstance(named.obj.spec, Slo)
    ]


def _conflicting(cache: ObjectCache, obj: CachedObject | None) -> Sequence[Key]:
    if obj is None or not isinstance(obj.spec, Rollout):
        return ()
    return cache.rollouts_for_workload(obj.ref.namespace, obj.spec.workload)

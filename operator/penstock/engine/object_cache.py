"""Our objects as last seen, with indexes for the relations between them.

Only the Informer writes it; everybody else reads. It stores parsed values and drops the JSON.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from penstock.domain.cached_object import CachedObject, Resource
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.refs import WorkloadRef
from penstock.domain.rollout import Rollout
from penstock.domain.slo import Slo, SourceKind
from penstock.errors import SpecInvalid

Key = tuple[str, str]
SourceKey = tuple[str, Key]
DEFAULT_SOURCE = "default"
_RESOURCE_OF = {
    SourceKind.METRICS_SOURCE: Resource.METRICS_SOURCE,
    SourceKind.CLUSTER_METRICS_SOURCE: Resource.CLUSTER_METRICS_SOURCE,
}


@dataclass(frozen=True, slots=True)
class Named:
    """An SLO as a Rollout names it; ``obj`` is None when there is no such SLO."""

    name: str
    obj: CachedObject | None


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """A change by an author; ``old`` is None for a new object, ``new`` for a deleted one."""

    resource: str
    old: CachedObject | None
    new: CachedObject | None

    @property
    def key(self) -> Key:
        """The object's namespace and name."""
        obj = self.new or self.old
        if obj is None:
            raise ValueError("a change of nothing")
        return key_of(obj)


class ObjectCache:
    """SLOs, Rollouts, sources and workloads, and their relations, by namespace and name."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[Key, CachedObject]] = defaultdict(dict)
        self._touched: dict[str, set[Key]] = defaultdict(set)
        # Each index maps a lookup value to the keys of the objects that have it.
        self._slos_of_namespace: dict[str, set[Key]] = defaultdict(set)
        self._slos_of_source: dict[SourceKey, set[Key]] = defaultdict(set)
        self._rollouts_naming: dict[Key, set[Key]] = defaultdict(set)
        self._rollouts_selecting: dict[str, set[Key]] = defaultdict(set)
        self._rollouts_of_workload: dict[tuple[str, str, str, str], set[Key]] = defaultdict(set)

    def upsert(self, resource: str, obj: CachedObject) -> ObjectChange | None:
        """Store an object as it was seen.

        Returns:
            What its author changed; None for a change of the status alone, and for an object older
            than the cached one, which is not stored.
        """
        key = key_of(obj)
        self._touched[resource].add(key)
        known = self._objects[resource].get(key)
        if known and known.ref.uid == obj.ref.uid and known.generation > obj.generation:
            return None
        self._unlink(key, known)
        self._objects[resource][key] = _with_known_bodies(known, obj)
        self._link(key, obj)
        return None if _is_same(known, obj) else ObjectChange(resource, known, obj)

    def remove(self, resource: str, key: Key) -> ObjectChange | None:
        """Remove one object; None if it was not known."""
        self._touched[resource].add(key)
        known = self._objects[resource].pop(key, None)
        self._unlink(key, known)
        return None if known is None else ObjectChange(resource, known, None)

    def begin_relist(self, resource: str) -> None:
        """Start a list; it may lack what the watch reports from now on."""
        self._touched[resource].clear()

    def replace(self, resource: str, listed: Collection[CachedObject]) -> list[ObjectChange]:
        """Merge a list; whatever the watch has reported since the list began stays as it is.

        Returns:
            Deletions that the watch missed, and what authors changed.
        """
        touched = set(self._touched[resource])
        kept = {key_of(obj) for obj in listed} | touched
        gone = [key for key in self._objects[resource] if key not in kept]
        changes = [self.remove(resource, key) for key in gone]
        changes += [self.upsert(resource, one) for one in listed if key_of(one) not in touched]
        return [change for change in changes if change is not None]

    def get(self, resource: str, key: Key) -> CachedObject | None:
        """One object."""
        return self._objects[resource].get(key)

    def all(self, resource: str) -> list[CachedObject]:
        """All objects of one kind."""
        return list(self._objects[resource].values())

    def slos_for_rollout(self, rollout: Rollout) -> list[Named]:
        """Its SLOs by name and selector, each once; a selector without match is one not found."""
        namespace = rollout.ref.namespace
        slos = self._objects[Resource.SLO]
        named = {name: slos.get((namespace, name)) for name in rollout.slos}
        if rollout.selector is not None:
            chosen: dict[str, CachedObject | None] = {
                key[1]: slos[key]
                for key in self._slos_of_namespace.get(namespace, ())
                if isinstance(slo := slos[key].spec, Slo) and rollout.selector.matches(slo.labels)
            }
            named.update(chosen or {"(sloSelector)": None})
        return [Named(name, obj) for name, obj in sorted(named.items())]

    def rollouts_for_slo(self, slo: Key) -> list[Key]:
        """Rollouts that a change of this SLO may concern: by name, or by any selector."""
        named = self._rollouts_naming.get(slo, set())
        return sorted(named | self._rollouts_selecting.get(slo[0], set()))

    def source_for_slo(self, slo: Slo) -> CachedObject | None:
        """The source that an SLO names, else its namespace's default, else the cluster's."""
        found = (self._objects[resource].get(key) for resource, key in _sources_of(slo))
        return next((obj for obj in found if obj is not None), None)

    def rollouts_for_workload(self, namespace: str, workload: WorkloadRef) -> list[Key]:
        """Rollouts of one workload, oldest first: only the first one enforces."""
        rollouts = self._objects[Resource.ROLLOUT]
        found = self._rollouts_of_workload.get(workload.identity(namespace), ())
        return sorted(found, key=lambda key: (rollouts[key].created, key))

    def slos_for_source(self, resource: str, key: Key) -> list[Key]:
        """SLOs that this source serves; of a deleted source, those that it would serve."""
        found = self._slos_of_source.get((resource, key), ())
        return sorted(slo for slo in found if self._is_served(slo, (resource, key)))

    def _is_served(self, slo: Key, source: SourceKey) -> bool:
        value = self._objects[Resource.SLO][slo].spec
        candidates = _sources_of(value) if isinstance(value, Slo) else ()
        there = (it for it in candidates if it == source or it[1] in self._objects[it[0]])
        return next(there, None) == source

    def _link(self, key: Key, obj: CachedObject) -> None:
        for index, where in self._places(obj):
            index[where].add(key)

    def _unlink(self, key: Key, obj: CachedObject | None) -> None:
        if obj is None:
            return
        for index, where in self._places(obj):
            index[where].discard(key)
            if not index[where]:
                del index[where]

    def _places(self, obj: CachedObject) -> Iterator[tuple[dict[Any, set[Key]], Any]]:
        """Each index that contains an object, with its lookup value."""
        value, namespace = obj.spec, obj.ref.namespace
        if isinstance(value, Slo):
            yield self._slos_of_namespace, namespace
            for source in _sources_of(value):
                yield self._slos_of_source, source
        elif isinstance(value, Rollout):
            for name in set(value.slos):
                yield self._rollouts_naming, (namespace, name)
            if value.selector is not None:
                yield self._rollouts_selecting, namespace
            yield self._rollouts_of_workload, value.workload.identity(namespace)


def key_of(obj: CachedObject) -> Key:
    """Namespace and name of an object."""
    return obj.ref.namespace, obj.ref.name


def parsed_source(obj: CachedObject | None) -> MetricsSource | None:
    """The source's value, if it exists and can be used."""
    return obj.spec if obj is not None and isinstance(obj.spec, MetricsSource) else None


def _with_known_bodies(known: CachedObject | None, obj: CachedObject) -> CachedObject:
    """The watch shows a Rollout without its GateRecord, which keeps the stable templates.

    A restart resumes from the cache: admission could not recognise a rollback without them.
    """
    former = known.rollout_state if known is not None and known.ref == obj.ref else None
    state = obj.rollout_state
    if former is None or state is None:
        return obj
    bodies = {**former.bodies, **state.bodies}
    kept = {one.hash: bodies[one.hash] for one in state.stable if one.hash in bodies}
    return replace(obj, status=replace(state, bodies=kept))


def _sources_of(slo: Slo) -> Iterable[SourceKey]:
    """The sources that may serve an SLO; the first one that exists does."""
    namespace = slo.ref.namespace
    if slo.source is None:
        return (
            (Resource.METRICS_SOURCE, (namespace, DEFAULT_SOURCE)),
            (Resource.CLUSTER_METRICS_SOURCE, ("", DEFAULT_SOURCE)),
        )
    resource = _RESOURCE_OF[slo.source.kind]
    where = namespace if resource is Resource.METRICS_SOURCE else ""
    return ((resource, (where, slo.source.name)),)


def _is_same(known: CachedObject | None, obj: CachedObject) -> bool:
    """Whether an author has changed nothing: spec by generation, labels by comparison."""
    if known is None or known.ref != obj.ref or known.generation != obj.generation:
        return False
    if isinstance(known.spec, SpecInvalid) or isinstance(obj.spec, SpecInvalid):
        return type(known.spec) is type(obj.spec)
    return known.spec == obj.spec

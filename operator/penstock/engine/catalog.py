"""What exists: our objects as last seen, and who concerns whom.

Fed by the feed and swept by the periodic list, because a deletion inside a watch's gap is never
reported. Holds parsed values only; bodies are dropped at the door.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from penstock.domain.entry import Entry, Resource
from penstock.domain.refs import WorkloadRef
from penstock.domain.rollout import Rollout
from penstock.domain.slo import Slo, SourceKind
from penstock.domain.source import Source

Key = tuple[str, str]
Workload = tuple[str, str, str, str]
DEFAULT_SOURCE = "default"


@dataclass(frozen=True, slots=True)
class Named:
    """An SLO as a Rollout names it; ``entry`` is None when there is no such SLO."""

    name: str
    entry: Entry | None


class Catalog:
    """The relation between SLOs, Rollouts, sources and workloads, by namespace and name."""

    def __init__(self) -> None:
        self._entries: dict[Resource, dict[Key, Entry]] = {one: {} for one in Resource}
        self._touched: dict[Resource, set[Key]] = {one: set() for one in Resource}
        self._naming: dict[Key, set[Key]] = defaultdict(set)
        self._choosing: dict[str, set[Key]] = defaultdict(set)
        self._guarding: dict[Workload, set[Key]] = defaultdict(set)

    def upsert(self, resource: Resource, entry: Entry) -> bool:
        """Take what was seen; False if it is an answer older than what is known."""
        key = (entry.ref.namespace, entry.ref.name)
        self._touched[resource].add(key)
        known = self._entries[resource].get(key)
        if known and known.ref.uid == entry.ref.uid and known.version > entry.version:
            return False
        self._unlink(key, known)
        self._entries[resource][key] = entry
        self._link(key, entry)
        return True

    def remove(self, resource: Resource, namespace: str, name: str) -> Entry | None:
        """Forget one object; what was known of it, if anything."""
        key = (namespace, name)
        self._touched[resource].add(key)
        known = self._entries[resource].pop(key, None)
        self._unlink(key, known)
        return known

    def list_begins(self, resource: Resource) -> None:
        """A list is asked for: what the watch tells from now on, the list may not know yet."""
        self._touched[resource].clear()

    def untold(self, resource: Resource, listed: Iterable[Entry]) -> list[Entry]:
        """What of a list the watch has told nothing about since it was asked for."""
        told = self._touched[resource]
        return [one for one in listed if (one.ref.namespace, one.ref.name) not in told]

    def sweep(self, resource: Resource, listed: Iterable[Entry]) -> list[Entry]:
        """Forget what a list no longer shows, and nobody has told of since; what is gone."""
        kept = {(entry.ref.namespace, entry.ref.name) for entry in listed}
        kept |= self._touched[resource]
        gone = [key for key in self._entries[resource] if key not in kept]
        return [entry for key in gone if (entry := self.remove(resource, *key)) is not None]

    def _link(self, key: Key, entry: Entry) -> None:
        if isinstance(entry.value, Rollout):
            for index, where in self._places(entry.value):
                index[where].add(key)

    def _unlink(self, key: Key, entry: Entry | None) -> None:
        if entry is not None and isinstance(entry.value, Rollout):
            for index, where in self._places(entry.value):
                index[where].discard(key)
                if not index[where]:
                    del index[where]

    def _places(self, rollout: Rollout) -> list[tuple[dict[Any, set[Key]], Any]]:
        """Under what a Rollout is to be found: its SLOs by name, its namespace, its workload."""
        namespace = rollout.ref.namespace
        places: list[tuple[dict[Any, set[Key]], Any]] = [
            (self._naming, (namespace, name)) for name in set(rollout.slos)
        ]
        if rollout.selector is not None:
            places.append((self._choosing, namespace))
        return [*places, (self._guarding, _workload(namespace, rollout.workload))]

    def get(self, resource: Resource, key: Key) -> Entry | None:
        """One object."""
        return self._entries[resource].get(key)

    def all(self, resource: Resource) -> list[Entry]:
        """All objects of one kind."""
        return list(self._entries[resource].values())

    def slos_of(self, rollout: Rollout) -> list[Named]:
        """Its SLOs by name and selector, each once; a selector that finds none is one not found."""
        namespace = rollout.ref.namespace
        slos = self._entries[Resource.SLO]
        named = {name: slos.get((namespace, name)) for name in rollout.slos}
        if rollout.selector is not None:
            chosen: dict[str, Entry | None] = {
                name: entry
                for (where, name), entry in slos.items()
                if where == namespace
                and isinstance(entry.value, Slo)
                and rollout.selector.matches(entry.value.labels)
            }
            named.update(chosen or {"(sloSelector)": None})
        return [Named(name, entry) for name, entry in sorted(named.items())]

    def rollouts_of(self, slo: Key) -> list[Key]:
        """Rollouts that a change of this SLO may concern: by name, or by any selector."""
        named = self._naming.get(slo, set())
        return sorted(named | self._choosing.get(slo[0], set()))

    def source_of(self, slo: Slo) -> Entry | None:
        """The source that an SLO names, else its namespace's default, else the cluster's."""
        namespace = slo.ref.namespace
        own = self._entries[Resource.METRICS_SOURCE]
        cluster = self._entries[Resource.CLUSTER_METRICS_SOURCE]
        if slo.source is None:
            return own.get((namespace, DEFAULT_SOURCE)) or cluster.get(("", DEFAULT_SOURCE))
        if slo.source.kind is SourceKind.METRICS_SOURCE:
            return own.get((namespace, slo.source.name))
        return cluster.get(("", slo.source.name))

    def guards_of(self, namespace: str, workload: WorkloadRef) -> list[Key]:
        """Rollouts of one workload, the elder first: only the first enforces."""
        rollouts = self._entries[Resource.ROLLOUT]
        found = self._guarding.get(_workload(namespace, workload), ())
        return sorted(found, key=lambda key: (rollouts[key].created, key))

    def users_of(self, source: Entry) -> list[Key]:
        """SLOs that this source serves now."""
        return [
            key
            for key, entry in self._entries[Resource.SLO].items()
            if isinstance(entry.value, Slo) and self.source_of(entry.value) is source
        ]


def _workload(namespace: str, ref: WorkloadRef) -> Workload:
    """What makes two references mean one object: the group counts, its version does not."""
    return namespace, ref.api_version.rpartition("/")[0], ref.kind, ref.name


def parsed_source(entry: Entry | None) -> Source | None:
    """The source's value, if there is one that can be used."""
    return entry.value if entry is not None and isinstance(entry.value, Source) else None

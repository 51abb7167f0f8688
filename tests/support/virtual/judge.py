"""Ends a story in virtual time: the pure core decides once more from what is there at the end.

The same judgement as ``support.oracle`` passes on real servers; the invariants are those of
``support.invariants``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from penstock.domain.cached_object import CachedObject, Resource
from penstock.domain.decision import SloEvidence
from penstock.domain.effective_policy import resolve_policy
from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.gate import hold_manager, step
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.quantities import Duration
from penstock.domain.refs import WorkloadRef
from penstock.domain.rollout import Mode, Rollout
from penstock.domain.slo import Slo, SourceKind
from penstock.domain.slo_status import SloStatus, slo_status
from penstock.domain.source_status import SourceStatus
from penstock.domain.verdict import GateState
from penstock.domain.window import length
from penstock.domain.workload import Phase, WorkloadState
from penstock.engine.ports import EvidenceRequest
from support.doubles.connection import Done
from support.doubles.deployments import PREFIX
from support.doubles.measures import Counted, ScriptedMetrics
from support.doubles.store import RECORDS, Store
from support.invariants import violations
from support.oracle import compared


def whatever_differs(
    store: Store, metrics: ScriptedMetrics, tally: Counted, now: datetime, scrape: float
) -> list[str]:
    """Everything that comes out otherwise than the objects say it."""
    eye = _Eye(store, metrics, now, Duration(int(scrape * 1_000)))
    found = [*eye.rollouts(), *eye.slos(), *eye.sources(), *eye.stray_holds()]
    return found + list(_gauges(store, tally))


def violations_of(done: Sequence[Done], store: Store) -> list[str]:
    """All that was violated by what was written."""
    specs = {one["metadata"]["uid"]: one["spec"] for one in store.all(str(Resource.ROLLOUT))}
    return violations((one.call.write for one in done), specs)


class _Eye:
    """Reads all that is there, once."""

    def __init__(
        self, store: Store, metrics: ScriptedMetrics, now: datetime, scrape: Duration
    ) -> None:
        self._store, self._metrics, self._now, self._scrape = store, metrics, now, scrape
        self._slos = {_key(obj): obj for obj in store.entries(Resource.SLO)}
        self._rollouts = list(store.entries(Resource.ROLLOUT))
        self._sources = {
            (resource, _key(obj)): obj
            for resource in (Resource.METRICS_SOURCE, Resource.CLUSTER_METRICS_SOURCE)
            for obj in store.entries(resource)
        }

    def rollouts(self) -> Iterator[str]:
        """Each Rollout, stepped once more: nothing may change, and nothing be left to do."""
        for obj in self._rollouts:
            if isinstance(obj.spec, Rollout):
                for one in self._of(obj, obj.spec):
                    yield f"{obj.ref.name}: {one}"

    def _of(self, entry: CachedObject, rollout: Rollout) -> Iterator[str]:
        told = entry.rollout_state
        if told is None or told.gate is None:
            yield "nothing is told of its gate"
            return
        workload = self._observed(rollout)
        slos = tuple(self._judged(rollout, name) for name in self._named(rollout))
        stepped = step(rollout, told, workload, slos, self._rival(entry, rollout), self._now)
        record = self._store.read(RECORDS, *_key(entry)).get("data") or {}
        yield from compared(told, record, stepped, ours=workload.held_by_us)

    def _observed(self, rollout: Rollout) -> WorkloadState:
        ref, namespace = rollout.workload, rollout.ref.namespace
        found = self._store.deployments.get((namespace, ref.name))
        if ref.kind != "Deployment":
            return WorkloadState(
                namespace, ref, "", Phase.UNSUPPORTED, unsupported_reason="is not known"
            )
        if found is None:
            return WorkloadState(namespace, ref, "", Phase.MISSING)
        return found.observed(hold_manager(rollout))

    def _rival(self, entry: CachedObject, rollout: Rollout) -> str | None:
        same = [
            obj
            for obj in self._rollouts
            if isinstance(obj.spec, Rollout)
            and obj.ref.namespace == entry.ref.namespace
            and _workload(obj.spec.workload) == _workload(rollout.workload)
        ]
        first = min(same, key=lambda obj: (obj.created, _key(obj)))
        return None if first is entry else first.ref.name

    def _named(self, rollout: Rollout) -> list[str]:
        chosen = [
            name
            for (namespace, name), obj in self._slos.items()
            if rollout.selector is not None
            and namespace == rollout.ref.namespace
            and isinstance(obj.spec, Slo)
            and rollout.selector.matches(obj.spec.labels)
        ]
        if rollout.selector is not None and not chosen:
            chosen = ["(sloSelector)"]
        return sorted({*rollout.slos, *chosen}) if rollout.mode is not Mode.OFF else []

    def _judged(self, rollout: Rollout, name: str) -> SloEvidence:
        obj = self._slos.get((rollout.ref.namespace, name))
        slo = obj.spec if obj else None
        if not isinstance(slo, Slo):
            return SloEvidence(
                name,
                Evidence(EvidenceKind.SLO_INVALID if obj else EvidenceKind.SLO_NOT_FOUND),
                None,
            )
        applies = resolve_policy(
            rollout.policy, slo.objective, length(slo.window, self._now), self._scrape
        )
        return SloEvidence(name, self._evidence(slo, applies.burn_windows), applies)

    def _evidence(self, slo: Slo, looks: frozenset[Duration]) -> Evidence:
        if self._source(slo) is None:
            return Evidence(EvidenceKind.SOURCE_NOT_FOUND)
        window = length(slo.window, self._now)
        return self._metrics.answer(EvidenceRequest(slo, looks - {window}), self._now)

    def _source(self, slo: Slo) -> MetricsSource | None:
        namespace, of_cluster = slo.ref.namespace, Resource.CLUSTER_METRICS_SOURCE
        if slo.source is None:
            places = [
                (Resource.METRICS_SOURCE, (namespace, "default")),
                (of_cluster, ("", "default")),
            ]
        elif slo.source.kind is SourceKind.METRICS_SOURCE:
            places = [(Resource.METRICS_SOURCE, (namespace, slo.source.name))]
        else:
            places = [(of_cluster, ("", slo.source.name))]
        found = next((self._sources[one] for one in places if one in self._sources), None)
        return found.spec if found and isinstance(found.spec, MetricsSource) else None

    def slos(self) -> Iterator[str]:
        """Each SLO's state and reason."""
        for obj in self._slos.values():
            if not isinstance(obj.spec, Slo):
                continue
            told = obj.slo_or_source_status
            status = slo_status(obj.spec, self._evidence(obj.spec, frozenset()), self._now, None)
            if not isinstance(told, SloStatus):
                yield f"nothing is told of SLO {obj.ref.name}"
            elif (told.reason, told.generation) != (status.reason, status.generation):
                yield f"SLO {obj.ref.name}: {told.reason} is told, {status.reason} comes out"

    def sources(self) -> Iterator[str]:
        """Each source's condition."""
        for obj in self._sources.values():
            health = self._metrics.healths.get(obj.ref.name)
            if isinstance(obj.spec, MetricsSource) and health is not None:
                told = obj.slo_or_source_status
                if not isinstance(told, SourceStatus) or told.ready.reason != health.reason:
                    yield f"source {obj.ref.name} is told otherwise than {health.reason}"

    def stray_holds(self) -> Iterator[str]:
        """Holds for a Rollout that is no more."""
        known = {obj.ref.uid for obj in self._rollouts}
        for workload in self._store.deployments.values():
            for manager in workload.holders:
                is_stray = manager.startswith(PREFIX) and manager.removeprefix(PREFIX) not in known
                if is_stray and not workload.kept:
                    yield f"{workload.ref} is held for a Rollout that is no more"


def _gauges(store: Store, tally: Counted) -> Iterator[str]:
    """The metrics of each gate are what its status says, and there are none of others."""
    told = {
        (one["metadata"]["name"], one["status"]["gate"]["state"])
        for one in store.all(str(Resource.ROLLOUT))
        if "gate" in one.get("status", {})
    }
    gates = [
        (dict(labels), value)
        for (name, labels), value in tally.gauges.items()
        if name == "penstock_gate_state"
    ]
    shown = {(labels["rollout"], labels["state"]) for labels, value in gates if value}
    names = {labels["rollout"] for labels, _ in gates}
    if (shown, names) != (told, {name for name, _ in told}):
        yield f"metrics show {sorted(shown)} of {len(GateState)} states, status {sorted(told)}"


def _key(obj: CachedObject) -> tuple[str, str]:
    return obj.ref.namespace, obj.ref.name


def _workload(ref: WorkloadRef) -> tuple[str, str, str]:
    return ref.api_version.rpartition("/")[0], ref.kind, ref.name

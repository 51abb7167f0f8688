"""Ends a story in virtual time: the pure core decides once more from what is there at the end.

The same judgement as ``support.oracle`` passes on real servers; the invariants are those of
``support.invariants``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from penstock.domain.case import Judged
from penstock.domain.entry import Entry, Resource
from penstock.domain.evidence import Evidence, Kind
from penstock.domain.gate import hold_manager, step
from penstock.domain.guard import guard
from penstock.domain.quantities import Duration
from penstock.domain.refs import WorkloadRef
from penstock.domain.report import SloReport, report
from penstock.domain.rollout import Mode, Rollout
from penstock.domain.slo import Slo, SourceKind
from penstock.domain.source import Source
from penstock.domain.source_report import SourceReport
from penstock.domain.verdict import GateState
from penstock.domain.window import length
from penstock.domain.workload import Observation, Phase
from penstock.engine.ports import Inquiry
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
        self._slos = {_key(one): one for one in store.entries(Resource.SLO)}
        self._rollouts = list(store.entries(Resource.ROLLOUT))
        self._sources = {
            (resource, _key(one)): one
            for resource in (Resource.METRICS_SOURCE, Resource.CLUSTER_METRICS_SOURCE)
            for one in store.entries(resource)
        }

    def rollouts(self) -> Iterator[str]:
        """Each Rollout, stepped once more: nothing may change, and nothing be left to do."""
        for entry in self._rollouts:
            if isinstance(entry.value, Rollout):
                for one in self._of(entry, entry.value):
                    yield f"{entry.ref.name}: {one}"

    def _of(self, entry: Entry, rollout: Rollout) -> Iterator[str]:
        told = entry.standing
        if told is None or told.gate is None:
            yield "nothing is told of its gate"
            return
        seen = self._observed(rollout)
        judged = tuple(self._judged(rollout, name) for name in self._named(rollout))
        stepped = step(rollout, told, seen, judged, self._rival(entry, rollout), self._now)
        record = self._store.read(RECORDS, *_key(entry)).get("data") or {}
        yield from compared(told, record, stepped, ours=seen.ours)

    def _observed(self, rollout: Rollout) -> Observation:
        ref, namespace = rollout.workload, rollout.ref.namespace
        found = self._store.deployments.get((namespace, ref.name))
        if ref.kind != "Deployment":
            return Observation(namespace, ref, "", Phase.UNSUPPORTED, refusal="is not known")
        if found is None:
            return Observation(namespace, ref, "", Phase.MISSING)
        return found.observed(hold_manager(rollout))

    def _rival(self, entry: Entry, rollout: Rollout) -> str | None:
        same = [
            one
            for one in self._rollouts
            if isinstance(one.value, Rollout)
            and one.ref.namespace == entry.ref.namespace
            and _workload(one.value.workload) == _workload(rollout.workload)
        ]
        first = min(same, key=lambda one: (one.created, _key(one)))
        return None if first is entry else first.ref.name

    def _named(self, rollout: Rollout) -> list[str]:
        chosen = [
            name
            for (namespace, name), one in self._slos.items()
            if rollout.selector is not None
            and namespace == rollout.ref.namespace
            and isinstance(one.value, Slo)
            and rollout.selector.matches(one.value.labels)
        ]
        if rollout.selector is not None and not chosen:
            chosen = ["(sloSelector)"]
        return sorted({*rollout.slos, *chosen}) if rollout.mode is not Mode.OFF else []

    def _judged(self, rollout: Rollout, name: str) -> Judged:
        entry = self._slos.get((rollout.ref.namespace, name))
        slo = entry.value if entry else None
        if not isinstance(slo, Slo):
            return Judged(name, Evidence(Kind.SLO_INVALID if entry else Kind.SLO_NOT_FOUND), None)
        applies = guard(rollout.policy, slo.objective, length(slo.window, self._now), self._scrape)
        return Judged(name, self._evidence(slo, applies.looks), applies)

    def _evidence(self, slo: Slo, looks: frozenset[Duration]) -> Evidence:
        if self._source(slo) is None:
            return Evidence(Kind.SOURCE_NOT_FOUND)
        window = length(slo.window, self._now)
        return self._metrics.answer(Inquiry(slo, looks - {window}), self._now)

    def _source(self, slo: Slo) -> Source | None:
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
        return found.value if found and isinstance(found.value, Source) else None

    def slos(self) -> Iterator[str]:
        """Each SLO's state and reason."""
        for entry in self._slos.values():
            if not isinstance(entry.value, Slo):
                continue
            told = entry.told
            made = report(entry.value, self._evidence(entry.value, frozenset()), self._now, None)
            if not isinstance(told, SloReport):
                yield f"nothing is told of SLO {entry.ref.name}"
            elif (told.reason, told.generation) != (made.reason, made.generation):
                yield f"SLO {entry.ref.name}: {told.reason} is told, {made.reason} comes out"

    def sources(self) -> Iterator[str]:
        """Each source's condition."""
        for entry in self._sources.values():
            health = self._metrics.health.get(entry.ref.name)
            if isinstance(entry.value, Source) and health is not None:
                told = entry.told
                if not isinstance(told, SourceReport) or told.ready.reason != health.reason:
                    yield f"source {entry.ref.name} is told otherwise than {health.reason}"

    def stray_holds(self) -> Iterator[str]:
        """Holds for a Rollout that is no more."""
        known = {one.ref.uid for one in self._rollouts}
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


def _key(entry: Entry) -> tuple[str, str]:
    return entry.ref.namespace, entry.ref.name


def _workload(ref: WorkloadRef) -> tuple[str, str, str]:
    return ref.api_version.rpartition("/")[0], ref.kind, ref.name

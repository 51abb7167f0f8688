"""Evaluates SLOs: takes what is due, queries each source in batches, stores the evidence.

One worker serves all objects. So it can batch queries, bound the load on a source, and stop at
once. A slow source delays only its own SLOs.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence

from penstock.domain.cached_object import Resource
from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.quantities import Duration
from penstock.domain.rollout import Rollout
from penstock.domain.slo import Slo
from penstock.domain.window import length
from penstock.engine import triggers
from penstock.engine.evidence_store import CachedEvidence
from penstock.engine.evidence_view import EvaluationIntervals
from penstock.engine.metric_names import CounterName
from penstock.engine.object_cache import Key, parsed_source
from penstock.engine.ports import Clock, EvidenceRequest, EvidenceSource, MetricsRecorder
from penstock.engine.schedule import offset
from penstock.engine.stores import Stores

log = logging.getLogger(__name__)

# One source. SLOs that a release depends on form their own group and never wait for the others.
EvaluationGroup = tuple[str, str, bool]

# Burn windows in the status of every SLO, if they fit into its window.
SHOWN_WINDOWS = tuple(Duration.parse(text) for text in ("5m", "30m", "1h", "2h", "6h", "1d", "3d"))


class Evaluator:
    """Keeps evidence of every SLO no older than its interval."""

    def __init__(
        self,
        stores: Stores,
        evidence_source: EvidenceSource,
        clock: Clock,
        metrics: MetricsRecorder,
        intervals: EvaluationIntervals,
    ) -> None:
        self._cache, self._evidence = stores.cache, stores.evidence
        self._releases, self._queues = stores.releases, stores.queues
        self._evidence_source, self._clock, self._metrics = evidence_source, clock, metrics
        self._intervals = intervals
        self._asking: dict[EvaluationGroup, asyncio.Task[None]] = {}
        self._postponed: dict[EvaluationGroup, set[Key]] = defaultdict(set)

    async def run(self) -> None:
        """Run until cancelled."""
        try:
            while True:
                self._dispatch(await self._queues.slos.get_batch())
        finally:
            asking = list(self._asking.values())
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    def _dispatch(self, due: Iterable[Key]) -> None:
        groups: dict[EvaluationGroup, list[EvidenceRequest]] = defaultdict(list)
        sources: dict[EvaluationGroup, MetricsSource] = {}
        for key in due:
            obj = self._cache.get(Resource.SLO, key)
            if obj is None or not isinstance(obj.spec, Slo):
                self._evidence.forget(key)
                continue
            slo = obj.spec
            found = self._cache.source_for_slo(slo)
            source = parsed_source(found)
            rollouts = self._cache.rollouts_for_slo(key)
            overloaded = source is not None and self._evidence_source.is_overloaded(source)
            hot = self._releases.are_hot(rollouts, overloaded=overloaded)
            self._set_next(key, source, hot=hot, rounds=2 if overloaded and not hot else 1)
            if source is None:
                self._store(slo, _no_source(slo, found))
                continue
            group = (source.ref.namespace, source.ref.name, hot)
            sources[group] = source
            windows = self._burn_windows(slo, rollouts)
            groups[group].append(
                EvidenceRequest(slo, windows, hot, self._releases.starts(rollouts))
            )
        for group, requests in groups.items():
            self._start_asking(group, sources[group], requests)

    def _set_next(self, key: Key, source: MetricsSource | None, *, hot: bool, rounds: int) -> None:
        """Schedule all SLOs of one source at the same moments, since batched queries cost least.

        An SLO that was evaluated shortly before its moment is not evaluated again then. An
        overloaded source is queried every second round: with every third, all evidence would be
        too old in between.
        """
        seconds = self._intervals.hot if hot else self._intervals.rest
        shift = offset(f"{source.ref.namespace}/{source.ref.name}" if source else "", seconds)
        now = self._clock.monotonic()
        soonest = now + self._queues.slos.gather_seconds
        at = ((soonest - shift) // seconds + rounds) * seconds + shift
        self._queues.slos.add_after(key, at - now)

    def _start_asking(
        self, group: EvaluationGroup, source: MetricsSource, requests: Sequence[EvidenceRequest]
    ) -> None:
        """Query a source, unless it still owes the last answer: then it is slow already.

        Skipped SLOs are evaluated as soon as that answer arrives.
        """
        if group in self._asking:
            self._metrics.count(CounterName.EVALUATIONS_SKIPPED)
            self._postponed[group].update(_key(request.slo) for request in requests)
            return
        self._asking[group] = asyncio.create_task(self._ask(group, source, requests))

    async def _ask(
        self, group: EvaluationGroup, source: MetricsSource, requests: Sequence[EvidenceRequest]
    ) -> None:
        try:
            await self._measure(source, requests)
        finally:
            del self._asking[group]
        self._queues.slos.add_all(self._postponed.pop(group, ()))

    async def _measure(self, source: MetricsSource, requests: Sequence[EvidenceRequest]) -> None:
        at = self._clock.now()
        try:
            answers = await self._evidence_source.measure(source, requests, at)
        except Exception:
            log.exception("could not evaluate the SLOs of source %s", source.ref)
            self._metrics.count(CounterName.ERRORS, where="evaluator")
            answers = {}
        for request in requests:
            missing = Evidence(
                EvidenceKind.MALFORMED, "internal error; see the log of the operator"
            )
            self._store(request.slo, answers.get(request.slo.ref, missing), request.burn_windows)

    def _store(
        self, slo: Slo, evidence: Evidence, windows: frozenset[Duration] = frozenset()
    ) -> None:
        """Store evidence; an SLO that is gone or was replaced is evaluated again anyway."""
        key = _key(slo)
        obj = self._cache.get(Resource.SLO, key)
        if obj is None or obj.ref.uid != slo.ref.uid:
            return
        if isinstance(obj.spec, Slo) and obj.spec.generation != slo.generation:
            return
        found = CachedEvidence(slo, evidence, self._clock.monotonic(), windows)
        self._evidence.put(key, found)
        self._metrics.count(CounterName.EVIDENCE, kind=evidence.kind)
        self._queues.add(triggers.evidence_changed(self._cache, key))

    def _burn_windows(self, slo: Slo, rollouts: Iterable[Key]) -> frozenset[Duration]:
        """Every burn window that this SLO's status or the policy of any of its Rollouts needs."""
        window = length(slo.window, self._clock.now())
        windows = {shown for shown in SHOWN_WINDOWS if shown < window}
        for key in rollouts:
            obj = self._cache.get(Resource.ROLLOUT, key)
            if obj is not None and isinstance(obj.spec, Rollout):
                windows |= self._intervals.policy_for(obj.spec, slo, window).burn_windows
        return frozenset(windows - {window})


def _key(slo: Slo) -> Key:
    return slo.ref.namespace, slo.ref.name


def _no_source(slo: Slo, found: object) -> Evidence:
    named = f"{slo.source.kind} {slo.source.name}" if slo.source else "a source named default"
    if found is None:
        return Evidence(EvidenceKind.SOURCE_NOT_FOUND, f"{named} does not exist")
    return Evidence(EvidenceKind.SOURCE_NOT_FOUND, f"{named} is invalid; its status says why")

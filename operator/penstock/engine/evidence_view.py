"""A view of both stores: the evidence of a Rollout's SLOs, each with the policy that applies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from penstock.domain.decision import SloEvidence
from penstock.domain.effective_policy import EffectivePolicy, resolve_policy
from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.quantities import Duration
from penstock.domain.rollout import Rollout
from penstock.domain.slo import Slo
from penstock.domain.window import length
from penstock.engine.evidence_store import EvidenceStore
from penstock.engine.object_cache import Named, ObjectCache
from penstock.engine.ports import Clock
from penstock.errors import SpecInvalid

MISSED_EVALUATIONS = 3


@dataclass(frozen=True, slots=True)
class EvaluationIntervals:
    """Intervals in seconds.

    Attributes:
        rest: between evaluations of an SLO at rest.
        hot: between evaluations while a release depends on the SLO.
        scrape: between scrapes; a default burn pair covers at least four.
    """

    rest: float
    hot: float
    scrape: float = 15.0

    def policy_for(self, rollout: Rollout, slo: Slo, window: Duration) -> EffectivePolicy:
        """The policy for one SLO of a Rollout, with its defaults resolved."""
        scrape = Duration(int(self.scrape * 1_000))
        return resolve_policy(rollout.policy, slo.objective, window, scrape)


class EvidenceView:
    """Reads the stores; it stores nothing."""

    def __init__(
        self,
        cache: ObjectCache,
        evidence: EvidenceStore,
        clock: Clock,
        intervals: EvaluationIntervals,
    ) -> None:
        self._cache, self._evidence = cache, evidence
        self._clock, self._intervals = clock, intervals

    def for_rollout(self, rollout: Rollout, now: datetime) -> tuple[SloEvidence, ...]:
        """A Rollout's SLOs, each with its evidence and the policy that applies."""
        named = self._cache.slos_for_rollout(rollout)
        return tuple(self._slo_evidence(one, rollout, now) for one in named)

    def _slo_evidence(self, named: Named, rollout: Rollout, now: datetime) -> SloEvidence:
        obj = named.obj
        if obj is None:
            what = (
                "spec.sloSelector matches no SLO"
                if named.name.startswith("(")
                else "no such SLO in this namespace"
            )
            return SloEvidence(named.name, Evidence(EvidenceKind.SLO_NOT_FOUND, what), None)
        if isinstance(obj.spec, SpecInvalid):
            return SloEvidence(named.name, Evidence(EvidenceKind.SLO_INVALID, str(obj.spec)), None)
        if not isinstance(obj.spec, Slo):
            raise TypeError(f"{named.name} is not an SLO")
        slo = obj.spec
        window = length(slo.window, now)
        policy = self._intervals.policy_for(rollout, slo, window)
        return SloEvidence(named.name, self._current(slo, policy, window), policy)

    def _current(self, slo: Slo, policy: EffectivePolicy, window: Duration) -> Evidence:
        """The cached evidence, if it is of this very object, recent, and covers the burn windows.

        A new policy may need burn windows that were not queried yet: that is not missing data.
        """
        known = self._evidence.get((slo.ref.namespace, slo.ref.name))
        if known is None or known.slo.ref.uid != slo.ref.uid:
            return Evidence(EvidenceKind.WARMING_UP, "not evaluated yet")
        age = self._clock.monotonic() - known.measured_at
        if age > MISSED_EVALUATIONS * self._intervals.rest:
            return Evidence(EvidenceKind.STALE, f"the last evaluation is {int(age)} s old")
        asked = known.burn_windows | {window}
        if known.evidence.reading is not None and not policy.burn_windows <= asked:
            return Evidence(EvidenceKind.WARMING_UP, "not evaluated for this policy yet")
        return known.evidence

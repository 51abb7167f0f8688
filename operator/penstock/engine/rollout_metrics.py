"""Metrics of Rollouts and SLOs in /metrics, other than plain counters."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.domain.cached_object import Resource
from penstock.domain.rollout_state import RolloutState
from penstock.domain.slo import Slo
from penstock.domain.verdict import GateState
from penstock.engine.budget.ledger_manager import LedgerManager
from penstock.engine.metric_names import GaugeName
from penstock.engine.object_cache import Key, ObjectCache, parsed_source
from penstock.engine.ports import MetricsRecorder


def slis(cache: ObjectCache, ledgers: LedgerManager) -> Iterator[tuple[Key, str]]:
    """Each SLO that has a ledger, with the name of its counters."""
    for obj in cache.all(Resource.SLO):
        if isinstance(obj.spec, Slo):
            source = parsed_source(cache.source_for_slo(obj.spec))
            name = ledgers.counters_of(obj.spec, source) if source else None
            if name is not None:
                yield (obj.ref.namespace, obj.ref.name), name


def record(
    metrics: MetricsRecorder, rollout: Key, before: RolloutState, rollout_state: RolloutState
) -> None:
    """Set the gauges of one Rollout, and drop those that no longer apply."""
    names = {"namespace": rollout[0], "rollout": rollout[1]}
    if rollout_state.gate is not None:
        for state in GateState:
            is_in = 1.0 if rollout_state.gate.state is state else 0.0
            metrics.gauge(GaugeName.GATE_STATE, is_in, **names, state=state)
    former, spent = _spent(before), _spent(rollout_state)
    if former and (spent is None or spent[0] != former[0]):
        metrics.forget(**names, **former[0])
    if spent:
        labels, share = spent
        metrics.gauge(GaugeName.RELEASE_BUDGET_SPENT, share, **names, **labels)


def _spent(rollout_state: RolloutState) -> tuple[dict[str, str], float] | None:
    """The release, its SLO and the share spent; None without a release, or while it is unknown."""
    release = rollout_state.release
    if release is None or release.spent is None:
        return None
    return {"release": release.id, "slo": release.spent.slo}, float(release.spent.share)

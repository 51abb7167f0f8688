"""What the controllers share: passive stores, and queues of keys.

Nothing here calls anybody. The Informer writes the cache, the Evaluator evidence, and the
RolloutReconciler active releases; each adds the keys that ``triggers`` returns to the queues.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.engine.active_releases import ActiveReleases
from penstock.engine.evidence_store import EvidenceStore
from penstock.engine.manager_index import ManagerIndex
from penstock.engine.object_cache import Key, ObjectCache, SourceKey
from penstock.engine.ports import Clock
from penstock.engine.triggers import Keys
from penstock.engine.work_queue import WorkQueue

GATHER_SECONDS = 0.2


class Queues:
    """One queue for each controller."""

    def __init__(self, clock: Clock, gather_seconds: float = GATHER_SECONDS) -> None:
        """``gather_seconds``: SLOs that change within this time are queried together."""
        self.slos: WorkQueue[Key] = WorkQueue(clock, gather_seconds)
        self.slo_statuses: WorkQueue[Key] = WorkQueue(clock)
        self.rollouts: WorkQueue[Key] = WorkQueue(clock)
        self.sources: WorkQueue[SourceKey] = WorkQueue(clock)
        self.orphaned_holds: WorkQueue[str] = WorkQueue(clock)

    def add(self, keys: Keys) -> None:
        """Add these keys to their queues."""
        self.slos.add_all(keys.slos)
        self.slo_statuses.add_all(keys.slo_statuses)
        self.rollouts.add_all(keys.rollouts, mark=keys.observe)
        self.sources.add_all(keys.sources)


@dataclass(frozen=True, slots=True)
class Stores:
    """All stores."""

    cache: ObjectCache
    evidence: EvidenceStore
    releases: ActiveReleases
    managers: ManagerIndex
    queues: Queues

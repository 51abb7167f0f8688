"""The last measured evidence of each SLO; the Evaluator writes it."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.domain.evidence import Evidence
from penstock.domain.quantities import Duration
from penstock.domain.slo import Slo
from penstock.engine.object_cache import Key


@dataclass(frozen=True, slots=True)
class CachedEvidence:
    """What one evaluation found.

    Attributes:
        slo: the SLO as it was evaluated.
        measured_at: seconds on the monotonic clock.
        burn_windows: the burn windows that were queried.
    """

    slo: Slo
    evidence: Evidence
    measured_at: float
    burn_windows: frozenset[Duration] = frozenset()


class EvidenceStore:
    """The newest evidence by SLO."""

    def __init__(self) -> None:
        self._known: dict[Key, CachedEvidence] = {}

    def get(self, slo: Key) -> CachedEvidence | None:
        """The evidence of one SLO; None if there is none."""
        return self._known.get(slo)

    def put(self, slo: Key, cached: CachedEvidence) -> None:
        """Store the evidence of one SLO."""
        self._known[slo] = cached

    def forget(self, slo: Key) -> None:
        """Drop the evidence of an SLO that is gone: it must not serve a namesake."""
        self._known.pop(slo, None)

    def oldest(self) -> float | None:
        """When the oldest evidence was measured, in seconds on the monotonic clock."""
        return min((it.measured_at for it in self._known.values()), default=None)

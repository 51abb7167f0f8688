"""One of our objects as it was last seen: parsed, or with what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from penstock.domain.refs import ObjectRef
from penstock.domain.rollout_state import RolloutState
from penstock.domain.slo_status import SloStatus
from penstock.domain.source_status import SourceStatus


class Resource(StrEnum):
    """Plurals of the kinds that people write; ``api.kinds`` says all that there is of each."""

    SLO = "slos"
    ROLLOUT = "rollouts"
    METRICS_SOURCE = "metricssources"
    CLUSTER_METRICS_SOURCE = "clustermetricssources"


@dataclass(frozen=True, slots=True)
class CachedObject:
    """One of our objects as the API server has it.

    Attributes:
        ref: which object.
        generation: its generation; one older than the cached one is a stale answer.
        spec: what its author wrote, in the type of its kind; or ``SpecInvalid``, which says why it
            cannot be used.
        created: when it was created, as sortable text; the oldest Rollout guards a workload.
        status: its last status, in the type of its kind; None if there is none.
    """

    ref: ObjectRef
    generation: int
    spec: object
    created: str = ""
    status: object = None

    @property
    def rollout_state(self) -> RolloutState | None:
        """What a Rollout's status remembers; None for other kinds."""
        return self.status if isinstance(self.status, RolloutState) else None

    @property
    def slo_or_source_status(self) -> SloStatus | SourceStatus | None:
        """The last status of an SLO or a source; None for other kinds."""
        return self.status if isinstance(self.status, SloStatus | SourceStatus) else None

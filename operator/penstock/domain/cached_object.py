"""One of Penstock's objects as it was last seen: parsed, or with what is wrong with it."""

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
    """One of Penstock's objects as the API server has it.

    Attributes:
        ref: which one.
        generation: its generation; an older one than the cache's is a stale answer.
        spec: what its author wrote, in the type of its kind; or ``SpecInvalid``, which says why it
            cannot be acted on.
        created: when it was created, as sortable text; the older of two Rollouts guards a workload.
        status: what its status said last, in the type of its kind; None where there is none.
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
        """What the status of an SLO or a source said last; None for other kinds."""
        return self.status if isinstance(self.status, SloStatus | SourceStatus) else None

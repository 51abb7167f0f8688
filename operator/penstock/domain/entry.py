"""One of Penstock's objects as it was last seen: parsed, or with what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from penstock.domain.refs import ObjectRef
from penstock.domain.report import SloReport
from penstock.domain.source_report import SourceReport
from penstock.domain.standing import Standing


class Resource(StrEnum):
    """Plurals of the kinds that people write; ``api.kinds`` says all that there is of each."""

    SLO = "slos"
    ROLLOUT = "rollouts"
    METRICS_SOURCE = "metricssources"
    CLUSTER_METRICS_SOURCE = "clustermetricssources"


@dataclass(frozen=True, slots=True)
class Entry:
    """One of Penstock's objects as the API server has it.

    Attributes:
        ref: which one.
        version: its generation; an older one than the cache's is a stale answer.
        value: what its author wrote, in the type of its kind; or ``SpecInvalid``, which says why it
            cannot be acted on.
        created: when it was created, as sortable text; the elder of two Rollouts guards a workload.
        status: what its status said last, in the type of its kind; None where there is none.
    """

    ref: ObjectRef
    version: int
    value: object
    created: str = ""
    status: object = None

    @property
    def standing(self) -> Standing | None:
        """What a Rollout's status remembers; None for other kinds."""
        return self.status if isinstance(self.status, Standing) else None

    @property
    def told(self) -> SloReport | SourceReport | None:
        """What the status of an SLO or a source said last; None for other kinds."""
        return self.status if isinstance(self.status, SloReport | SourceReport) else None

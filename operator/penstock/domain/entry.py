"""One of our objects as it was last seen: parsed, or with what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from penstock.domain.refs import ObjectRef
from penstock.domain.report import SloReport
from penstock.domain.rollout import Rollout
from penstock.domain.slo import Slo
from penstock.domain.source import Source
from penstock.domain.source_report import SourceReport
from penstock.domain.standing import Standing
from penstock.errors import SpecInvalid

Parsed = Slo | Rollout | Source


class Resource(StrEnum):
    """The kinds that people write, as the API server's paths name them."""

    SLO = "slos"
    ROLLOUT = "rollouts"
    METRICS_SOURCE = "metricssources"
    CLUSTER_METRICS_SOURCE = "clustermetricssources"


@dataclass(frozen=True, slots=True)
class Entry:
    """One of our objects as the API server has it.

    Attributes:
        ref: which one.
        version: its generation; an older one than the catalog's is a stale answer.
        value: what its author wrote, or why it cannot be acted on.
        created: when it was made, as sortable text; the elder of two Rollouts guards a workload.
        standing: what a Rollout's status remembers; None for other kinds.
        told: the last status of an SLO or a source; None for Rollouts, and where there is
            none.
    """

    ref: ObjectRef
    version: int
    value: Parsed | SpecInvalid
    created: str = ""
    standing: Standing | None = None
    told: SloReport | SourceReport | None = None

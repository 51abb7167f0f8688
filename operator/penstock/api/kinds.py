"""The kinds of penstock.dev, one row each: all that is different between them at the API server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penstock.api.base import KubeModel
from penstock.api.gate_record import GateRecord
from penstock.api.parse import (
    Body,
    parse_cluster_metrics_source,
    parse_metrics_source,
    parse_rollout,
    parse_slo,
)
from penstock.api.rollout import Rollout
from penstock.api.slo import SLO
from penstock.api.source import ClusterMetricsSource, MetricsSource
from penstock.api.status_decoding import (
    decode_rollout_status,
    decode_slo_status,
    decode_source_status,
)
from penstock.api.status_encoding import (
    encode_rollout_status,
    encode_slo_status,
    encode_source_status,
)
from penstock.domain.refs import ApiResource, ObjectRef
from penstock.domain.slo import SourceKind

GROUP = "penstock.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


@dataclass(frozen=True)
class Column:
    """One column of ``kubectl get``; priority 1 shows with ``-o wide`` only."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


AGE = Column("Age", ".metadata.creationTimestamp", "date")
_READY = '.status.conditions[?(@.type=="Ready")]'
READY = (Column("Ready", f"{_READY}.status"), Column("Reason", f"{_READY}.reason"))


def _no_status(_ref: ObjectRef, _status: Any, _companion: Body | None) -> None:
    """For a kind without a status."""


def _source_status_of(kind: SourceKind) -> Callable[[ObjectRef, Any, Body | None], Any]:
    return lambda ref, status, _: decode_source_status(kind, ref, status)


@dataclass(frozen=True)
class KindSpec:
    """How one kind is named, scoped, shown, read and written.

    Attributes:
        model: what its manifests look like; the kind's name is its model's.
        plural: as paths of the API server say it.
        short: its short name for kubectl; None without one.
        columns: what ``kubectl get`` shows.
        parse: a manifest to what its author wrote; raises ``SpecInvalid``. None for a kind that
            nobody but Penstock writes: it is neither watched nor listed by itself.
        decode_status: a status, and the body of the companion, to what the status remembers.
        encode_status: a status of the core to plain data.
        resumes: a restart resumes from the status, so an invalid object keeps it.
        companion: plural of the kind whose object of the same name keeps a part of the status;
            empty without one.
    """

    model: type[KubeModel]
    plural: str
    short: str | None
    columns: tuple[Column, ...]
    namespaced: bool = True
    parse: Callable[[Body], object] | None = None
    decode_status: Callable[[ObjectRef, Any, Body | None], Any] = _no_status
    encode_status: Callable[[Any], dict[str, Any]] = dict
    resumes: bool = False
    companion: str = ""

    @property
    def kind(self) -> str:
        """As manifests say it."""
        return self.model.__name__

    @property
    def resource(self) -> ApiResource:
        """The kind as the API server serves it."""
        return ApiResource(GROUP, VERSION, self.kind, self.plural, self.namespaced)


KINDS = (
    KindSpec(
        SLO,
        "slos",
        "gslo",
        (
            Column("Objective", ".spec.objective"),
            Column("Window", ".status.display.window"),
            Column("SLI", ".status.display.indicator"),
            Column("Budget-Left", ".status.display.budgetLeft"),
            Column("Burn", ".status.display.burn"),
            Column("State", ".status.state"),
            AGE,
        ),
        parse=parse_slo,
        decode_status=lambda ref, status, _: decode_slo_status(ref, status),
        encode_status=encode_slo_status,
    ),
    KindSpec(
        Rollout,
        "rollouts",
        "gro",
        (
            Column("Workload", ".status.workload.name"),
            Column("Gate", ".status.gate.state"),
            Column("Reason", ".status.gate.reason"),
            Column("SLO", ".status.gate.slo"),
            Column("Since", ".status.gate.since", "date"),
            AGE,
            Column("Mode", ".spec.mode", priority=1),
            Column("Hold", ".status.hold.effective", priority=1),
            Column("Message", ".status.gate.summary", priority=1),
        ),
        parse=parse_rollout,
        decode_status=lambda _, status, record: decode_rollout_status(status, record),
        encode_status=encode_rollout_status,
        resumes=True,
        companion="gaterecords",
    ),
    KindSpec(
        GateRecord,
        "gaterecords",
        None,
        (
            Column("Workload", ".data.workload.name"),
            Column("Admits", ".data.admits", "boolean"),
            Column("Admission", ".data.admission"),
            AGE,
            Column("Message", ".data.message", priority=1),
        ),
    ),
    KindSpec(
        MetricsSource,
        "metricssources",
        None,
        (
            Column("URL", ".spec.url"),
            *READY,
            AGE,
            Column("Message", f"{_READY}.message", priority=1),
        ),
        parse=parse_metrics_source,
        decode_status=_source_status_of(SourceKind.METRICS_SOURCE),
        encode_status=encode_source_status,
    ),
    KindSpec(
        ClusterMetricsSource,
        "clustermetricssources",
        None,
        (
            Column("URL", ".spec.url"),
            *READY,
            AGE,
            Column("Message", f"{_READY}.message", priority=1),
        ),
        namespaced=False,
        parse=parse_cluster_metrics_source,
        decode_status=_source_status_of(SourceKind.CLUSTER_METRICS_SOURCE),
        encode_status=encode_source_status,
    ),
)
KIND_BY_PLURAL = {kind.plural: kind for kind in KINDS}

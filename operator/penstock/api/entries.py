"""Bodies of our objects, as the API server gives them, to entries of the catalog."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from penstock.api.parse import (
    Body,
    parse_cluster_metrics_source,
    parse_metrics_source,
    parse_rollout,
    parse_slo,
)
from penstock.api.resume import source_told_of, standing_of, told_of
from penstock.domain.entry import Entry, Parsed, Resource
from penstock.domain.refs import ObjectRef
from penstock.domain.report import SloReport
from penstock.domain.slo import SourceKind
from penstock.domain.source_report import SourceReport
from penstock.errors import SpecInvalid

API_VERSION = "penstock.dev/v1alpha1"
KINDS = {
    Resource.SLO: "SLO",
    Resource.ROLLOUT: "Rollout",
    Resource.METRICS_SOURCE: "MetricsSource",
    Resource.CLUSTER_METRICS_SOURCE: "ClusterMetricsSource",
}
_PARSERS: dict[Resource, Callable[[Body], Parsed]] = {
    Resource.SLO: parse_slo,
    Resource.ROLLOUT: parse_rollout,
    Resource.METRICS_SOURCE: parse_metrics_source,
    Resource.CLUSTER_METRICS_SOURCE: parse_cluster_metrics_source,
}


def entry(resource: Resource, body: Body, record: Mapping[str, Any] | None = None) -> Entry:
    """One object, parsed or with what is wrong with it.

    Args:
        resource: which kind it is.
        body: the object.
        record: the body of a Rollout's GateRecord, where there is one.
    """
    metadata = body["metadata"]
    value: Parsed | SpecInvalid
    try:
        value = _PARSERS[resource](body)
    except SpecInvalid as problem:
        value = problem
    rollout = resource is Resource.ROLLOUT
    ref = ObjectRef(metadata.get("namespace", ""), metadata["name"], str(metadata.get("uid", "")))
    return Entry(
        ref=ref,
        version=int(metadata.get("generation") or 0),
        value=value,
        created=str(metadata.get("creationTimestamp", "")),
        standing=standing_of(body.get("status"), record) if rollout else None,
        told=_told(resource, ref, body.get("status")),
    )


def _told(resource: Resource, ref: ObjectRef, status: Any) -> SloReport | SourceReport | None:
    match resource:
        case Resource.SLO:
            return told_of(ref, status)
        case Resource.METRICS_SOURCE | Resource.CLUSTER_METRICS_SOURCE:
            return source_told_of(SourceKind(KINDS[resource]), ref, status)
    return None

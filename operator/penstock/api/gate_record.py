"""The kind GateRecord: what the admission policy reads. Written by the operator only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from penstock.api.base import KubeModel
from penstock.api.common import ATOMIC
from penstock.api.field_types import Text, free_text, timestamp

MAX_TEMPLATES = 5
MAX_PERMITS = 16

CLOSED = "penstock.dev/closed"


class RecordedWorkload(KubeModel):
    """The workload that the record is about."""

    api_version: Annotated[str, free_text(128)]
    """Group and version. Example: apps/v1"""
    kind: Annotated[str, free_text(63)]
    """Kind. Example: Deployment"""
    name: Annotated[str, free_text(253)]
    """Name. Example: checkout"""


class RecordedTemplate(KubeModel):
    """A pod template that passes even while the gate is closed."""

    hash: Annotated[str, free_text(64)]
    """Hash of the template. Example: 5d4f8c7b9"""
    completed_at: Annotated[str, timestamp("templates.completedAt")] | None = None
    """Time at which the rollout completed. Example: 2026-11-24T10:00:00Z"""
    source: Annotated[str, free_text(253)] | None = None
    """ReplicaSet that has this template. Example: checkout-6d5f7c9b8"""
    template: dict[str, Any] = Field(
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}
    )
    """The template as the API server stores it. Example: {spec: {containers: [...]}}"""


class Permit(KubeModel):
    """Images that pass although the gate is closed."""

    images: list[Annotated[str, free_text(1_024)]] = Field(max_length=64, json_schema_extra=ATOMIC)
    """All images of the template, in order. Example: ["checkout:2"]"""


class GateRecordData(KubeModel):
    """What the admission policy reads."""

    workload: RecordedWorkload
    """The workload that the record is about."""
    admits: bool
    """Whether a new release may start; mode, enforcement and the Unknown policy are already
    applied. Example: true"""
    admission: Literal["Deny", "Warn"]
    """What happens to a release that may not start: Deny or Warn."""
    message: Annotated[str, Text((), 1_024)] | None = None
    """The message of a refusal or a warning. Example: Closed since 14:02 UTC: checkout-availability
    has -3.1% of its error budget left"""
    templates: list[RecordedTemplate] | None = Field(
        default=None, max_length=MAX_TEMPLATES, json_schema_extra=ATOMIC
    )
    """Templates that always pass: a rollback is never refused."""
    permits: list[Permit] | None = Field(
        default=None, max_length=MAX_PERMITS, json_schema_extra=ATOMIC
    )
    """Releases that a person has permitted."""


class GateRecord(KubeModel):
    """What the admission policy reads about one Rollout. Written by Penstock only and removed with
    its Rollout; do not edit it by hand.
    """

    data: GateRecordData
    """What the admission policy reads."""


def record_labels(data: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels that a record with this data must have, in the same write.

    The policy's bindings choose records by them. Reading a record with five templates costs the API
    server most of a millisecond, at each update of each Deployment of the namespace, so only those
    of closed gates are read.
    """
    return {} if data["admits"] else {CLOSED: data["admission"]}

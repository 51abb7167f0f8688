"""Parts that several kinds share: references, secrets, conditions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic.config import JsonDict

from penstock.api.base import KubeModel
from penstock.api.field_types import free_text, name

SECRET_KEY = Annotated[str, free_text(253)]


def _as_whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# A number of events. JSON has one kind of number: the API server takes 5.0 for 5 and stores 5.
Count = Annotated[int, Field(ge=0, le=1_000_000_000), BeforeValidator(_as_whole)]


class SecretKey(KubeModel):
    """A key of a Secret in the source's namespace (for a ClusterMetricsSource: in the operator's
    namespace).
    """

    name: Annotated[str, name("name", "a Secret")]
    """Name of the Secret. Example: prometheus"""
    key: SECRET_KEY
    """Key in the Secret. Example: password"""


class SecretName(KubeModel):
    """A Secret in the source's namespace (for a ClusterMetricsSource: in the operator's
    namespace).
    """

    name: Annotated[str, name("name", "a Secret")]
    """Name of the Secret. Example: prometheus-client"""


class Condition(KubeModel):
    """One aspect of the object's state, in the standard Kubernetes form."""

    type: str
    """Type of the condition. Example: Ready"""
    status: Literal["True", "False", "Unknown"]
    """Status of the condition: True, False or Unknown."""
    reason: str
    """Reason, one stable word; the docs list them all. Example: BudgetHealthy"""
    message: str
    """Message for people."""
    last_transition_time: str = Field(json_schema_extra={"format": "date-time"})
    """Time of the last change of status."""
    observed_generation: int | None = Field(default=None, ge=0)
    """The metadata.generation that this condition is based on."""


CONDITIONS = Field(
    default=None,
    json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
)
TIME = Field(default=None, json_schema_extra={"format": "date-time"})
ATOMIC: JsonDict = {"x-kubernetes-list-type": "atomic"}


def map_by(*keys: str) -> JsonDict:
    """Schema extension of a list that server-side apply merges by these keys."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [*keys]}

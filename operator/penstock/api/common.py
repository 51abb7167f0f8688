"""Parts that several of our kinds have: references, secrets, conditions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic.config import JsonDict

from penstock.api.base import KubeModel
from penstock.api.text import free_text, name

SECRET_KEY = Annotated[str, free_text(253)]


def _as_whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# A number of events. JSON has one kind of number: the API server takes 5.0 for 5 and stores 5.
Count = Annotated[int, Field(ge=0, le=1_000_000_000), BeforeValidator(_as_whole)]


class SecretKey(KubeModel):
    """One key of a Secret in the source's own namespace (for a ClusterMetricsSource: in the
    operator's namespace).
    """

    name: Annotated[str, name("name", "a Secret")]
    """Name of the Secret. Example: prometheus"""
    key: SECRET_KEY
    """Key inside the Secret whose value is used. Example: password"""


class SecretName(KubeModel):
    """A Secret in the source's own namespace (for a ClusterMetricsSource: in the operator's
    namespace).
    """

    name: Annotated[str, name("name", "a Secret")]
    """Name of the Secret. Example: prometheus-client"""


class Condition(KubeModel):
    """One aspect of the object's standing, in the form all Kubernetes tools know."""

    type: str
    """Which aspect. Example: Ready"""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds: True, False or Unknown."""
    reason: str
    """Why, as one stable word; docs list them all. Example: BudgetHealthy"""
    message: str
    """Why, as one sentence."""
    last_transition_time: str = Field(json_schema_extra={"format": "date-time"})
    """When status changed last."""
    observed_generation: int | None = Field(default=None, ge=0)
    """The metadata.generation that this was judged of."""


CONDITIONS = Field(
    default=None,
    json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
)
TIME = Field(default=None, json_schema_extra={"format": "date-time"})
ATOMIC: JsonDict = {"x-kubernetes-list-type": "atomic"}


def map_by(*keys: str) -> JsonDict:
    """Schema extension of a list that server-side apply merges by these keys."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [*keys]}

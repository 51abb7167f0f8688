"""What the feed watches besides Penstock's own objects, and which workload each change concerns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from penstock.domain.refs import ApiResource, WorkloadRef

Body = Mapping[str, Any]


class Watch(Protocol):
    """One kind to watch."""

    @property
    def resource(self) -> ApiResource:
        """The kind."""

    @property
    def tool(self) -> str:
        """The tool whose objects these are, if they manage the workload that they concern.

        Empty for a workload itself, and for what only belongs to it.
        """

    def workload_of(self, body: Body) -> WorkloadRef | None:
        """The workload that a change of one of its objects concerns; None if it concerns none.

        The workload is in the object's own namespace.
        """


@dataclass(frozen=True, slots=True)
class WatchItself:
    """Watch a workload kind: a change of an object concerns that object."""

    resource: ApiResource
    tool: str = ""

    def workload_of(self, body: Body) -> WorkloadRef | None:
        """The object itself."""
        return self.resource.named(body["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class WatchManager:
    """Watch a kind of another tool, whose objects refer to a workload by ``spec.<field>``."""

    resource: ApiResource
    tool: str
    field: str

    def workload_of(self, body: Body) -> WorkloadRef | None:
        """The workload that the object refers to."""
        ref = (body.get("spec") or {}).get(self.field) or {}
        if not (ref.get("kind") and ref.get("name")):
            return None
        return WorkloadRef(str(ref.get("apiVersion") or "apps/v1"), ref["kind"], ref["name"])

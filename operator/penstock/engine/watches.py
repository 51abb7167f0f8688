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

    def workload_of(self, body: Body) -> WorkloadRef | None:
        """The workload that a change of one of its objects concerns; None if it concerns none.

        The workload is in the object's own namespace.
        """


@dataclass(frozen=True, slots=True)
class WatchItself:
    """Watch a workload kind: a change of an object concerns that object."""

    resource: ApiResource

    def workload_of(self, body: Body) -> WorkloadRef | None:
        """The object itself."""
        return self.resource.named(body["metadata"]["name"])

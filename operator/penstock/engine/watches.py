"""What the feed watches besides Penstock's own objects, and which workload each change concerns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.domain.refs import ApiResource, WorkloadRef

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Watch:
    """One kind to watch.

    Attributes:
        resource: the kind.
        workload_of: the workload that a change of one of its objects concerns, in the object's own
            namespace; None if it concerns none.
    """

    resource: ApiResource
    workload_of: Callable[[Body], WorkloadRef | None]


def watch_itself(resource: ApiResource) -> Watch:
    """Watch a workload kind: a change of an object concerns that object."""
    return Watch(resource, lambda body: resource.named(body["metadata"]["name"]))

"""Index of the workloads that objects of other tools point at, and so manage.

Neither Flagger nor Argo Rollouts writes a label, an annotation or an owner reference to the
Deployment that its own object refers to. So these objects are watched, and indexed by the workload
that they refer to. Only the Informer writes this index.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from penstock.domain.refs import ApiResource, WorkloadRef
from penstock.domain.workload import WorkloadState

Place = tuple[str, WorkloadRef]
_Workload = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True, order=True)
class ManagerRef:
    """One object of another tool."""

    tool: str
    resource: ApiResource
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.name} of {self.tool}"


class ManagerIndex:
    """The workload that each of these objects refers to, and the reverse."""

    def __init__(self) -> None:
        self._targets: dict[ManagerRef, WorkloadRef] = {}
        self._managers: dict[_Workload, set[ManagerRef]] = defaultdict(set)

    def put(self, manager: ManagerRef, target: WorkloadRef | None) -> list[Place]:
        """Store what an object refers to; None: nothing, or the object is gone.

        Returns:
            The workloads for which something changed, with their namespaces.
        """
        former = self._targets.pop(manager, None)
        if former is not None:
            managers = self._managers[former.identity(manager.namespace)]
            managers.discard(manager)
            if not managers:
                del self._managers[former.identity(manager.namespace)]
        if target is not None:
            self._targets[manager] = target
            self._managers[target.identity(manager.namespace)].add(manager)
        if former == target:
            return []
        return [(manager.namespace, one) for one in (former, target) if one is not None]

    def replace(
        self, resource: ApiResource, listed: Mapping[ManagerRef, WorkloadRef]
    ) -> list[Place]:
        """Merge a complete list of one kind; returns the workloads that changed, like ``put``."""
        gone = [one for one in self._targets if one.resource == resource and one not in listed]
        changed = [place for one in gone for place in self.put(one, None)]
        return changed + [place for one in listed for place in self.put(one, listed[one])]

    def manager_of(self, namespace: str, workload: WorkloadRef) -> ManagerRef | None:
        """The object that manages a workload; None if none is known."""
        return min(self._managers.get(workload.identity(namespace), ()), default=None)


def with_manager(workload: WorkloadState, manager: ManagerRef | None) -> WorkloadState:
    """The observed workload, marked as not holdable if another tool manages it."""
    if manager is None or not workload.exists or workload.unsupported_reason is not None:
        return workload
    return replace(
        workload, unsupported_reason=f"is managed by {manager}; point the Rollout at that instead"
    )

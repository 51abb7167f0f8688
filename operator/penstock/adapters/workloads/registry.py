"""All kinds of workload: passes each reference to the adapter of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penstock.adapters.discovery import Discovery
from penstock.adapters.kube_client import KubeClient
from penstock.adapters.workloads.adapter import AdapterFactory, WorkloadAdapter
from penstock.adapters.workloads.deployment import DeploymentAdapter
from penstock.adapters.workloads.managed_by import ManagerLister
from penstock.domain.refs import ApiResource, WorkloadRef
from penstock.domain.workload import Phase, WorkloadState
from penstock.engine.manager_index import ManagerRef
from penstock.engine.ports import HoldRef, HoldResult
from penstock.engine.watches import Watch
from penstock.errors import KindNotServed

ADAPTERS: Sequence[AdapterFactory] = (DeploymentAdapter,)


class WorkloadRegistry:
    """Implements ``engine.ports.Workloads`` with one adapter for each kind."""

    def __init__(
        self, adapters: Sequence[WorkloadAdapter], discovery: Discovery, managers: ManagerLister
    ) -> None:
        self._adapters, self._discovery, self._managers = adapters, discovery, managers

    @classmethod
    def of(
        cls,
        kube: KubeClient,
        namespaces: Sequence[str] = (),
        factories: Sequence[AdapterFactory] = ADAPTERS,
    ) -> WorkloadRegistry:
        """Adapters for one API server; no ``namespaces`` mean all."""
        discovery = Discovery(kube)
        adapters = [make(kube, namespaces) for make in factories]
        return cls(adapters, discovery, ManagerLister(kube, namespaces, discovery))

    @property
    def watches(self) -> Sequence[Watch]:
        """What to watch for all kinds, each once."""
        found = {watch.resource: watch for one in self._adapters for watch in one.watches}
        return tuple(found.values())

    async def observe(self, namespace: str, ref: WorkloadRef, manager: str) -> WorkloadState:
        """The workload now; for a kind without an adapter, that it cannot be held."""
        adapter = self._find(ref)
        if adapter is None:
            kinds = ", ".join(str(one.resource) for one in self._adapters)
            reason = f"is not supported: this version supports only {kinds}"
            return WorkloadState(namespace, ref, "", Phase.UNSUPPORTED, unsupported_reason=reason)
        try:
            return await adapter.observe(namespace, ref, manager)
        except KindNotServed:
            # A server that has just started may answer this too: discovery is reliable.
            if await self._discovery.served([adapter.resource]):
                raise
            return WorkloadState(namespace, ref, "", Phase.MISSING)

    async def hold(self, workload: WorkloadState, manager: str, *, keep: bool) -> HoldResult:
        """Hold exactly the object that was observed."""
        return await self._get(workload.ref).hold(workload, manager, keep=keep)

    async def release(self, hold_ref: HoldRef) -> HoldResult:
        """Release one hold."""
        return await self._get(hold_ref.ref).release(hold_ref)

    async def held(self) -> Sequence[HoldRef]:
        """Every hold of Penstock, on any kind that the cluster has."""
        resources = [adapter.resource for adapter in self._adapters]
        served = await self._discovery.served(resources)
        return [
            hold_ref
            for adapter in self._adapters
            if adapter.resource in served
            for hold_ref in await adapter.list_held()
        ]

    async def list_managers(self) -> Mapping[ApiResource, Mapping[ManagerRef, WorkloadRef]]:
        """Objects of other tools that manage workloads, by kind."""
        return await self._managers.list([watch for watch in self.watches if watch.tool])

    def _find(self, ref: WorkloadRef) -> WorkloadAdapter | None:
        return next((one for one in self._adapters if one.resource.is_kind_of(ref)), None)

    def _get(self, ref: WorkloadRef) -> WorkloadAdapter:
        adapter = self._find(ref)
        if adapter is None:
            raise LookupError(f"no adapter for {ref} of {ref.api_version}")
        return adapter

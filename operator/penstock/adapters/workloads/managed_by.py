"""Lists the objects of other tools that manage workloads, to find what a watch has missed.

A cluster without such a kind lists none. If a discovery or list fails, is forbidden or hangs, the
index keeps what the watch has reported: no gate waits for another tool's kind, and no kind for
another.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from penstock.adapters.discovery import Discovery
from penstock.adapters.kube_client import KubeClient, paths_of
from penstock.domain.refs import ApiResource, WorkloadRef
from penstock.engine.manager_index import ManagerRef
from penstock.engine.watches import Body, Watch
from penstock.errors import ClusterError, KindNotServed

log = logging.getLogger(__name__)

LONGEST_SECONDS = 5.0

Managers = Mapping[ManagerRef, WorkloadRef]


class ManagerLister:
    """Lists them, one kind after another."""

    def __init__(self, kube: KubeClient, namespaces: Sequence[str], discovery: Discovery) -> None:
        self._kube, self._namespaces, self._discovery = kube, namespaces, discovery
        self._troubles: dict[ApiResource, str] = {}

    async def list(self, watches: Sequence[Watch]) -> Mapping[ApiResource, Managers]:
        """By kind; one that could not be listed is left out, one that is not served is empty."""
        found: dict[ApiResource, Managers] = {}
        for watch in watches:
            listed = await self._bounded(watch)
            if listed is not None:
                found[watch.resource] = listed
        return found

    async def _bounded(self, watch: Watch) -> Managers | None:
        trouble, listed = "", None
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                listed = await self._objects(watch)
        except KindNotServed:
            listed = {}
        except ClusterError as error:
            trouble = str(error)
        except TimeoutError:
            trouble = f"no answer within {LONGEST_SECONDS:.0f} s"
        if trouble != self._troubles.get(watch.resource, ""):
            self._troubles[watch.resource] = trouble
            log.warning("which workloads %s manages: %s", watch.tool, trouble or "known again")
        return listed

    async def _objects(self, watch: Watch) -> Managers:
        if watch.resource not in await self._discovery.served([watch.resource]):
            return {}
        return {
            _manager(watch, body): target
            for path in paths_of(watch.resource, self._namespaces)
            async for body in self._kube.pages(path)
            if (target := watch.workload_of(body)) is not None
        }


def _manager(watch: Watch, body: Body) -> ManagerRef:
    metadata = body["metadata"]
    return ManagerRef(watch.tool, watch.resource, metadata["namespace"], metadata["name"])

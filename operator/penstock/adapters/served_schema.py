"""Waits until the cluster's CRDs have every field that this version writes.

It reads the OpenAPI document of Penstock's group, which every authenticated user may read
(system:discovery), so it needs no permission on CRDs.
"""

from __future__ import annotations

import asyncio
import logging

from penstock.adapters.kube_client import KubeClient
from penstock.api.served import DOCUMENT, problem
from penstock.errors import ClusterError, Forbidden, InvalidRequest, KindNotServed, NotFound

log = logging.getLogger(__name__)

RECHECK_SECONDS = 3.0


class ServedSchema:
    """Compares repeatedly until nothing is missing."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self.problem = "the cluster's CRDs have not been compared with this version yet"

    async def wait(self) -> None:
        """Return once the CRDs have all fields that this version writes."""
        while found := await self._compare():
            if found != self.problem:
                log.error("waiting, and writing nothing: %s", found)
            self.problem = found
            await asyncio.sleep(RECHECK_SECONDS)
        self.problem = ""

    async def _compare(self) -> str:
        try:
            return problem(await self._kube.get(DOCUMENT))
        except (KindNotServed, NotFound):
            return problem(None)
        except (Forbidden, InvalidRequest) as error:
            # Gates must be decided without this permission too; a failed write says what it lacks.
            log.warning("the cluster's CRDs cannot be compared with this version: %s", error)
            return ""
        except ClusterError as error:
            return f"the cluster's CRDs cannot be compared with this version: {error}"

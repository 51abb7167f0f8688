"""Which kinds the API server serves, read from its discovery documents.

Every authenticated user may read them. So a kind that is installed or removed later is found
without a permission on CustomResourceDefinitions.
"""

from __future__ import annotations

from collections.abc import Collection

from penstock.adapters.kube_client import KubeClient, path_segment
from penstock.domain.refs import ApiResource
from penstock.errors import KindNotServed


class Discovery:
    """Implements ``engine.ports.Discovery``."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    async def served(self, resources: Collection[ApiResource]) -> frozenset[ApiResource]:
        """Which of these kinds are served now. Those of Kubernetes itself always are.

        Raises:
            ClusterError: the server did not say.
        """
        optional = [one for one in resources if not one.is_built_in]
        found = {one for one in resources if one.is_built_in}
        if optional:
            groups = (await self._kube.get("/apis")).get("groups") or ()
            present = {
                version["groupVersion"] for one in groups for version in one.get("versions") or ()
            }
            for api_version in sorted({one.api_version for one in optional} & present):
                plurals = await self._plurals(api_version)
                found |= {
                    one
                    for one in optional
                    if one.api_version == api_version and one.plural in plurals
                }
        return frozenset(found)

    async def _plurals(self, api_version: str) -> set[str]:
        group, _, version = api_version.partition("/")
        try:
            document = await self._kube.get(f"/apis/{path_segment(group)}/{path_segment(version)}")
        except KindNotServed:  # removed since the groups were read
            return set()
        return {str(one["name"]) for one in document.get("resources") or ()}

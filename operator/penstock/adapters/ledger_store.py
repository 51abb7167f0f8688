"""Snapshots of ledgers in ConfigMaps of the operator's own namespace, 150 ledgers in each.

A cache: what is missing or damaged is backfilled from the metrics source.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Mapping

from penstock.adapters.custom_resources import MANAGER
from penstock.adapters.kube_client import Body, KubeClient
from penstock.errors import NotFound

log = logging.getLogger(__name__)

MOST_TOGETHER = 150
# Of the MiB that an object may have, as base64: a few large ledgers may fill one.
MOST_BYTES = 700_000
MOST_SHARDS = 100


class NoStore:
    """Outside a cluster the operator has no namespace: ledgers end with the process."""

    async def load(self) -> Mapping[str, bytes]:
        """Nothing."""
        return {}

    async def save(self, kept: Mapping[str, bytes]) -> None:
        """Nowhere."""


class LedgerStore:
    """Implements ``engine.ports.Snapshots``."""

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        self._kube, self._root = kube, f"/api/v1/namespaces/{namespace}/configmaps"
        self._written: dict[int, dict[str, bytes]] = {}

    async def load(self) -> Mapping[str, bytes]:
        """Load all shards, up to the first that does not exist."""
        found: dict[str, bytes] = {}
        for shard in range(MOST_SHARDS):
            try:
                body = await self._kube.get(f"{self._root}/{_name(shard)}")
            except NotFound:
                break
            self._written[shard] = _contents(body)
            found |= self._written[shard]
        return found

    async def save(self, kept: Mapping[str, bytes]) -> None:
        """Write the shards that have changed; one that is no longer needed is emptied."""
        shards = _sharded(kept)
        for shard in range(max(len(shards), len(self._written))):
            contents = shards[shard] if shard < len(shards) else {}
            if self._written.get(shard) != contents:
                await self._write(shard, contents)

    async def _write(self, shard: int, contents: dict[str, bytes]) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": _name(shard),
                "labels": {"app.kubernetes.io/managed-by": "penstock"},
            },
            "binaryData": {
                digest: base64.b64encode(data).decode() for digest, data in contents.items()
            },
        }
        await self._kube.apply(f"{self._root}/{_name(shard)}", body, MANAGER, force=True)
        self._written[shard] = contents


def _name(shard: int) -> str:
    return f"penstock-ledger-{shard}"


def _contents(body: Body) -> dict[str, bytes]:
    found = {}
    for digest, text in (body.get("binaryData") or {}).items():
        try:
            found[str(digest)] = base64.b64decode(str(text), validate=True)
        except binascii.Error:
            log.warning("the snapshot of ledger %s is damaged; it is read again", digest)
    return found


def _sharded(kept: Mapping[str, bytes]) -> list[dict[str, bytes]]:
    """By name, so that a ledger stays in its shard while no other comes or goes."""
    shards: list[dict[str, bytes]] = []
    room = 0
    for digest, data in sorted(kept.items()):
        if not shards or len(shards[-1]) == MOST_TOGETHER or len(data) > room:
            shards.append({})
            room = MOST_BYTES
        shards[-1][digest] = data
        room -= len(data)
    return shards

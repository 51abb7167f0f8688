"""Snapshots of ledgers in ConfigMaps of the operator's own namespace, 150 ledgers in each.

A cache: what is missing or damaged is read again from the metrics source.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Mapping

from penstock.adapters.api_server import ApiServer, Body
from penstock.adapters.cluster import MANAGER
from penstock.errors import Gone

log = logging.getLogger(__name__)

MOST_TOGETHER = 150
# Of the MiB that an object may have, as base64: a few large ledgers fill one before 150 do.
MOST_BYTES = 700_000
MOST_SHELVES = 100


class NoStore:
    """Outside a cluster the operator has no namespace: ledgers end with the process."""

    async def load(self) -> Mapping[str, bytes]:
        """Nothing."""
        return {}

    async def save(self, kept: Mapping[str, bytes]) -> None:
        """Nowhere."""


class LedgerStore:
    """Implements ``engine.ports.Snapshots``."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self._server, self._root = server, f"/api/v1/namespaces/{namespace}/configmaps"
        self._written: dict[int, dict[str, bytes]] = {}

    async def load(self) -> Mapping[str, bytes]:
        """All shelves up to the first that there is not."""
        found: dict[str, bytes] = {}
        for shelf in range(MOST_SHELVES):
            try:
                body = await self._server.get(f"{self._root}/{_name(shelf)}")
            except Gone:
                break
            self._written[shelf] = _contents(body)
            found |= self._written[shelf]
        return found

    async def save(self, kept: Mapping[str, bytes]) -> None:
        """Write the shelves that have changed; one that is not needed any more is emptied."""
        shelves = _shelved(kept)
        for shelf in range(max(len(shelves), len(self._written))):
            contents = shelves[shelf] if shelf < len(shelves) else {}
            if self._written.get(shelf) != contents:
                await self._write(shelf, contents)

    async def _write(self, shelf: int, contents: dict[str, bytes]) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": _name(shelf),
                "labels": {"app.kubernetes.io/managed-by": "penstock"},
            },
            "binaryData": {
                digest: base64.b64encode(data).decode() for digest, data in contents.items()
            },
        }
        await self._server.apply(f"{self._root}/{_name(shelf)}", body, MANAGER, force=True)
        self._written[shelf] = contents


def _name(shelf: int) -> str:
    return f"penstock-ledger-{shelf}"


def _contents(body: Body) -> dict[str, bytes]:
    found = {}
    for digest, text in (body.get("binaryData") or {}).items():
        try:
            found[str(digest)] = base64.b64decode(str(text), validate=True)
        except binascii.Error:
            log.warning("the snapshot of ledger %s is damaged; it is read again", digest)
    return found


def _shelved(kept: Mapping[str, bytes]) -> list[dict[str, bytes]]:
    """By name, so that a ledger stays on its shelf while no other comes or goes."""
    shelves: list[dict[str, bytes]] = []
    room = 0
    for digest, data in sorted(kept.items()):
        if not shelves or len(shelves[-1]) == MOST_TOGETHER or len(data) > room:
            shelves.append({})
            room = MOST_BYTES
        shelves[-1][digest] = data
        room -= len(data)
    return shelves

"""Writes to our own objects that come late change nothing.

A request whose answer was lost may still be under way, and arrive after a newer decision was
written. So each write names the version that it was made on: the API server refuses it once
anything else has been written. A version that is not known, because an answer was lost or somebody
else has written, is asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from penstock.adapters.api_server import ApiServer, Body
from penstock.errors import Conflict, Gone

Send = Callable[[str], Awaitable[Body]]


class Latest:
    """The version of each object of ours as we know it, by the plural of its kind and its path."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._known: dict[str, dict[str, str]] = {}

    def learn(self, plural: str, versions: Mapping[str, str]) -> None:
        """What a fresh list shows, by path; what it does not show is forgotten."""
        self._known[plural] = dict(versions)

    async def write(self, plural: str, path: str, send: Send) -> None:
        """Have ``send`` write upon the version that it is given, empty where there is no object.

        Raises:
            Conflict: others wrote twice meanwhile.
            ClusterError: and its kin, as ``send`` does.
        """
        known = self._known.setdefault(plural, {})
        version = known.pop(path, "") or await self._now(path)
        try:
            answer = await send(version)
        except Conflict:
            answer = await send(await self._now(path))
        known[path] = version_of(answer)

    async def _now(self, path: str) -> str:
        try:
            return version_of(await self._server.get(path))
        except Gone:
            return ""


def version_of(body: Body) -> str:
    """What the API server calls this state of the object; empty where an answer lacks it."""
    return str((body.get("metadata") or {}).get("resourceVersion") or "")

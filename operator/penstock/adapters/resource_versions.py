"""Makes late writes to our own objects have no effect.

A request whose answer was lost may still be in progress, and arrive after a newer decision was
written. So each write names the version that it is based on: the API server refuses it once
anything else was written. If the version is not known, because an answer was lost or somebody else
wrote, it is read first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from penstock.adapters.kube_client import Body, KubeClient
from penstock.errors import Conflict, NotFound

Send = Callable[[str], Awaitable[Body]]
SendEdited = Callable[[Body], Awaitable[Body]]


class Known(NamedTuple):
    """One state of an object: its version, and the uid of the object."""

    version: str
    uid: str


class VersionedWriter:
    """The last known version of each of Penstock's objects, by plural and path."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._known: dict[str, dict[str, Known]] = {}

    def learn(self, plural: str, bodies: Mapping[str, Body]) -> None:
        """Store what a fresh list shows, by path; forget what it does not show."""
        self._known[plural] = {path: _known(body) for path, body in bodies.items()}

    async def write(self, plural: str, path: str, send: Send, uid: str = "") -> None:
        """Have ``send`` write, with the current version; the version is empty for a new object.

        With a ``uid`` only that very object is written to: the API server does not compare the uid
        of a status with the object's, so the version named is always one of this uid.

        Raises:
            Conflict: others wrote twice meanwhile.
            NotFound: the object has another uid by now.
            ClusterError: or a subclass, as ``send`` raises it.
        """
        known = self._known.setdefault(plural, {})
        found = known.pop(path, None)
        is_its_own = found is not None and uid in ("", found.uid)
        version = found.version if found and is_its_own else ""
        version = version or version_of(await self._read(path, uid))
        try:
            answer = await send(version)
        except Conflict:
            answer = await send(version_of(await self._read(path, uid)))
        known[path] = _known(answer)

    async def edit(self, plural: str, path: str, send: SendEdited, uid: str) -> None:
        """Have ``send`` write upon the object as it is now, of which it keeps a part.

        Raises:
            Conflict: others wrote twice meanwhile.
            NotFound: the object has another uid by now, or is gone.
            ClusterError: and its kin, as ``send`` does.
        """
        known = self._known.setdefault(plural, {})
        known.pop(path, None)
        try:
            answer = await send(await self._read(path, uid))
        except Conflict:
            answer = await send(await self._read(path, uid))
        known[path] = _known(answer)

    async def _read(self, path: str, uid: str) -> Body:
        """The object as it is now, if it has this uid; empty where there is none."""
        try:
            body = await self._kube.get(path)
        except NotFound:
            return {}
        if uid not in ("", _known(body).uid):
            raise NotFound(f"{path}: it was deleted, and another one was created under its name")
        return body


def _known(body: Body) -> Known:
    return Known(version_of(body), str((body.get("metadata") or {}).get("uid") or ""))


def version_of(body: Body) -> str:
    """The resourceVersion of this state of the object; empty if an answer lacks it."""
    return str((body.get("metadata") or {}).get("resourceVersion") or "")

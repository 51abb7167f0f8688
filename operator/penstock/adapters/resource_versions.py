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
    """One state of an object: its version, and the uid of the object that it is a state of.

    Of an object that Penstock owns on behalf of another one it is the owner's uid.
    """

    version: str
    uid: str


class VersionedWriter:
    """The last known version of each of Penstock's objects, by plural and path."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._known: dict[str, dict[str, Known]] = {}

    def learn(self, plural: str, bodies: Mapping[str, Body], *, owned: bool = False) -> None:
        """Store what a fresh list shows, by path; forget what it does not show.

        ``owned``: objects of this kind are written with an ``owner``.
        """
        uid_of = _owner_uid if owned else _uid
        self._known[plural] = {
            path: Known(version_of(body), uid_of(body)) for path, body in bodies.items()
        }

    async def write(self, plural: str, path: str, send: Send, uid: str, owner: str = "") -> None:
        """Have ``send`` write, with the current version; the version is empty for a new object.

        Only the object of this ``uid`` is written to, because the API server does not compare the
        uid of a status with the object's. Where ``owner`` is given, the uid is the owner's: what an
        object of another owner left under the name is written over, but only for an owner that
        still exists.

        Args:
            plural: of the kind that is written.
            path: of the object that is written.
            send: writes it, and returns what the API server answers.
            uid: which object it is written to, or whose it is.
            owner: path of the object that owns it; empty for one that nobody owns.

        Raises:
            Conflict: others wrote twice meanwhile.
            NotFound: the object, or its owner, is gone or has another uid by now.
            ClusterError: or a subclass, as ``send`` raises it.
        """
        known = self._known.setdefault(plural, {})
        found = known.pop(path, None)
        version = found.version if found is not None and found.uid == uid else ""
        version = version or await self._version(path, uid, owner)
        try:
            answer = await send(version)
        except Conflict:
            answer = await send(await self._version(path, uid, owner))
        known[path] = Known(version_of(answer), uid)

    async def edit(self, plural: str, path: str, send: SendEdited, uid: str) -> None:
        """Have ``send`` write upon the object as it is now, of which it keeps a part.

        Raises:
            Conflict: others wrote twice meanwhile.
            NotFound: the object is gone or has another uid by now.
            ClusterError: or a subclass, as ``send`` raises it.
        """
        known = self._known.setdefault(plural, {})
        known.pop(path, None)
        try:
            answer = await send(await self._exactly(path, uid))
        except Conflict:
            answer = await send(await self._exactly(path, uid))
        known[path] = Known(version_of(answer), uid)

    async def _version(self, path: str, uid: str, owner: str) -> str:
        if not owner:
            return version_of(await self._exactly(path, uid))
        # Read before its owner: what a later owner writes after that is a conflict.
        body = await self._read(path)
        if _owner_uid(body) != uid:
            await self._exactly(owner, uid)
        return version_of(body)

    async def _exactly(self, path: str, uid: str) -> Body:
        body = await self._read(path)
        if not body:
            raise NotFound(f"{path}: it was deleted")
        if _uid(body) != uid:
            raise NotFound(f"{path}: it was deleted, and another one was created under its name")
        return body

    async def _read(self, path: str) -> Body:
        """The object as it is now; empty where there is none."""
        try:
            return await self._kube.get(path)
        except NotFound:
            return {}


def version_of(body: Body) -> str:
    """The resourceVersion of this state of the object; empty if an answer lacks it."""
    return str((body.get("metadata") or {}).get("resourceVersion") or "")


def _uid(body: Body) -> str:
    return str((body.get("metadata") or {}).get("uid") or "")


def _owner_uid(body: Body) -> str:
    owners = (body.get("metadata") or {}).get("ownerReferences") or ()
    return next((str(owner.get("uid") or "") for owner in owners if owner.get("controller")), "")

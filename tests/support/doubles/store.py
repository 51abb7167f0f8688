"""What our ports see of a cluster: objects of ours with versions, workloads, Events, snapshots.

It outlives every engine that works on it. Nothing in it is Kubernetes: it has what the contract of
``StatusApi``, ``Workloads`` and ``Snapshots`` promises, and tests/contract/ports shows that the
real adapters keep the same contract.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from penstock.api.decode import decode_object
from penstock.api.kinds import API_VERSION, KIND_BY_PLURAL
from penstock.domain.cached_object import CachedObject, Resource
from penstock.engine.ports import Notification
from penstock.errors import Conflict, NotFound
from support.doubles.deployments import Deployment

Body = dict[str, Any]
Key = tuple[str, str, str]
RECORDS = "gaterecords"


class Store:
    """Objects by plural, namespace and name; ``on_change`` is called for each change of one."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._version = 0
        self._bodies: dict[Key, Body] = {}
        self.deployments: dict[tuple[str, str], Deployment] = {}
        self.events: list[Notification] = []
        self.snapshots: dict[str, bytes] = {}
        self.on_change: Callable[[str, str, str], None] = lambda kind, namespace, name: None

    def read(self, kind: str, namespace: str, name: str) -> Body:
        """An object as it is now, not to be changed; empty when it is not there."""
        return self._bodies.get((kind, namespace, name), {})

    def all(self, kind: str) -> list[Body]:
        """All objects of a kind, by namespace and name."""
        found = sorted(key for key in self._bodies if key[0] == kind)
        return [self.read(*key) for key in found]

    def entries(self, resource: str) -> list[CachedObject]:
        """All objects of a kind, parsed; Rollouts with what their GateRecords keep."""
        return [
            decode_object(
                KIND_BY_PLURAL[resource], body, self._bodies.get((RECORDS, *_place(body)))
            )
            for body in self.all(resource)
        ]

    def version(self, kind: str, namespace: str, name: str) -> str:
        """The resourceVersion; empty when there is no such object."""
        body = self._bodies.get((kind, namespace, name))
        return "" if body is None else str(body["metadata"]["resourceVersion"])

    def next_version(self) -> int:
        self._version += 1
        return self._version

    def put(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        spec: Mapping[str, Any],
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """What an author writes: a new object, or a new spec, which counts its generation up."""
        key = (str(resource), namespace, name)
        known = self._bodies.get(key)
        body: Body = copy.deepcopy(known) if known else self._created(resource, namespace, name)
        if known and known["spec"] != spec:
            body["metadata"]["generation"] += 1
        body["spec"] = copy.deepcopy(dict(spec))
        if labels is not None:
            body["metadata"]["labels"] = dict(labels)
        if body != known:
            self._set(key, body)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """The object goes, and the GateRecord that it owns."""
        gone = self._bodies.pop((kind, namespace, name))
        self.on_change(kind, namespace, name)
        record = self._bodies.get((RECORDS, namespace, name))
        if record and record["metadata"]["ownerReferences"][0]["uid"] == gone["metadata"]["uid"]:
            self.delete(RECORDS, namespace, name)

    def falsify(self, kind: str, namespace: str, name: str, part: str, value: object) -> None:
        """Somebody edits what is the operator's."""
        body = {**copy.deepcopy(self.read(kind, namespace, name)), part: value}
        self._set((kind, namespace, name), body)

    def write_status(
        self, resource: Resource, namespace: str, name: str, uid: str, version: str, status: Body
    ) -> None:
        """Replace a status, upon exactly the object and the version that are named.

        Raises:
            NotFound: there is no such object, or its uid is another.
            Conflict: something else was written since that version.
        """
        key = (str(resource), namespace, name)
        body = self._bodies.get(key)
        if body is None or body["metadata"]["uid"] != uid:
            raise NotFound(f"{name} of uid {uid} is not there")
        if body["metadata"]["resourceVersion"] != version:
            raise Conflict(f"{name} is newer than {version}")
        if body.get("status") != status:
            self._set(key, {**copy.deepcopy(body), "status": copy.deepcopy(status)})

    def write_record(self, body: Body, version: str) -> None:
        """Create a GateRecord, where ``version`` is empty, or replace exactly that version.

        Raises:
            Conflict: it is there already, or something else was written since.
        """
        metadata = body["metadata"]
        key = (RECORDS, metadata["namespace"], metadata["name"])
        if self.version(*key) != version:
            raise Conflict(f"{metadata['name']} is not {version or 'new'}")
        known = self._bodies.get(key)
        if known and _without_version(known) == _without_version(body):
            return
        self._set(key, copy.deepcopy(body))

    def _created(self, resource: Resource, namespace: str, name: str) -> Body:
        return {
            "apiVersion": API_VERSION,
            "kind": KIND_BY_PLURAL[resource].kind,
            "metadata": {
                "namespace": namespace,
                "name": name,
                "uid": f"{name}-{self.next_version()}",
                "generation": 1,
                "creationTimestamp": self._now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
        }

    def _set(self, key: Key, body: Body) -> None:
        body["metadata"]["resourceVersion"] = str(self.next_version())
        self._bodies[key] = body
        self.on_change(*key)


def _place(body: Body) -> tuple[str, str]:
    return body["metadata"]["namespace"], body["metadata"]["name"]


def _without_version(body: Body) -> Body:
    metadata = {k: v for k, v in body["metadata"].items() if k != "resourceVersion"}
    return {**body, "metadata": metadata}

"""Our own objects in the API server: parses what it reads, writes statuses and GateRecords."""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from penstock.adapters.kube_client import Body, KubeClient, object_path, path_segment, paths_of
from penstock.adapters.resource_versions import VersionedWriter, version_of
from penstock.api.decode import decode_object
from penstock.api.gate_record import record_labels
from penstock.api.kinds import API_VERSION, KINDS, KindSpec
from penstock.api.status_encoding import encode_gate_record, encode_invalid_status
from penstock.domain.cached_object import CachedObject, Resource
from penstock.domain.refs import ObjectRef
from penstock.domain.rollout_state import GateRecord
from penstock.errors import Forbidden, SpecInvalid

log = logging.getLogger(__name__)

MANAGER = "penstock"
GATE_RECORDS = "gaterecords"


class CustomResources:
    """Implements ``engine.ports.StatusApi``.

    Limited to ``namespaces``, it works without ClusterMetricsSources until somebody grants the
    permission to list them. After that, a refusal is a failure like any other: no source may seem
    deleted because a permission was.
    """

    def __init__(
        self,
        kube: KubeClient,
        namespaces: Sequence[str] = (),
        kinds: Sequence[KindSpec] = KINDS,
    ) -> None:
        self._kube, self._namespaces = kube, namespaces
        self._kinds = {kind.plural: kind for kind in kinds}
        self._writer = VersionedWriter(kube)
        self._may_do_without = bool(namespaces)
        self.readable: frozenset[str] = frozenset(
            kind.plural for kind in kinds if kind.parse is not None
        )
        """The kinds that the last lists could read."""

    async def list(self, resource: str) -> Sequence[CachedObject]:
        """All objects of a kind; Rollouts with the template bodies from their GateRecords."""
        kind = self._kinds[resource]
        companions: dict[tuple[str, str], Body] = {}
        if kind.companion:
            companions = await self._bodies(self._kinds[kind.companion])
            self._learn(kind.companion, companions, owned=True)
        bodies: dict[tuple[str, str], Body] = {}
        try:
            bodies = await self._bodies(kind)
        except Forbidden as error:
            self._do_without(resource, error)
        else:
            self._found_readable(resource)
        self._learn(resource, bodies)
        return [decode_object(kind, body, companions.get(key)) for key, body in bodies.items()]

    async def _bodies(self, kind: KindSpec) -> dict[tuple[str, str], Body]:
        return {
            (body["metadata"].get("namespace", ""), body["metadata"]["name"]): body
            for path in paths_of(kind.resource, self._namespaces)
            async for body in self._kube.pages(path)
        }

    def _learn(
        self, plural: str, bodies: Mapping[tuple[str, str], Body], *, owned: bool = False
    ) -> None:
        resource = self._kinds[plural].resource
        by_path = {object_path(resource, *key): body for key, body in bodies.items()}
        self._writer.learn(plural, by_path, owned=owned)

    async def write_status(self, resource: str, ref: ObjectRef, status: object) -> None:
        """Apply an object's whole status."""
        kind = self._kinds[resource]
        encoded = kind.encode_status(status)

        async def send(version: str) -> Body:
            return await self._apply_status(kind, ref, encoded, version)

        path = object_path(kind.resource, ref.namespace, ref.name)
        await self._writer.write(kind.plural, path, send, ref.uid)

    async def write_invalid(
        self, resource: str, obj: CachedObject, problem: SpecInvalid, now: datetime
    ) -> None:
        """Write into the status which field is wrong and what to write instead.

        What the status keeps is applied as it was just read: an apply prunes what it leaves out.
        """
        kind, ref = self._kinds[resource], obj.ref

        async def send(body: Body) -> Body:
            present = body.get("status") or {}
            status = encode_invalid_status(problem, obj.generation, now, present, keep=kind.resumes)
            return await self._apply_status(kind, ref, status, version_of(body))

        path = object_path(kind.resource, ref.namespace, ref.name)
        await self._writer.edit(kind.plural, path, send, ref.uid)

    async def write_record(self, ref: ObjectRef, record: GateRecord) -> None:
        """Write the GateRecord of one Rollout; garbage collection removes it with its owner.

        It is replaced as a whole, because only a plain creation is refused if the record exists
        already: a late apply would undo what was written since. For a Rollout that is gone neither
        is done, because its name may belong to another one by now.
        """
        owner = {
            "apiVersion": API_VERSION,
            "kind": "Rollout",
            "name": ref.name,
            "uid": ref.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }
        data = encode_gate_record(record)
        body: Body = {
            "apiVersion": API_VERSION,
            "kind": "GateRecord",
            "metadata": {
                "name": ref.name,
                "namespace": ref.namespace,
                "labels": record_labels(data),
                "ownerReferences": [owner],
            },
            "data": data,
        }
        path, rollout = (
            object_path(self._kinds[plural].resource, ref.namespace, ref.name)
            for plural in (GATE_RECORDS, Resource.ROLLOUT)
        )

        async def send(version: str) -> Body:
            if not version:
                return await self._kube.create(path.rpartition("/")[0], body)
            metadata = {**body["metadata"], "resourceVersion": version}
            return await self._kube.replace(path, {**body, "metadata": metadata})

        await self._writer.write(GATE_RECORDS, path, send, ref.uid, rollout)

    async def secret(self, namespace: str, name: str) -> dict[str, bytes]:
        """The data of one Secret, by key. It is read by name, and never listed or watched."""
        path = f"/api/v1/namespaces/{path_segment(namespace)}/secrets/{path_segment(name)}"
        data = (await self._kube.get(path)).get("data") or {}
        return {str(key): _decoded(value) for key, value in data.items()}

    async def _apply_status(
        self, kind: KindSpec, ref: ObjectRef, status: Mapping[str, Any], version: str
    ) -> Body:
        """Write only to the object with exactly this uid, never to a namesake created meanwhile."""
        named = {"namespace": ref.namespace, "resourceVersion": version}
        metadata = {key: value for key, value in named.items() if value}
        body = {
            "apiVersion": API_VERSION,
            "kind": kind.kind,
            "metadata": {"name": ref.name, "uid": ref.uid, **metadata},
            "status": dict(status),
        }
        path = object_path(kind.resource, ref.namespace, ref.name)
        return await self._kube.apply(f"{path}/status", body, MANAGER, force=True)

    def _do_without(self, resource: str, error: Forbidden) -> None:
        if resource != Resource.CLUSTER_METRICS_SOURCE or not self._may_do_without:
            raise error
        if resource in self.readable:
            log.warning("not using ClusterMetricsSources, they cannot be listed: %s", error)
        self.readable -= {resource}

    def _found_readable(self, resource: str) -> None:
        self.readable |= {resource}
        if resource == Resource.CLUSTER_METRICS_SOURCE:
            self._may_do_without = False


def _decoded(value: object) -> bytes:
    try:
        return base64.b64decode(str(value), validate=True)
    except binascii.Error:
        return b""

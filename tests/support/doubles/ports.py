"""Doubles of the ports that write: one set for each engine, all upon the same store.

A write of a status or a record names the version that it was made on, as the adapters' do: one that
arrives after something newer was written changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from penstock.api.gate_record import record_labels
from penstock.api.kinds import API_VERSION, KIND_BY_PLURAL
from penstock.api.status_encoding import (
    encode_gate_record,
    encode_invalid_status,
)
from penstock.domain.cached_object import CachedObject, Resource
from penstock.domain.refs import ApiResource, ObjectRef, WorkloadRef
from penstock.domain.rollout_state import GateRecord
from penstock.domain.workload import Phase, WorkloadState
from penstock.engine.manager_index import ManagerRef
from penstock.engine.ports import HoldOutcome, HoldRef, HoldResult, Notification
from penstock.errors import ClusterError, Conflict, Forbidden, InvalidRequest, NotFound, SpecInvalid
from support.doubles.connection import Call, Connection
from support.doubles.deployments import KIND, PREFIX, Deployment
from support.doubles.store import RECORDS, Store
from testbed.recorder import Write

Body = dict[str, Any]
Key = tuple[str, str, str]
RELEASE_TRIES = 3


# What a story calls the write of each kind's status.
_METHODS = {
    "slos": "write_slo",
    "rollouts": "write_rollout",
    "metricssources": "write_source",
    "clustermetricssources": "write_source",
}


class StoredObjects:
    """Implements ``engine.ports.StatusApi``."""

    def __init__(self, store: Store, connection: Connection) -> None:
        self._store, self._connection = store, connection
        # What each object's version was last known to be, and for which uid.
        self._known: dict[Key, tuple[str, str]] = {}

    async def list(self, resource: str) -> Sequence[CachedObject]:
        """All objects of a kind."""

        def read() -> Sequence[CachedObject]:
            kinds = {str(resource)} | ({RECORDS} if resource == Resource.ROLLOUT else set())
            for key in [key for key in self._known if key[0] in kinds]:
                del self._known[key]
            return self._store.entries(resource)

        return await self._connection.call(Call("list", name=str(resource)), read)

    async def write_status(self, resource: str, ref: ObjectRef, status: object) -> None:
        """Replace an object's status."""
        body = KIND_BY_PLURAL[resource].encode_status(status)
        await self._status(_METHODS[resource], resource, ref, body)

    async def write_invalid(
        self, resource: str, entry: CachedObject, problem: SpecInvalid, now: datetime
    ) -> None:
        """Say on an object which field is wrong, upon its status as it is now."""
        ref, keep = entry.ref, KIND_BY_PLURAL[resource].resumes
        key = (str(resource), ref.namespace, ref.name)

        async def edit() -> None:
            present = self._store.read(*key).get("status") or {}
            status = encode_invalid_status(problem, entry.generation, now, present, keep=keep)
            await self._status("write_invalid", resource, ref, status, retries=False)

        self._known.pop(key, None)
        try:
            await edit()
        except Conflict:
            await edit()

    async def write_record(self, ref: ObjectRef, record: GateRecord) -> None:
        """Create or replace the GateRecord of one Rollout."""
        data = encode_gate_record(record)
        body: Body = {
            "apiVersion": API_VERSION,
            "kind": "GateRecord",
            "metadata": {
                "name": ref.name,
                "namespace": ref.namespace,
                "labels": record_labels(data),
                "ownerReferences": [{"kind": "Rollout", "name": ref.name, "uid": ref.uid}],
            },
            "data": data,
        }
        key = (RECORDS, ref.namespace, ref.name)
        await self._write(
            "write_record",
            key,
            ref.uid,
            body,
            lambda now: self._store.write_record(body, now),
            present=lambda: self._record_version(ref),
        )

    def _record_version(self, ref: ObjectRef) -> str:
        """Of the record that may be written over: its own, or any while its Rollout is there."""
        place = (ref.namespace, ref.name)
        metadata = self._store.read(RECORDS, *place).get("metadata", {})
        owner = metadata["ownerReferences"][0]["uid"] if metadata else ""
        rollout = self._store.read(str(Resource.ROLLOUT), *place).get("metadata", {})
        if ref.uid not in (owner, rollout.get("uid")):
            raise NotFound(f"{ref.name} of uid {ref.uid} is not there")
        return self._store.version(RECORDS, *place)

    async def notify(self, notification: Notification) -> None:
        """Post one Event: implements ``engine.ports.Notifier``."""
        ref = notification.ref
        body = {"reason": notification.reason, "message": notification.message, "metadata": {}}
        written = _write("create", "events", "", ref.namespace, ref.name, "penstock", body)
        call = Call("tell", ref.namespace, ref.name, "events", written)
        await self._connection.call(call, lambda: self._store.events.append(notification))

    async def _status(
        self,
        method: str,
        resource: str,
        ref: ObjectRef,
        status: Mapping[str, Any],
        *,
        retries: bool = True,
    ) -> None:
        key = (str(resource), ref.namespace, ref.name)
        body = {"metadata": {"name": ref.name, "uid": ref.uid}, "status": dict(status)}

        def write(version: str) -> None:
            place = (ref.namespace, ref.name)
            self._store.write_status(resource, *place, ref.uid, version, dict(status))

        await self._write(method, key, ref.uid, body, write, retries=retries)

    async def _write(
        self,
        method: str,
        key: Key,
        uid: str,
        body: Body,
        write: Callable[[str], None],
        *,
        present: Callable[[], str] | None = None,
        retries: bool = True,
    ) -> None:
        kind, namespace, name = key
        subresource = "" if kind == RECORDS else "status"
        written = _write("patch", kind, subresource, namespace, name, "penstock", body)
        call = Call(method, namespace, name, kind, written)

        async def send(version: str) -> None:
            await self._connection.call(call, lambda: write(version))
            self._known[key] = (uid, self._store.version(*key))

        now = present or (lambda: self._store.version(*key))
        known_for, version = self._known.pop(key, ("", ""))
        try:
            await send(version if known_for == uid else now())
        except Conflict:
            if not retries:
                raise
            await send(now())


class StoredWorkloads:
    """Implements ``engine.ports.Workloads`` for Deployments that are played."""

    def __init__(self, store: Store, connection: Connection) -> None:
        self._store, self._connection = store, connection

    async def observe(self, namespace: str, ref: WorkloadRef, manager: str) -> WorkloadState:
        """One look."""

        def read() -> WorkloadState:
            if not (ref.api_version.startswith("apps/") and ref.kind == KIND):
                refusal = f"is not supported: this version supports no {ref.kind}"
                return WorkloadState(
                    namespace, ref, "", Phase.UNSUPPORTED, unsupported_reason=refusal
                )
            found = self._store.deployments.get((namespace, ref.name))
            if found is None:
                return WorkloadState(namespace, ref, "", Phase.MISSING)
            return found.observed(manager)

        return await self._connection.call(Call("observe", namespace, ref.name), read)

    async def hold(self, seen: WorkloadState, manager: str, *, keep: bool) -> HoldResult:
        """Hold exactly the object that was seen."""

        def hold() -> HoldResult:
            others = self._exactly(seen.namespace, seen.ref, seen.uid).hold(manager, keep=keep)
            return (
                HoldResult(HoldOutcome.CONFLICT, owners=others)
                if others
                else HoldResult(HoldOutcome.DONE)
            )

        body = {"metadata": {"uid": seen.uid}, "spec": {"paused": True}}
        return await self._write("hold", seen.namespace, seen.ref, manager, body, hold)

    async def release(self, held: HoldRef) -> HoldResult:
        """Give back what this manager holds of exactly this object."""
        for _ in range(RELEASE_TRIES - 1):
            with suppress(Conflict):
                return await self._release_what_is_there(held)
        return await self._release_what_is_there(held)

    async def _release_what_is_there(self, held: HoldRef) -> HoldResult:
        manager, place = PREFIX + held.owner, (held.namespace, held.ref.name)
        found = self._store.deployments.get(place)
        version = found.version if found else 0

        def release() -> HoldResult:
            there = self._exactly(held.namespace, held.ref, held.uid)
            if there.version != version:
                raise Conflict(f"{held.ref} has changed since it was read")
            there.release(manager)
            return HoldResult(HoldOutcome.DONE)

        body: Body = {"metadata": {"uid": held.uid}}
        return await self._write("release", held.namespace, held.ref, manager, body, release)

    async def list_managers(self) -> Mapping[ApiResource, Mapping[ManagerRef, WorkloadRef]]:
        """Objects of other tools: there are none."""
        return {}

    async def held(self) -> Sequence[HoldRef]:
        """Every hold of ours."""

        def read() -> Sequence[HoldRef]:
            return [
                HoldRef(one.namespace, one.ref, one.uid, manager.removeprefix(PREFIX), one.kept)
                for one in self._store.deployments.values()
                for manager in one.holders
                if manager.startswith(PREFIX)
            ]

        return await self._connection.call(Call("held"), read)

    def _exactly(self, namespace: str, ref: WorkloadRef, uid: str) -> Deployment:
        found = self._store.deployments.get((namespace, ref.name))
        if found is None or found.uid != uid:
            raise NotFound(f"{ref} of uid {uid} is not there")
        return found

    async def _write(
        self,
        method: str,
        namespace: str,
        ref: WorkloadRef,
        manager: str,
        body: Body,
        act: Callable[[], HoldResult],
    ) -> HoldResult:
        """What the API server refuses is an outcome; what may pass by itself is raised."""
        written = _write("patch", "deployments", "", namespace, ref.name, manager, body)
        call = Call(method, namespace, ref.name, "deployments", written)
        try:
            return await self._connection.call(call, act)
        except NotFound:
            return HoldResult(HoldOutcome.GONE)
        except (Forbidden, InvalidRequest) as error:
            return HoldResult(HoldOutcome.REFUSED, why=str(error))


class StoredSnapshots:
    """Implements ``engine.ports.Snapshots``."""

    def __init__(self, store: Store, connection: Connection) -> None:
        self._store, self._connection = store, connection

    async def load(self) -> Mapping[str, bytes]:
        """What was saved last."""
        return await self._connection.call(Call("load"), lambda: dict(self._store.snapshots))

    async def save(self, kept: Mapping[str, bytes]) -> None:
        """Replace it."""
        written = _write("patch", "configmaps", "", "penstock", "ledgers", "penstock", {})

        def save() -> None:
            self._store.snapshots = dict(kept)

        await self._connection.call(Call("save", kind="configmaps", write=written), save)


def error_of(kind: type[ClusterError], message: str = "so it is planned") -> ClusterError:
    """One error of a class, as an adapter raises it."""
    return kind(message, 1.0) if kind.__name__ == "Throttled" else kind(message)  # type: ignore[call-arg]


def _write(
    verb: str, kind: str, subresource: str, namespace: str, name: str, manager: str, body: Body
) -> Write:
    """A write in the words in which the invariants judge it."""
    return Write(
        at=datetime.now(UTC),
        verb=verb,
        group="",
        version="",
        resource=kind,
        subresource=subresource,
        namespace=namespace,
        name=name,
        kind=kind,
        manager=manager,
        forced=False,
        content_type="",
        body=body,
        dry_run=False,
        forwarded=True,
        code=200,
        resource_version="",
        uid=str(body["metadata"].get("uid", "")) if body else "",
        fault="",
    )

"""A hold as one field of a workload, written by server-side apply.

The field is written under a separate manager for each Rollout. A person's value, written before
ours, survives our release. Anybody who pins another value by apply shows up as a conflict. Labels
mark what is held, so that holds are found without a Rollout. Annotations are never written:
controllers copy them, and ``kubectl rollout undo`` brings them back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from penstock.adapters.kube_client import Body, KubeClient, object_path, paths_of
from penstock.adapters.resource_versions import version_of
from penstock.domain.refs import ApiResource
from penstock.domain.workload import HOLD_MANAGER_PREFIX, WorkloadState
from penstock.engine.ports import HoldOutcome, HoldRef, HoldResult
from penstock.errors import Conflict, Forbidden, InvalidRequest, NotFound

HELD_LABEL = "penstock.dev/held"
KEEP_LABEL = "penstock.dev/keep-held"
PERSON_LABEL = "penstock.dev/hold"
# A workload's controller writes its status at the same time.
RELEASE_TRIES = 3


class ApplyHold:
    """Holds workloads of one kind by one field of their spec."""

    def __init__(
        self,
        kube: KubeClient,
        resource: ApiResource,
        namespaces: Sequence[str],
        spec: Mapping[str, Any],
    ) -> None:
        """``spec`` is what a hold applies, with one field; no ``namespaces`` mean all."""
        self._kube, self._resource, self._namespaces = kube, resource, namespaces
        self._spec = spec
        (self._field,) = spec

    async def hold(self, workload: WorkloadState, manager: str, *, keep: bool) -> HoldResult:
        """Write the field on exactly the object that was seen, never by force."""
        labels = {HELD_LABEL: "true"} | ({KEEP_LABEL: "true"} if keep else {})
        body = self._body(workload.namespace, workload.ref.name, workload.uid, labels)
        body["spec"] = dict(self._spec)
        return await self._write(
            object_path(self._resource, workload.namespace, workload.ref.name), body, manager
        )

    async def release(self, hold_ref: HoldRef) -> HoldResult:
        """Apply nothing under the same manager: what only it owned is removed.

        It names the version that it is based on: a late release would end a newer hold.
        """
        path = object_path(self._resource, hold_ref.namespace, hold_ref.ref.name)
        body = self._body(hold_ref.namespace, hold_ref.ref.name, hold_ref.uid, {})
        manager = HOLD_MANAGER_PREFIX + hold_ref.owner
        for _ in range(RELEASE_TRIES - 1):
            with suppress(Conflict):
                return await self._write_upon_newest(path, body, manager)
        return await self._write_upon_newest(path, body, manager)

    async def list_held(self) -> Sequence[HoldRef]:
        """Every object that carries a hold of Penstock."""
        return [
            hold_ref
            for path in paths_of(self._resource, self._namespaces)
            async for body in self._kube.pages(path, labelSelector=HELD_LABEL)
            for hold_ref in self._holds(body)
        ]

    def managers(self, body: Body) -> tuple[str, ...]:
        """Field managers that own the field, Penstock's and others."""
        return tuple(
            sorted(
                entry.get("manager", "")
                for entry in body["metadata"].get("managedFields") or ()
                if not entry.get("subresource")
                and f"f:{self._field}" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
            )
        )

    def _holds(self, body: Body) -> list[HoldRef]:
        """The holds on one object, each with the uid of the Rollout that it was created for."""
        metadata = body["metadata"]
        namespace, name, uid = metadata["namespace"], metadata["name"], metadata["uid"]
        return [
            HoldRef(
                namespace,
                self._resource.named(name),
                uid,
                manager.removeprefix(HOLD_MANAGER_PREFIX),
                is_kept(body),
            )
            for manager in self.managers(body)
            if manager.startswith(HOLD_MANAGER_PREFIX)
        ]

    async def _write_upon_newest(self, path: str, body: Body, manager: str) -> HoldResult:
        try:
            newest = await self._kube.get(path)
        except NotFound:
            return HoldResult(HoldOutcome.GONE)
        body["metadata"]["resourceVersion"] = version_of(newest)
        return await self._write(path, body, manager)

    async def _write(self, path: str, body: Body, manager: str) -> HoldResult:
        try:
            await self._kube.apply(path, body, manager, force=False)
        except Conflict as error:
            if not error.managers:  # a race with another write; nobody claims the field
                raise
            return HoldResult(HoldOutcome.CONFLICT, owners=error.managers)
        except NotFound:
            return HoldResult(HoldOutcome.GONE)
        except (Forbidden, InvalidRequest) as error:
            return HoldResult(HoldOutcome.REFUSED, why=str(error))
        return HoldResult(HoldOutcome.DONE)

    def _body(self, namespace: str, name: str, uid: str, labels: Mapping[str, str]) -> Body:
        metadata: Body = {"name": name, "namespace": namespace, "uid": uid}
        if labels:
            metadata["labels"] = dict(labels)
        return {
            "apiVersion": self._resource.api_version,
            "kind": self._resource.kind,
            "metadata": metadata,
        }


def is_kept(body: Body) -> bool:
    """Whether a hold on it outlives its Rollout."""
    return KEEP_LABEL in (body["metadata"].get("labels") or {})


def person_hold(body: Body) -> str | None:
    """A person's hold by label, with its value; None without the label."""
    value = (body["metadata"].get("labels") or {}).get(PERSON_LABEL)
    return None if value is None else str(value)


def controller_uid(body: Body) -> str:
    """Uid of the object's controlling owner; empty without one."""
    for owner in body["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner.get("uid", ""))
    return ""


def label_selector(selector: Body) -> str:
    """A label selector as a query parameter."""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    return ",".join([*parts, *_expressions(selector.get("matchExpressions") or ())])


def _expressions(expressions: Iterable[Body]) -> Iterable[str]:
    for one in expressions:
        key, values = one["key"], ",".join(one.get("values") or ())
        match one["operator"]:
            case "In":
                yield f"{key} in ({values})"
            case "NotIn":
                yield f"{key} notin ({values})"
            case "Exists":
                yield key
            case "DoesNotExist":
                yield f"!{key}"

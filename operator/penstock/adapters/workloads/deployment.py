"""Deployments: looked at together with their ReplicaSets, held by ``spec.paused``.

A paused Deployment still moves: the controller tops up to ``replicas + maxSurge``, and once the new
ReplicaSet is whole and available it takes the old ones to zero. So a pause holds something only
while the new ReplicaSet wants fewer pods than the Deployment does, and of a single replica never.

The pause is written by server-side apply under a manager of each Rollout's own. A person's pause,
made before ours, survives our release; one who pins ``paused: false`` by apply shows up as a
conflict. Annotations are never written: they reach ReplicaSets, and ``kubectl rollout undo``
brings them back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from penstock.adapters.api_server import ApiServer, Body, collection_paths, part
from penstock.adapters.latest import version_of
from penstock.adapters.workloads.steering import Steering
from penstock.domain.refs import WorkloadRef
from penstock.domain.template import template
from penstock.domain.workload import Effect, Observation, Phase
from penstock.engine.ports import Found, Held, Outcome
from penstock.errors import Conflict, Forbidden, Gone, Refused

API_VERSION = "apps/v1"
KIND = "Deployment"
MANAGER_PREFIX = "penstock-hold-"
HELD_LABEL = "penstock.dev/held"
KEEP_LABEL = "penstock.dev/keep-held"
PERSON_LABEL = "penstock.dev/hold"
REVISION = "deployment.kubernetes.io/revision"
# Its controller writes a Deployment's status beside us.
RELEASE_TRIES = 3
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class Deployments:
    """Implements ``engine.ports.Workloads`` for ``apps`` Deployments."""

    def __init__(self, server: ApiServer, namespaces: Sequence[str] = ()) -> None:
        self._server, self._namespaces = server, namespaces
        self._steering = Steering(server, namespaces)

    def supports(self, ref: WorkloadRef) -> bool:
        """Whether it is a Deployment."""
        return ref.api_version.startswith("apps/") and ref.kind == KIND

    async def observe(self, namespace: str, ref: WorkloadRef, manager: str) -> Observation:
        """One look at the Deployment, the ReplicaSets that it owns, and who else steers it."""
        try:
            body = await self._server.get(_path(namespace, ref.name))
        except Gone:
            return Observation(namespace, ref, "", Phase.MISSING)
        owned = await self._owned(namespace, body)
        steered_by = await self._steering.by(namespace, ref.name)
        return observation(namespace, ref, body, owned, manager, steered_by)

    async def hold(self, seen: Observation, manager: str, *, keep: bool) -> Outcome:
        """Pause exactly the object that was seen, never by force."""
        labels = {HELD_LABEL: "true"} | ({KEEP_LABEL: "true"} if keep else {})
        body = _applied(seen.namespace, seen.ref.name, seen.uid, labels)
        body["spec"] = {"paused": True}
        return await self._write(_path(seen.namespace, seen.ref.name), body, manager)

    async def release(self, held: Held) -> Outcome:
        """Apply nothing under the same manager: what only it owned is removed.

        It names the version that it is made on: one that comes late would end a newer hold.
        """
        path, manager = _path(held.namespace, held.ref.name), MANAGER_PREFIX + held.owner
        body = _applied(held.namespace, held.ref.name, held.uid, {})
        for _ in range(RELEASE_TRIES - 1):
            with suppress(Conflict):
                return await self._upon_what_is_there(path, body, manager)
        return await self._upon_what_is_there(path, body, manager)

    async def _upon_what_is_there(self, path: str, body: Body, manager: str) -> Outcome:
        try:
            now = await self._server.get(path)
        except Gone:
            return Outcome(Found.GONE)
        body["metadata"]["resourceVersion"] = version_of(now)
        return await self._write(path, body, manager)

    async def held(self) -> Sequence[Held]:
        """Every Deployment that carries a hold of ours."""
        found = []
        for path in collection_paths(f"/apis/{API_VERSION}", "deployments", self._namespaces):
            async for body in self._server.pages(path, labelSelector=HELD_LABEL):
                found += _holds(body)
        return found

    async def _owned(self, namespace: str, body: Body) -> list[Body]:
        uid = body["metadata"]["uid"]
        selector = _selector(body["spec"].get("selector") or {})
        path = f"/apis/{API_VERSION}/namespaces/{part(namespace)}/replicasets"
        listed = self._server.pages(path, labelSelector=selector)
        owned = [one async for one in listed if _owner(one) == uid]
        return sorted(owned, key=_revision, reverse=True)

    async def _write(self, path: str, body: Body, manager: str) -> Outcome:
        try:
            await self._server.apply(path, body, manager, force=False)
        except Conflict as error:
            if not error.managers:  # a race with another write, and nobody's claim on the field
                raise
            return Outcome(Found.CONFLICT, by=error.managers)
        except Gone:
            return Outcome(Found.GONE)
        except (Forbidden, Refused) as error:
            return Outcome(Found.REFUSED, why=str(error))
        return Outcome(Found.DONE)


def observation(
    namespace: str,
    ref: WorkloadRef,
    body: Body,
    owned: list[Body],
    manager: str,
    steered_by: str | None = None,
) -> Observation:
    """What a Deployment and its ReplicaSets, newest first, say together."""
    present = template(body["spec"]["template"])
    ran = tuple(template(one["spec"]["template"], one["metadata"]["name"]) for one in owned)
    pairs = zip(owned, ran, strict=True)
    new = next((one for one, told in pairs if told.hash == present.hash), None)
    present = next((told for told in ran if told.hash == present.hash), present)
    others = [one for one in owned if one is not new]
    status, replicas = body.get("status") or {}, int(body["spec"].get("replicas", 1))
    holders = _pausers(body)
    return Observation(
        namespace=namespace,
        ref=ref,
        uid=body["metadata"]["uid"],
        phase=_phase(body, new, others),
        refusal=_refusal(body, owned, steered_by),
        template=present,
        ran=ran,
        ever_complete=_ever_complete(body, new, others),
        updated=int(status.get("updatedReplicas", 0)),
        total=replicas,
        paused=bool(body["spec"].get("paused")),
        holders=holders,
        ours=manager in holders,
        kept=KEEP_LABEL in (body["metadata"].get("labels") or {}),
        effect=_effect(replicas, new, others),
        pinned_by=_pinned_by(body),
        person_holds=(body["metadata"].get("labels") or {}).get(PERSON_LABEL),
    )


def _phase(body: Body, new: Body | None, others: list[Body]) -> Phase:
    status, spec = body.get("status") or {}, body["spec"]
    observed = int(status.get("observedGeneration", 0)) >= int(body["metadata"]["generation"])
    replicas = int(spec.get("replicas", 1))
    if new is None:
        return Phase.PENDING if spec.get("paused") else Phase.ROLLING
    counted = ("updatedReplicas", "replicas", "availableReplicas")
    if observed and all(int(status.get(key, 0)) == replicas for key in counted):
        return Phase.COMPLETE
    if any(_wanted(one) for one in others):
        return Phase.FAILED if _deadline_exceeded(status) else Phase.ROLLING
    return Phase.SCALING


def _deadline_exceeded(status: Body) -> bool:
    return any(
        one.get("type") == "Progressing" and one.get("reason") == "ProgressDeadlineExceeded"
        for one in status.get("conditions") or ()
    )


def _ever_complete(body: Body, new: Body | None, others: list[Body]) -> bool:
    """Whether some template ever ran completely: an old one is there, or the present is whole."""
    status, replicas = body.get("status") or {}, int(body["spec"].get("replicas", 1))
    available = int(status.get("availableReplicas", 0))
    whole = new is not None and available >= replicas > 0
    return whole or any(_wanted(one) or _revision(one) > 0 for one in others)


def _effect(replicas: int, new: Body | None, others: list[Body]) -> Effect:
    """How much a pause stops from now on; measured on real controllers, row by row.

    10 replicas, old/new as the pause came: 8/5 stays; 3/10 goes on to 0/10, so nothing is held.
    """
    if new is None or _wanted(new) == 0:
        return Effect.FULL if others else Effect.NONE
    if _wanted(new) >= replicas:
        return Effect.NONE
    return Effect.PARTIAL


def _refusal(body: Body, owned: list[Body], steered_by: str | None) -> str | None:
    metadata = body["metadata"]
    annotations = metadata.get("annotations") or {}
    owner = next(iter(metadata.get("ownerReferences") or ()), None)
    if metadata.get("deletionTimestamp"):
        return "is being deleted"
    if "rollouts.kruise.io/in-progressing" in annotations:
        return "is managed by an OpenKruise Rollout; point the Rollout at that instead"
    if owner is not None:
        return f"is owned by {owner['kind']} {owner['name']}; point the Rollout at that instead"
    if steered_by is not None:
        return f"is managed by {steered_by}; point the Rollout at that instead"
    if not owned:
        return "has no ReplicaSet yet, and its first release is never held"
    return None


def _pinned_by(body: Body) -> str | None:
    """Who declares ``paused: false``: found by ownership, or in what ``kubectl apply`` keeps."""
    if not body["spec"].get("paused"):
        owners = _pausers(body)
        if owners:
            return ", ".join(owners)
    text = (body["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    if not text:
        return None
    try:
        declared = json.loads(text)["spec"]["paused"]
    except (ValueError, KeyError, TypeError):
        return None
    return "kubectl apply (its manifest has spec.paused: false)" if declared is False else None


def _pausers(body: Body) -> tuple[str, ...]:
    """Field managers that own ``spec.paused``."""
    return tuple(
        sorted(
            entry.get("manager", "")
            for entry in body["metadata"].get("managedFields") or ()
            if not entry.get("subresource")
            and "f:paused" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
        )
    )


def _owners(body: Body) -> list[str]:
    """Uids of the Rollouts whose hold is on this Deployment."""
    return [
        manager.removeprefix(MANAGER_PREFIX)
        for manager in _pausers(body)
        if manager.startswith(MANAGER_PREFIX)
    ]


def _holds(body: Body) -> list[Held]:
    metadata = body["metadata"]
    ref = WorkloadRef(API_VERSION, KIND, metadata["name"])
    keep = KEEP_LABEL in (metadata.get("labels") or {})
    return [
        Held(metadata["namespace"], ref, metadata["uid"], owner, keep) for owner in _owners(body)
    ]


def _applied(namespace: str, name: str, uid: str, labels: dict[str, str]) -> Body:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "uid": uid}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata}


def _selector(selector: Body) -> str:
    """A label selector as a query has it."""
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


def _owner(body: Body) -> str:
    for owner in body["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner.get("uid", ""))
    return ""


def _revision(body: Body) -> int:
    text = (body["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdigit() and len(text) < 10 else 0


def _wanted(body: Body) -> int:
    return int(body["spec"].get("replicas", 0))


def _path(namespace: str, name: str) -> str:
    return f"/apis/{API_VERSION}/namespaces/{part(namespace)}/deployments/{part(name)}"

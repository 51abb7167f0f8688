"""Deployments: observed together with their ReplicaSets, held by ``spec.paused``.

A paused Deployment still moves: the controller tops up to ``replicas + maxSurge``. Once the new
ReplicaSet is complete and available, it scales the old ones to zero. So a pause holds something
only while the new ReplicaSet wants fewer pods than the Deployment, and it never holds a single
replica.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from penstock.adapters.kube_client import Body, KubeClient, object_path, paths_of
from penstock.adapters.workloads.apply_hold import (
    ApplyHold,
    controller_uid,
    is_kept,
    label_selector,
    person_hold,
)
from penstock.domain.refs import ApiResource, WorkloadRef
from penstock.domain.template import pod_template
from penstock.domain.workload import Advice, HoldEffect, Phase, WorkloadState
from penstock.engine.ports import HoldRef, HoldResult
from penstock.engine.watches import Watch, WatchItself, WatchManager
from penstock.errors import NotFound

DEPLOYMENTS = ApiResource("apps", "v1", "Deployment", "deployments")
REPLICA_SETS = ApiResource("apps", "v1", "ReplicaSet", "replicasets")
CANARIES = ApiResource("flagger.app", "v1beta1", "Canary", "canaries")
ARGO_ROLLOUTS = ApiResource("argoproj.io", "v1alpha1", "Rollout", "rollouts")
REVISION = "deployment.kubernetes.io/revision"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

ADVICE = Advice(
    roll_back="To roll back, apply the previous manifest or run `kubectl set image` with the "
    "previous image (`kubectl rollout undo` refuses a paused Deployment)",
    let_hold="Remove spec.paused from the workload's manifest (Argo CD: ignoreDifferences on "
    "/spec/paused with RespectIgnoreDifferences=true)",
)


class DeploymentAdapter:
    """Implements ``WorkloadAdapter`` for Deployments."""

    resource = DEPLOYMENTS
    watches: Sequence[Watch] = (
        WatchItself(DEPLOYMENTS),
        WatchManager(CANARIES, "Flagger", "targetRef"),
        WatchManager(ARGO_ROLLOUTS, "Argo Rollouts", "workloadRef"),
    )

    def __init__(self, kube: KubeClient, namespaces: Sequence[str] = ()) -> None:
        self._kube = kube
        self._hold = ApplyHold(kube, DEPLOYMENTS, namespaces, {"paused": True})

    async def observe(self, namespace: str, ref: WorkloadRef, manager: str) -> WorkloadState:
        """The Deployment and the ReplicaSets that it owns."""
        try:
            body = await self._kube.get(object_path(DEPLOYMENTS, namespace, ref.name))
        except NotFound:
            return WorkloadState(namespace, ref, "", Phase.MISSING)
        owned = await self._owned(namespace, body)
        holders = self._hold.managers(body)
        return observation(namespace, ref, body, owned, holders, manager)

    async def hold(self, workload: WorkloadState, manager: str, *, keep: bool) -> HoldResult:
        """Pause it."""
        return await self._hold.hold(workload, manager, keep=keep)

    async def release(self, hold_ref: HoldRef) -> HoldResult:
        """End this hold's pause; another's stays."""
        return await self._hold.release(hold_ref)

    async def list_held(self) -> Sequence[HoldRef]:
        """Every hold of Penstock on a Deployment."""
        return await self._hold.list_held()

    async def _owned(self, namespace: str, body: Body) -> list[Body]:
        uid = body["metadata"]["uid"]
        selector = label_selector(body["spec"].get("selector") or {})
        (path,) = paths_of(REPLICA_SETS, (namespace,))
        listed = self._kube.pages(path, labelSelector=selector)
        owned = [one async for one in listed if controller_uid(one) == uid]
        return sorted(owned, key=_revision, reverse=True)


def observation(
    namespace: str,
    ref: WorkloadRef,
    body: Body,
    owned: list[Body],
    holders: tuple[str, ...],
    manager: str,
) -> WorkloadState:
    """What a Deployment and its ReplicaSets, newest first, say together."""
    present = pod_template(body["spec"]["template"])
    ran = tuple(pod_template(one["spec"]["template"], one["metadata"]["name"]) for one in owned)
    pairs = zip(owned, ran, strict=True)
    new = next((one for one, template in pairs if template.hash == present.hash), None)
    present = next((template for template in ran if template.hash == present.hash), present)
    others = [one for one in owned if one is not new]
    status, replicas = body.get("status") or {}, int(body["spec"].get("replicas", 1))
    return WorkloadState(
        namespace=namespace,
        ref=ref,
        uid=body["metadata"]["uid"],
        phase=_phase(body, new, others),
        unsupported_reason=_refusal(body, owned),
        template=present,
        former_templates=ran,
        ever_complete=_ever_complete(body, new, others),
        updated=int(status.get("updatedReplicas", 0)),
        total=replicas,
        paused=bool(body["spec"].get("paused")),
        pause_managers=holders,
        held_by_us=manager in holders,
        keep_held=is_kept(body),
        effect=_effect(replicas, new, others),
        pinned_by=_pinned_by(body, holders),
        person_holds=person_hold(body),
        advice=ADVICE,
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
    """Whether any template ever ran completely: there is an old one, or this one is complete."""
    status, replicas = body.get("status") or {}, int(body["spec"].get("replicas", 1))
    available = int(status.get("availableReplicas", 0))
    whole = new is not None and available >= replicas > 0
    return whole or any(_wanted(one) or _revision(one) > 0 for one in others)


def _effect(replicas: int, new: Body | None, others: list[Body]) -> HoldEffect:
    """How much a pause stops from now on; measured on real controllers, row by row.

    10 replicas, old/new when the pause came: 8/5 stays; 3/10 continues to 0/10, so nothing is
    held.
    """
    if new is None or _wanted(new) == 0:
        return HoldEffect.FULL if others else HoldEffect.NONE
    if _wanted(new) >= replicas:
        return HoldEffect.NONE
    return HoldEffect.PARTIAL


def _refusal(body: Body, owned: list[Body]) -> str | None:
    metadata = body["metadata"]
    annotations = metadata.get("annotations") or {}
    owner = next(iter(metadata.get("ownerReferences") or ()), None)
    if metadata.get("deletionTimestamp"):
        return "is being deleted"
    if "rollouts.kruise.io/in-progressing" in annotations:
        return "is managed by an OpenKruise Rollout; point the Rollout at that instead"
    if owner is not None:
        return f"is owned by {owner['kind']} {owner['name']}; point the Rollout at that instead"
    if not owned:
        return "has no ReplicaSet yet, and its first release is never held"
    return None


def _pinned_by(body: Body, holders: tuple[str, ...]) -> str | None:
    """Who declares ``paused: false``, by field ownership or the annotation of ``kubectl apply``."""
    if not body["spec"].get("paused") and holders:
        return ", ".join(holders)
    text = (body["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    if not text:
        return None
    try:
        declared = json.loads(text)["spec"]["paused"]
    except (ValueError, KeyError, TypeError):
        return None
    return "kubectl apply (its manifest has spec.paused: false)" if declared is False else None


def _revision(body: Body) -> int:
    text = (body["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdigit() and len(text) < 10 else 0


def _wanted(body: Body) -> int:
    return int(body["spec"].get("replicas", 0))

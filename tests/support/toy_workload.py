"""A workload kind that only tests have: its CRD, its adapter, and an operator that guards it too.

A Toy is released by a change of ``spec.template``; it is complete once ``status.runs`` says that
the new one runs. Who writes the status is the test.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from penstock import app
from penstock.adapters.kube_client import KubeClient, object_path
from penstock.adapters.workloads.apply_hold import ApplyHold, is_kept, person_hold
from penstock.adapters.workloads.registry import ADAPTERS
from penstock.domain.refs import ApiResource, WorkloadRef
from penstock.domain.template import pod_template
from penstock.domain.workload import HoldEffect, Phase, WorkloadState
from penstock.engine.ports import HoldRef, HoldResult
from penstock.engine.watches import Watch, WatchItself
from penstock.errors import NotFound
from penstock.settings import add_arguments, from_arguments

TOYS = ApiResource("toys.example.com", "v1", "Toy", "toys")
_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"{TOYS.plural}.{TOYS.group}"},
    "spec": {
        "group": TOYS.group,
        "scope": "Namespaced",
        "names": {"kind": "Toy", "listKind": "ToyList", "plural": "toys", "singular": "toy"},
        "versions": [
            {
                "name": TOYS.version,
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": _OPEN, "status": _OPEN},
                    }
                },
            }
        ],
    },
}


class ToyAdapter:
    """Implements ``WorkloadAdapter`` for Toys, held by ``spec.paused``."""

    resource = TOYS
    watches: Sequence[Watch] = (WatchItself(TOYS),)

    def __init__(self, server: KubeClient, namespaces: Sequence[str] = ()) -> None:
        self._server = server
        self._hold = ApplyHold(server, TOYS, namespaces, {"paused": True})

    async def observe(self, namespace: str, ref: WorkloadRef, manager: str) -> WorkloadState:
        try:
            body = await self._server.get(object_path(TOYS, namespace, ref.name))
        except NotFound:
            return WorkloadState(namespace, ref, "", Phase.MISSING)
        wanted = pod_template(body["spec"]["template"])
        runs = (body.get("status") or {}).get("runs")
        former = pod_template(runs) if runs else None
        complete = former is not None and former.hash == wanted.hash
        managers = self._hold.managers(body)
        return WorkloadState(
            namespace=namespace,
            ref=ref,
            uid=body["metadata"]["uid"],
            phase=Phase.COMPLETE if complete else Phase.ROLLING,
            template=wanted,
            former_templates=() if former is None or complete else (former,),
            ever_complete=former is not None,
            updated=int(complete),
            total=1,
            paused=bool(body["spec"].get("paused")),
            pause_managers=managers,
            held_by_us=manager in managers,
            keep_held=is_kept(body),
            effect=HoldEffect.NONE if complete else HoldEffect.FULL,
            person_holds=person_hold(body),
        )

    async def hold(self, seen: WorkloadState, manager: str, *, keep: bool) -> HoldResult:
        return await self._hold.hold(seen, manager, keep=keep)

    async def release(self, held: HoldRef) -> HoldResult:
        return await self._hold.release(held)

    async def list_held(self) -> Sequence[HoldRef]:
        return await self._hold.list_held()


def main() -> int:
    """`penstock run` with one kind more."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["run"])
    add_arguments(parser)
    return app.run(from_arguments(parser.parse_args()), [*ADAPTERS, ToyAdapter])


if __name__ == "__main__":
    raise SystemExit(main())

"""Parses events of the watched kinds and hands them over. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import kopf

from penstock.api.decode import decode_object
from penstock.api.kinds import GROUP, KIND_BY_PLURAL, VERSION
from penstock.engine.manager_index import ManagerRef
from penstock.engine.ports import Deleted, ManagerChanged, Upserted, WatchEvent, WorkloadChanged
from penstock.engine.watches import Watch
from penstock.handlers.login import with_session


def build_registry(
    take: Callable[[WatchEvent], None],
    resources: Iterable[str],
    watches: Iterable[Watch],
    session: Callable[[kopf.ConnectionInfo], kopf.AiohttpSession],
) -> kopf.OperatorRegistry:
    """A separate registry for each Kopf operator: no decorator acts at import time.

    ``resources`` are Penstock's own kinds. ``session`` creates the HTTP session for credentials.
    """
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry, id="login")(with_session(session))
    for resource in resources:
        kopf.on.event(GROUP, VERSION, resource, registry=registry, id=resource)(
            _ours(resource, take)
        )
    for watch in watches:
        kind = watch.resource
        name = f"{kind.plural}.{kind.group}"
        kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=name)(
            _workloads(watch, take)
        )
    return registry


def _ours(resource: str, take: Callable[[WatchEvent], None]) -> Callable[..., Any]:
    kind = KIND_BY_PLURAL[resource]

    async def handle(event: kopf.RawEvent, **_: Any) -> None:
        body: Any = event["object"]
        if event["type"] == "DELETED":
            metadata = body["metadata"]
            take(Deleted(resource, metadata.get("namespace", ""), metadata["name"]))
        else:
            take(Upserted(resource, decode_object(kind, body)))

    return handle


def _workloads(watch: Watch, take: Callable[[WatchEvent], None]) -> Callable[..., Any]:
    async def handle(event: kopf.RawEvent, **_: Any) -> None:
        body: Any = event["object"]
        ref, metadata = watch.workload_of(body), body["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        if watch.tool:
            manager = ManagerRef(watch.tool, watch.resource, namespace, name)
            take(ManagerChanged(manager, None if event["type"] == "DELETED" else ref))
        elif ref is not None:
            take(WorkloadChanged(namespace, ref))

    return handle

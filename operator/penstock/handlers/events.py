"""Events of the watched kinds, parsed and handed over. Nothing is decided here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any

import kopf

from penstock.api.entries import entry
from penstock.domain.entry import Resource
from penstock.domain.refs import WorkloadRef
from penstock.engine.ports import Change, Removal, Stirred, Upsert
from penstock.handlers.login import with_session

log = logging.getLogger(__name__)

GROUP, VERSION = "penstock.dev", "v1alpha1"


DEPLOYMENTS = "deployments"


def build_registry(
    take: Callable[[Change], None],
    resources: Collection[Resource],
    session: Callable[[kopf.ConnectionInfo], kopf.AiohttpSession],
) -> kopf.OperatorRegistry:
    """A registry of its own for each feed: no decorator acts at import time.

    Of our own kinds it watches ``resources``. ``session`` makes the HTTP session for credentials.
    """
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry, id="login")(with_session(session))
    for resource in resources:
        kopf.on.event(GROUP, VERSION, resource.value, registry=registry, id=resource.value)(
            _ours(resource, take)
        )
    kopf.on.event("apps", "v1", DEPLOYMENTS, registry=registry, id=DEPLOYMENTS)(_workloads(take))
    return registry


def _ours(resource: Resource, take: Callable[[Change], None]) -> Callable[..., Any]:
    async def handle(event: kopf.RawEvent, **_: Any) -> None:
        body: Any = event["object"]
        if event["type"] == "DELETED":
            metadata = body["metadata"]
            take(Removal(resource, metadata.get("namespace", ""), metadata["name"]))
        else:
            take(Upsert(resource, entry(resource, body)))

    return handle


def _workloads(take: Callable[[Change], None]) -> Callable[..., Any]:
    async def handle(event: kopf.RawEvent, **_: Any) -> None:
        body: Any = event["object"]
        metadata = body["metadata"]
        ref = WorkloadRef("apps/v1", "Deployment", metadata["name"])
        take(Stirred(metadata["namespace"], ref))

    return handle

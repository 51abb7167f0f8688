"""Who else steers a Deployment without a mark on it: read from the objects that point at it.

Neither Flagger nor Argo Rollouts writes a label, annotation or owner onto the Deployment that its
own object refers to, so these objects are listed: all of a kind at once, and again only after a
moment, so that a start with hundreds of Rollouts asks a few times. A cluster without such a kind
serves none. One that fails, forbids or hangs leaves us with what was known, and is asked again
later: no gate waits for another tool's kind.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.adapters.api_server import ApiServer, Body, collection_paths
from penstock.errors import ClusterError, NotServed

log = logging.getLogger(__name__)

KEPT_SECONDS = 2.0
LONGEST_SECONDS = 5.0
AFTER_HANGING_SECONDS = 60.0

Steered = dict[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class Pointing:
    """A kind whose objects point at a Deployment by ``spec.<field>``."""

    tool: str
    kind: str
    version: str
    plural: str
    field: str


KINDS = (
    Pointing("Flagger", "Canary", "flagger.app/v1beta1", "canaries", "targetRef"),
    Pointing("Argo Rollouts", "Rollout", "argoproj.io/v1alpha1", "rollouts", "workloadRef"),
)


class Steering:
    """Deployments that another controller's object points at, as listed moments ago."""

    def __init__(self, server: ApiServer, namespaces: Sequence[str] = ()) -> None:
        self._server, self._namespaces = server, namespaces
        self._known: dict[Pointing, Steered] = {kind: {} for kind in KINDS}
        self._troubles: dict[Pointing, str] = {}
        self._due = dict.fromkeys(KINDS, float("-inf"))
        self._lock = asyncio.Lock()

    async def by(self, namespace: str, name: str) -> str | None:
        """Who steers this Deployment, as ``Canary web of Flagger``; None if nobody is known to."""
        async with self._lock:
            due = [kind for kind in KINDS if self._due[kind] <= time.monotonic()]
            await asyncio.gather(*map(self._list, due))
        found = (steered.get((namespace, name)) for steered in self._known.values())
        return next((told for told in found if told), None)

    async def _list(self, kind: Pointing) -> None:
        paths, trouble = (
            collection_paths(f"/apis/{kind.version}", kind.plural, self._namespaces),
            "",
        )
        kept = KEPT_SECONDS
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                listed = [one for path in paths async for one in self._server.pages(path)]
            self._known[kind] = dict(filter(None, (_steered(kind, one) for one in listed)))
        except NotServed:
            self._known[kind] = {}
        except ClusterError as error:
            trouble = str(error)
        except TimeoutError:
            trouble, kept = f"no answer within {LONGEST_SECONDS:.0f} s", AFTER_HANGING_SECONDS
        self._due[kind] = time.monotonic() + kept
        if trouble != self._troubles.get(kind, ""):
            self._troubles[kind] = trouble
            log.warning("which Deployments %s steers: %s", kind.tool, trouble or "known again")


def _steered(kind: Pointing, body: Body) -> tuple[tuple[str, str], str] | None:
    """The Deployment that one object points at, and how messages name that object."""
    metadata, ref = body["metadata"], (body.get("spec") or {}).get(kind.field) or {}
    group = str(ref.get("apiVersion") or "apps/v1").partition("/")[0]
    if group != "apps" or ref.get("kind") != "Deployment":
        return None
    told = f"{kind.kind} {metadata['name']} of {kind.tool}"
    return (metadata["namespace"], str(ref.get("name"))), told

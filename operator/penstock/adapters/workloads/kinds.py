"""All kinds of workload behind one port: each reference goes to the adapter of its kind."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.domain.refs import WorkloadRef
from penstock.domain.workload import Observation, Phase
from penstock.engine.ports import Held, Outcome, Workloads


class AnyWorkload:
    """Implements ``engine.ports.Workloads`` by those of single kinds."""

    def __init__(self, kinds: Sequence[Workloads]) -> None:
        self._kinds = kinds

    def supports(self, ref: WorkloadRef) -> bool:
        """Whether there is an adapter for this kind."""
        return any(kind.supports(ref) for kind in self._kinds)

    async def observe(self, namespace: str, ref: WorkloadRef, manager: str) -> Observation:
        """Observe the workload; a kind without an adapter is reported as not supported."""
        kind = self._kind(ref)
        if kind is None:
            refusal = "is not supported: this version supports only apps/v1 Deployment"
            return Observation(namespace, ref, "", Phase.UNSUPPORTED, refusal=refusal)
        return await kind.observe(namespace, ref, manager)

    async def hold(self, seen: Observation, manager: str, *, keep: bool) -> Outcome:
        """Hold exactly the object that was seen."""
        return await self._known(seen.ref).hold(seen, manager, keep=keep)

    async def release(self, held: Held) -> Outcome:
        """Give back one hold."""
        return await self._known(held.ref).release(held)

    async def held(self) -> Sequence[Held]:
        """Every hold of ours, of any kind."""
        return [held for kind in self._kinds for held in await kind.held()]

    def _kind(self, ref: WorkloadRef) -> Workloads | None:
        return next((kind for kind in self._kinds if kind.supports(ref)), None)

    def _known(self, ref: WorkloadRef) -> Workloads:
        kind = self._kind(ref)
        if kind is None:
            raise LookupError(f"no adapter for {ref}")
        return kind

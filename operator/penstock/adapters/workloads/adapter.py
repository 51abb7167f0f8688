"""What Penstock needs to guard one kind of workload. Each kind is one file beside this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from penstock.adapters.kube_client import KubeClient
from penstock.domain.refs import ApiResource, WorkloadRef
from penstock.domain.workload import WorkloadState
from penstock.engine.ports import HoldRef, HoldResult
from penstock.engine.watches import Watch


class WorkloadAdapter(Protocol):
    """Observes, holds and releases workloads of one kind.

    Every method raises ``ClusterError`` or a subclass if the API server did not do what was asked.
    """

    @property
    def resource(self) -> ApiResource:
        """The kind, as ``workloadRef`` names it."""

    @property
    def watches(self) -> Sequence[Watch]:
        """What to watch so that no change of such a workload is missed; the kind itself first."""

    async def observe(self, namespace: str, ref: WorkloadRef, manager: str) -> WorkloadState:
        """The workload now, the progress of its release, and how effective a hold is or would be.

        ``manager`` is the field manager of this Rollout's hold. The result has advice for people.
        """

    async def hold(self, workload: WorkloadState, manager: str, *, keep: bool) -> HoldResult:
        """Hold exactly the object that was seen (its uid), never by force."""

    async def release(self, hold_ref: HoldRef) -> HoldResult:
        """Release what this hold's manager owns of exactly this object, and nothing else."""

    async def list_held(self) -> Sequence[HoldRef]:
        """Every hold of Penstock on objects of this kind, for any Rollout."""


AdapterFactory = Callable[[KubeClient, Sequence[str]], WorkloadAdapter]
"""Creates an adapter for one API server and some namespaces; none means all."""

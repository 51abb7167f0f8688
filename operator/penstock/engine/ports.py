"""What the engine needs of the outside world, said in the core's words.

Adapters implement these. They raise nothing but ``ClusterError`` and its kin for what the engine
can act on; what Prometheus cannot answer comes back as evidence, never as an exception.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from penstock.domain.cached_object import CachedObject
from penstock.domain.evidence import Evidence
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.quantities import Duration
from penstock.domain.refs import ApiResource, ObjectRef, WorkloadRef
from penstock.domain.rollout_state import GateRecord
from penstock.domain.slo import Slo
from penstock.domain.source_status import SourceHealth
from penstock.domain.workload import WorkloadState
from penstock.engine.manager_index import ManagerRef
from penstock.engine.metric_names import CounterName, GaugeName
from penstock.errors import SpecInvalid


class Clock(Protocol):
    """The only two clocks there are."""

    def now(self) -> datetime:
        """Wall time in UTC: for what is printed and remembered across restarts."""

    def monotonic(self) -> float:
        """Seconds that never jump: for every interval within this process."""


@dataclass(frozen=True, slots=True)
class EvidenceRequest:
    """What to measure of one SLO: its window, and burn windows for burn rates.

    ``hot`` while a release hangs on it: then it is read as exactly as it can be. ``release_starts``
    are when such releases began: what was spent since is included as far as it costs no query.
    """

    slo: Slo
    burn_windows: frozenset[Duration]
    hot: bool = False
    release_starts: frozenset[datetime] = frozenset()


class EvidenceSource(Protocol):
    """Measures budgets. Issue by issue what stands behind it changes; this does not."""

    async def measure(
        self, source: MetricsSource, requests: Sequence[EvidenceRequest], at: datetime
    ) -> Mapping[ObjectRef, Evidence]:
        """Evidence for each inquiry, all for the same instant.

        Never raises for what a server answers or fails to answer, and never lets one SLO's
        unreadable query cost another's evidence.
        """

    async def health(self, source: MetricsSource) -> SourceHealth:
        """How a source stands; never raises for what it answers or fails to answer."""

    def is_overloaded(self, source: MetricsSource) -> bool:
        """Whether a source has said lately that it has too much to do."""


class Snapshots(Protocol):
    """Keeps ledgers over a restart: a cache, whose loss costs reading again and no decision."""

    async def load(self) -> Mapping[str, bytes]:
        """What was saved last, by name; what cannot be read is left out."""

    async def save(self, kept: Mapping[str, bytes]) -> None:
        """Replace what was saved. Raises ``ClusterError`` and its kin."""


class HoldOutcome(StrEnum):
    """What became of a hold or a release."""

    DONE = "Done"
    CONFLICT = "Conflict"
    GONE = "Gone"
    REFUSED = "Refused"


@dataclass(frozen=True, slots=True)
class HoldResult:
    """What a write to a workload did; ``owners`` names managers in conflict, ``why`` a refusal."""

    outcome: HoldOutcome
    owners: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class HoldRef:
    """One hold, as read back from the workload.

    Attributes:
        owner: uid of the Rollout that it was made for.
        keep: it is to outlive that Rollout (``onDelete: KeepHeld``).
    """

    namespace: str
    ref: WorkloadRef
    uid: str
    owner: str
    keep: bool = False


class Workloads(Protocol):
    """Observes and holds workloads, one adapter for each kind behind it."""

    async def observe(self, namespace: str, ref: WorkloadRef, manager: str) -> WorkloadState:
        """One look; ``manager`` is our hold's field manager, to distinguish it from others."""

    async def hold(self, workload: WorkloadState, manager: str, *, keep: bool) -> HoldResult:
        """Hold exactly the object that was seen (its uid), never by force.

        ``keep`` marks the hold as one that outlives its Rollout.
        """

    async def release(self, hold_ref: HoldRef) -> HoldResult:
        """Give back what this manager holds of exactly this object, and nothing else."""

    async def list_managers(self) -> Mapping[ApiResource, Mapping[ManagerRef, WorkloadRef]]:
        """Objects of other tools that manage workloads, and which, by kind. It raises nothing.

        A kind that cannot be listed is left out, one that the cluster lacks is empty.
        """

    async def held(self) -> Sequence[HoldRef]:
        """Every hold in the cluster, whichever Rollout it was for."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What happened to one of our objects, for people.

    Attributes:
        kind: the object's kind, as its manifest has it.
        warning: whether somebody should look.
        reason: one word, of the words that docs/reasons.md explains.
        message: one sentence.
    """

    kind: str
    ref: ObjectRef
    warning: bool
    reason: str
    message: str
    at: datetime


class Notifier(Protocol):
    """A way to people: Kubernetes Events, a chat."""

    async def notify(self, notification: Notification) -> None:
        """Send one notification. Raises ``ClusterError`` and its kin."""


class StatusApi(Protocol):
    """Reads and writes our own objects. Every method raises ``ClusterError`` or its kin."""

    async def list(self, resource: str) -> Sequence[CachedObject]:
        """All objects of a kind; Rollouts with the template bodies that their GateRecords keep."""

    async def write_status(self, resource: str, ref: ObjectRef, status: object) -> None:
        """Apply an object's whole status, of the type of its kind, for exactly this uid."""

    async def write_invalid(self, resource: str, obj: CachedObject, problem: SpecInvalid) -> None:
        """Say on the object itself which field is wrong and what to write instead."""

    async def write_record(self, ref: ObjectRef, record: GateRecord) -> None:
        """Apply the GateRecord of one Rollout, owned by it."""


class Discovery(Protocol):
    """Knows which kinds the cluster has."""

    async def served(self, resources: Collection[ApiResource]) -> frozenset[ApiResource]:
        """Which of these kinds are served now. Raises ``ClusterError`` and its kin."""


class MetricsRecorder(Protocol):
    """Counts for /metrics."""

    def count(self, name: CounterName, amount: int = 1, /, **labels: str) -> None:
        """Add to a counter."""

    def gauge(self, name: GaugeName, value: float, /, **labels: str) -> None:
        """Set a gauge."""

    def forget(self, **labels: str) -> None:
        """Drop every gauge with these labels: the object is gone."""


class Lease(Protocol):
    """Whether we may write now."""

    @property
    def held(self) -> bool:
        """Judged on the monotonic clock, before each write."""


@dataclass(frozen=True, slots=True)
class Upserted:
    """The feed saw one of our objects."""

    resource: str
    obj: CachedObject


@dataclass(frozen=True, slots=True)
class Deleted:
    """The feed saw one of our objects vanish."""

    resource: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class WorkloadChanged:
    """The feed saw a workload change; what it is now is looked at afresh."""

    namespace: str
    ref: WorkloadRef


@dataclass(frozen=True, slots=True)
class ManagerChanged:
    """The watch saw an object of another tool; ``target`` is None once it is gone."""

    manager: ManagerRef
    target: WorkloadRef | None


@dataclass(frozen=True, slots=True)
class KindChanged:
    """A kind of workload is watched from now on, or no longer."""

    resource: ApiResource


WatchEvent = Upserted | Deleted | WorkloadChanged | ManagerChanged | KindChanged

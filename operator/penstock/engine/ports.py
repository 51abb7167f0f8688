"""The ports of the engine: what it needs from the outside world, in the words of the core.

Adapters implement these. They raise only ``ClusterError`` and its subclasses, for failures that the
engine can act on; a failure of Prometheus comes back as evidence, never as an exception.
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
    """The only two clocks."""

    def now(self) -> datetime:
        """Wall time in UTC, for what is printed or remembered across restarts."""

    def monotonic(self) -> float:
        """Seconds that never jump, for every interval within this process."""


@dataclass(frozen=True, slots=True)
class EvidenceRequest:
    """What to measure for one SLO: its window, and burn windows for burn rates.

    ``hot`` while a release depends on it: it is then read as exactly as possible.
    ``release_starts`` says when these releases began: what was spent since is included if that
    costs no query.
    """

    slo: Slo
    burn_windows: frozenset[Duration]
    hot: bool = False
    release_starts: frozenset[datetime] = frozenset()


class EvidenceSource(Protocol):
    """Measures budgets."""

    async def measure(
        self, source: MetricsSource, requests: Sequence[EvidenceRequest], at: datetime
    ) -> Mapping[ObjectRef, Evidence]:
        """Evidence for each request, all for the same instant.

        Never raises for what a server answers or fails to answer. An SLO with an unreadable query
        costs no other SLO its evidence.
        """

    async def health(self, source: MetricsSource) -> SourceHealth:
        """The health of a source; never raises for what it answers or fails to answer."""

    def is_overloaded(self, source: MetricsSource) -> bool:
        """Whether a source has recently reported overload."""


class Snapshots(Protocol):
    """Keeps ledgers across restarts: a cache, whose loss costs reading again but no decision."""

    async def load(self) -> Mapping[str, bytes]:
        """What was saved last, by name, without what cannot be read."""

    async def save(self, kept: Mapping[str, bytes]) -> None:
        """Replace what was saved. Raises ``ClusterError`` or a subclass."""


class HoldOutcome(StrEnum):
    """How a hold or a release ended."""

    DONE = "Done"
    CONFLICT = "Conflict"
    GONE = "Gone"
    REFUSED = "Refused"


@dataclass(frozen=True, slots=True)
class HoldResult:
    """Result of a write to a workload; ``owners`` are managers in conflict, ``why`` a refusal."""

    outcome: HoldOutcome
    owners: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class HoldRef:
    """One hold, as read back from the workload.

    Attributes:
        owner: uid of the Rollout that it was created for.
        keep: it outlives that Rollout (``onDelete: KeepHeld``).
    """

    namespace: str
    ref: WorkloadRef
    uid: str
    owner: str
    keep: bool = False


class Workloads(Protocol):
    """Observes and holds workloads, through one adapter for each kind."""

    async def observe(self, namespace: str, ref: WorkloadRef, manager: str) -> WorkloadState:
        """Observe a workload; ``manager`` is our hold's field manager, to tell it from others."""

    async def hold(self, workload: WorkloadState, manager: str, *, keep: bool) -> HoldResult:
        """Hold exactly the object that was seen (its uid), never by force.

        ``keep`` marks the hold as one that outlives its Rollout.
        """

    async def release(self, hold_ref: HoldRef) -> HoldResult:
        """Release what this manager holds of exactly this object, and nothing else."""

    async def list_managers(self) -> Mapping[ApiResource, Mapping[ManagerRef, WorkloadRef]]:
        """Objects of other tools and the workloads that they manage, by kind. It never raises.

        A kind that cannot be listed is left out; one that the cluster lacks is empty.
        """

    async def held(self) -> Sequence[HoldRef]:
        """Every hold in the cluster, for any Rollout."""


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
    """A channel to people, such as Kubernetes Events or a chat."""

    async def notify(self, notification: Notification) -> None:
        """Send one notification. Raises ``ClusterError`` or a subclass."""


class StatusApi(Protocol):
    """Reads and writes our own objects. Every method raises ``ClusterError`` or a subclass."""

    async def list(self, resource: str) -> Sequence[CachedObject]:
        """All objects of a kind; Rollouts with the template bodies that their GateRecords keep."""

    async def write_status(self, resource: str, ref: ObjectRef, status: object) -> None:
        """Apply the whole status of an object with exactly this uid."""

    async def write_invalid(
        self, resource: str, obj: CachedObject, problem: SpecInvalid, now: datetime
    ) -> None:
        """Say on the object itself which field is wrong and what to write instead.

        Of a Rollout everything else in the status stays as it is: a restart resumes from it. Of
        other kinds nothing else is claimed.
        """

    async def write_record(self, ref: ObjectRef, record: GateRecord) -> None:
        """Write the GateRecord of one Rollout, owned by it, for exactly this uid.

        Raises ``NotFound`` where the Rollout is gone and the record is not its own: what a
        namesake wrote stays.
        """


class Discovery(Protocol):
    """Knows which kinds the cluster serves."""

    async def served(self, resources: Collection[ApiResource]) -> frozenset[ApiResource]:
        """Which of these kinds are served now. Raises ``ClusterError`` or a subclass."""


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
        """Whether we hold it, by the monotonic clock; checked before each write."""


@dataclass(frozen=True, slots=True)
class Upserted:
    """The watch saw one of our objects."""

    resource: str
    obj: CachedObject


@dataclass(frozen=True, slots=True)
class Deleted:
    """The watch saw that one of our objects was deleted."""

    resource: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class WorkloadChanged:
    """The watch saw a change of a workload, which is then observed again."""

    namespace: str
    ref: WorkloadRef


@dataclass(frozen=True, slots=True)
class ManagerChanged:
    """The watch saw an object of another tool; ``target`` is None once it is gone."""

    manager: ManagerRef
    target: WorkloadRef | None


@dataclass(frozen=True, slots=True)
class KindChanged:
    """The watch of a workload kind has begun or ended."""

    resource: ApiResource


WatchEvent = Upserted | Deleted | WorkloadChanged | ManagerChanged | KindChanged

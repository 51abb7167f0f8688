"""A read model of gates, which every replica has, the standby too.

It decides nothing: it reads the leader's decisions from the cached statuses, and answers Unknown
once they can no longer be relied on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock.domain.cached_object import Resource
from penstock.domain.evidence import EvidenceKind
from penstock.domain.policy import UnknownThen
from penstock.domain.rollout import Admission, InFlight, Mode, Rollout
from penstock.domain.rollout_state import Gate, ReleaseState, RolloutState
from penstock.domain.verdict import GateState, Reason, Verdict
from penstock.engine.evidence_view import EvidenceView
from penstock.engine.object_cache import Key, ObjectCache

# The heartbeat of a status is ten minutes.
STATUS_HOLDS_FOR = timedelta(minutes=11)
_HELD_BACK = frozenset(
    {
        Reason.BUDGET_LOW,
        Reason.BUDGET_EXHAUSTED,
        Reason.BURNING_FAST,
        Reason.BURNING_SLOW,
        Reason.RECOVERING,
        Reason.HELD_BY_PERSON,
        Reason.ADMITTED_WHILE_CLOSED,
        Reason.RELEASED_UNGATED,
    }
)
_PASSES = frozenset(
    {
        Reason.BUDGET_HEALTHY,
        Reason.ROLLBACK_PERMITTED,
        Reason.FIRST_RELEASE_PERMITTED,
        Reason.OVERRIDE_ACTIVE,
    }
)


@dataclass(frozen=True, slots=True)
class Leadership:
    """What this replica knows about the leader.

    Attributes:
        is_leader: this replica decides.
        is_renewed: the leader, whoever it is, was seen to renew the Lease in time.
    """

    is_leader: bool
    is_renewed: bool = True


@dataclass(frozen=True, slots=True)
class ReleaseDecision:
    """Whether the release in progress may continue; ``id`` is the hash of its template."""

    id: str
    proceeds: bool
    reason: str


@dataclass(frozen=True, slots=True)
class GateDecision:
    """The answers for one Rollout, to a new release and to the one in progress.

    Attributes:
        admits: whether a new release may start, given mode, enforcement and the effect of Unknown.
        release: None while none is in progress.
        gate: the last decision about the gate; None if there is none yet.
        is_current: whether the decision can be relied on; if not, the verdict is Unknown.
        why_not: why it cannot be relied on, in one sentence; empty if it can.
    """

    namespace: str
    rollout: str
    admits: bool
    release: ReleaseDecision | None
    verdict: Verdict
    state: GateState
    gate: Gate | None
    is_current: bool
    why_not: str = ""


class GateView:
    """Answers from the cache, without a request."""

    def __init__(self, cache: ObjectCache, evidence: EvidenceView) -> None:
        self._cache, self._evidence = cache, evidence

    def get(self, key: Key, leadership: Leadership, now: datetime) -> GateDecision | None:
        """The decision for one Rollout as of ``now``, in UTC; None if there is no such Rollout."""
        obj = self._cache.get(Resource.ROLLOUT, key)
        if obj is None:
            return None
        rollout = obj.spec if isinstance(obj.spec, Rollout) else None
        standing = obj.rollout_state or RolloutState()
        why_not = self._why_not(rollout, standing.gate, leadership, now)
        gate, is_current = standing.gate, not why_not
        if gate is not None and is_current:
            verdict, state = gate.verdict, gate.state
        else:
            verdict, state = Verdict.UNKNOWN, GateState.UNKNOWN
        release = standing.release
        return GateDecision(
            namespace=key[0],
            rollout=key[1],
            admits=_admits(rollout, state, is_current=is_current),
            release=_release(rollout, standing, release, is_current=is_current),
            verdict=verdict,
            state=state,
            gate=gate,
            is_current=is_current,
            why_not=why_not,
        )

    def _why_not(
        self, rollout: Rollout | None, gate: Gate | None, leadership: Leadership, now: datetime
    ) -> str:
        """Why the last decision cannot be relied on; empty if it can."""
        if gate is None:
            return "the gate has not been decided yet"
        if leadership.is_leader:
            if rollout is None or rollout.mode is Mode.OFF:
                return ""
            slos = self._evidence.for_rollout(rollout, now)
            stale = next((slo for slo in slos if slo.evidence.kind is EvidenceKind.STALE), None)
            return f"{stale.name}: {stale.evidence.detail}" if stale is not None else ""
        if not leadership.is_renewed:
            return "no replica of Penstock leads"
        # The gate of an invalid Rollout stays as it was decided last, however long ago.
        if rollout is not None and now - gate.decided_at > STATUS_HOLDS_FOR:
            return f"the gate was last decided at {gate.decided_at:%Y-%m-%d %H:%M UTC}"
        return ""


def _admits(rollout: Rollout | None, state: GateState, *, is_current: bool) -> bool:
    """The answer in the GateRecord; an invalid Rollout keeps its gate."""
    if rollout is not None:
        if rollout.mode is not Mode.ENFORCE or rollout.enforcement.admission is Admission.OFF:
            return True
        if not is_current:
            return _permits_unknown(rollout)
    return state is GateState.OPEN


def _release(
    rollout: Rollout | None, state: RolloutState, release: ReleaseState | None, *, is_current: bool
) -> ReleaseDecision | None:
    if release is None:
        return None
    return ReleaseDecision(
        id=release.id,
        proceeds=_proceeds(rollout, state, release, is_current=is_current),
        reason=release.reason or "",
    )


def _proceeds(
    rollout: Rollout | None, state: RolloutState, release: ReleaseState, *, is_current: bool
) -> bool:
    if rollout is not None:
        if rollout.mode is not Mode.ENFORCE or rollout.enforcement.in_flight is InFlight.OFF:
            return True
        if not is_current:
            return _permits_unknown(rollout) and not state.hold.active
    if state.hold.active or release.reason in _HELD_BACK:
        return False
    is_open = state.gate is not None and state.gate.state is GateState.OPEN
    return release.reason in _PASSES or (is_current and is_open)


def _permits_unknown(rollout: Rollout) -> bool:
    """What the author wants when nothing is known; the default is to hold."""
    return rollout.policy.outage.then is UnknownThen.PERMIT

"""Reconciles one Rollout: observes the workload, decides, carries out the actions, observes again.

What fails is retried with back-off. The order of the actions (``domain.gate``) makes a crash at
any write safe.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from penstock.domain.actions import WriteGateRecord, WriteStatus
from penstock.domain.cached_object import CachedObject, Resource
from penstock.domain.conditions import conditions
from penstock.domain.decision import SloEvidence
from penstock.domain.effective_settings import effective_settings
from penstock.domain.evidence import EvidenceKind
from penstock.domain.gate import StepResult, hold_manager, step
from penstock.domain.rollout import OnDelete, Rollout
from penstock.domain.rollout_state import RolloutState
from penstock.domain.verdict import GateState
from penstock.domain.workload import WorkloadState
from penstock.engine import rollout_metrics, triggers
from penstock.engine.active_releases import ActiveRelease
from penstock.engine.actuator import Actuator
from penstock.engine.evidence_view import EvaluationIntervals, EvidenceView
from penstock.engine.manager_index import with_manager
from penstock.engine.metric_names import CounterName
from penstock.engine.object_cache import Key
from penstock.engine.ports import (
    Clock,
    HoldOutcome,
    HoldRef,
    HoldResult,
    MetricsRecorder,
    Notification,
    Workloads,
)
from penstock.engine.status_writer import StatusWriter
from penstock.engine.stores import Stores
from penstock.errors import Forbidden, InvalidRequest, SpecInvalid

OBSERVE_AGAIN_SECONDS = 300.0
REFUSED_SECONDS = 30.0
# Longer than any source may take to answer once.
WARM_UP_SECONDS = 15.0
# Hold, observe, status and release, observe: no Rollout needs more rounds for one change.
ROUNDS = 3


@dataclass(slots=True)
class ReconcileState:
    """What is known of one Rollout between two rounds.

    Attributes:
        since: monotonic seconds at which it was first seen, or last changed by its author.
        workload: the workload as last observed; None: it has to be observed.
        seen_at: monotonic seconds of that observation.
        not_before: no action on the workload is retried before, because the API server has refused
            the last one.
        forbidden: what the API server last forbade and a notification has reported.
    """

    obj: CachedObject
    rollout: Rollout
    rollout_state: RolloutState
    since: float
    workload: WorkloadState | None = None
    seen_at: float = 0.0
    not_before: float = 0.0
    forbidden: str = ""


class RolloutReconciler:
    """Decides for all Rollouts and keeps their gates."""

    name = "rollouts"

    def __init__(
        self,
        stores: Stores,
        workloads: Workloads,
        actuator: Actuator,
        statuses: StatusWriter,
        clock: Clock,
        metrics: MetricsRecorder,
        intervals: EvaluationIntervals,
    ) -> None:
        self._cache, self._releases, self._queues = stores.cache, stores.releases, stores.queues
        self._evidence = EvidenceView(stores.cache, stores.evidence, clock, intervals)
        self._workloads, self._actuator, self._statuses = workloads, actuator, statuses
        self._clock, self._metrics, self._rest_seconds = clock, metrics, intervals.rest
        self._managers = stores.managers
        self._states: dict[Key, ReconcileState] = {}

    async def reconcile(self, key: Key, *, marked: bool) -> float | None:
        """Reconcile one Rollout; ``marked`` if its workload may have changed.

        Raises:
            ClusterError: the API server did not do what was asked.
        """
        try:
            again_after = await self._reconcile(key, observe=marked)
        except Exception as error:
            state = self._states.get(key)
            if state is not None:
                state.workload = None
                if isinstance(error, Forbidden):
                    await self._notify_forbidden(state, str(error))
            raise
        if key in self._states:
            self._states[key].forbidden = ""
        return again_after

    async def _reconcile(self, key: Key, *, observe: bool) -> float | None:
        obj, state = self._cache.get(Resource.ROLLOUT, key), self._states.get(key)
        if obj is None or (state is not None and state.rollout.ref.uid != obj.ref.uid):
            await self._finalize(key)
        if obj is None:
            return None
        if isinstance(obj.spec, SpecInvalid):
            await self._keep(key, obj, obj.spec)
            return None
        if not isinstance(obj.spec, Rollout):
            raise TypeError(f"{obj.ref} is not a Rollout")
        state = self._state_of(key, obj, obj.spec)
        slos = self._evidence.for_rollout(state.rollout, self._clock.now())
        warming_up = self._warm_up_left(state, slos)
        if warming_up > 0:
            return warming_up
        look_again_at = await self._rounds(key, state, slos, observe=observe)
        return self._seconds_until(state, look_again_at)

    async def _keep(self, key: Key, obj: CachedObject, problem: SpecInvalid) -> None:
        """An invalid Rollout changes nothing: its gate stays, and the object says why."""
        if key not in self._states and obj.rollout_state is not None:
            rollout_metrics.record(self._metrics, key, RolloutState(), obj.rollout_state)
        await self._statuses.write_invalid(Resource.ROLLOUT, obj, problem)

    def _state_of(self, key: Key, obj: CachedObject, rollout: Rollout) -> ReconcileState:
        state = self._states.get(key)
        if state is None:
            rollout_state, now = obj.rollout_state or RolloutState(), self._clock.monotonic()
            state = self._states[key] = ReconcileState(obj, rollout, rollout_state, now)
            self._releases.put(key, _active(state))
        if state.rollout.generation != rollout.generation:
            # A new policy may need burn windows that were not queried for its SLOs yet.
            state.since = self._clock.monotonic()
        state.obj, state.rollout = obj, rollout
        return state

    def _warm_up_left(self, state: ReconcileState, slos: tuple[SloEvidence, ...]) -> float:
        """Seconds for which the gate of a new or changed Rollout stays as it is, without evidence.

        New evidence brings the Rollout back here; the seconds limit the wait if none comes.
        """
        if not any(slo.evidence.kind is EvidenceKind.WARMING_UP for slo in slos):
            return 0.0
        return state.since + WARM_UP_SECONDS - self._clock.monotonic()

    def _seconds_until(self, state: ReconcileState, moment: datetime | None) -> float:
        """Seconds until the decision changes by itself, or a refused action is retried."""
        seconds = self._rest_seconds
        if moment is not None:
            seconds = min(seconds, (moment - self._clock.now()).total_seconds())
        refused = state.not_before - self._clock.monotonic()
        return max(0.0, min(seconds, refused) if refused > 0 else seconds)

    async def _rounds(
        self, key: Key, state: ReconcileState, slos: tuple[SloEvidence, ...], *, observe: bool
    ) -> datetime | None:
        """Reconcile in rounds; returns the latest moment at which to decide again."""
        result = None
        for _ in range(ROUNDS):
            workload = await self._observe(state, afresh=observe)
            result = self._decide(key, state, workload, slos)
            if not await self._carry_out(state, workload, result):
                break
            observe = True
        else:
            await self._write_status(state)
        return result.look_again_at if result is not None else None

    async def _observe(self, state: ReconcileState, *, afresh: bool) -> WorkloadState:
        now, rollout = self._clock.monotonic(), state.rollout
        if state.workload is None or afresh or now - state.seen_at >= OBSERVE_AGAIN_SECONDS:
            state.workload = await self._workloads.observe(
                rollout.ref.namespace, rollout.workload, hold_manager(rollout)
            )
            state.seen_at = now
        manager = self._managers.manager_of(rollout.ref.namespace, rollout.workload)
        return with_manager(state.workload, manager)

    def _decide(
        self,
        key: Key,
        state: ReconcileState,
        workload: WorkloadState,
        slos: tuple[SloEvidence, ...],
    ) -> StepResult:
        rollout, before, now = state.rollout, state.rollout_state, self._clock.now()
        rollouts = self._cache.rollouts_for_workload(rollout.ref.namespace, rollout.workload)
        conflicting = rollouts[0][1] if rollouts and rollouts[0] != key else None
        result = step(rollout, before, workload, slos, conflicting, now)
        rollout_state = replace(result.state, settings=effective_settings(rollout, slos))
        rollout_state = replace(
            rollout_state, conditions=conditions(rollout, rollout_state, workload, now)
        )
        state.rollout_state, gate = rollout_state, rollout_state.gate
        if gate is not None and (before.gate is None or gate.reason is not before.gate.reason):
            self._metrics.count(CounterName.DECISIONS, verdict=gate.verdict, reason=gate.reason)
        self._set_active(key, state)
        rollout_metrics.record(self._metrics, key, before, rollout_state)
        return result

    def _set_active(self, key: Key, state: ReconcileState) -> None:
        before, after = self._releases.get(key), _active(state)
        self._releases.put(key, after)
        self._queues.add(triggers.release_changed(self._cache, state.rollout, before, after))

    async def _carry_out(
        self, state: ReconcileState, workload: WorkloadState, result: StepResult
    ) -> bool:
        """Carry out all actions in order; returns whether to observe the workload again."""
        for action in result.actions:
            if isinstance(action, WriteGateRecord):
                await self._actuator.write_gate_record(state.rollout.ref, action)
            elif isinstance(action, WriteStatus):
                await self._write_status(state)
            elif self._clock.monotonic() < state.not_before:
                await self._write_status(state)
                return False
            else:
                outcome = await self._actuator.apply(state.rollout.ref, workload, action)
                self._learn(state, outcome)
        return result.workload_action is not None

    def _learn(self, state: ReconcileState, result: HoldResult) -> None:
        """Record an outcome. A field of another owner is left alone; a condition names the owner.

        What the API server refuses is retried later: the permission may have been granted by then.
        """
        hold = state.rollout_state.hold
        if result.outcome is HoldOutcome.CONFLICT:
            by = ", ".join(result.owners) or "another field manager"
            hold = replace(hold, contested_by=by)
        elif result.outcome is HoldOutcome.REFUSED:
            state.not_before = self._clock.monotonic() + REFUSED_SECONDS
            hold = replace(hold, refused=result.why)
        elif result.outcome is HoldOutcome.DONE:
            hold = replace(hold, refused="")
        state.rollout_state = replace(state.rollout_state, hold=hold)

    async def _write_status(self, state: ReconcileState) -> None:
        await self._statuses.write(Resource.ROLLOUT, state.obj, state.rollout_state)

    async def _finalize(self, key: Key) -> None:
        """The Rollout is gone, and its GateRecord with it: release its hold unless it is kept.

        Its state is dropped last, so that a failure here is retried.
        """
        state = self._states.get(key)
        if state is not None:
            workload = await self._observe(state, afresh=False)
            if workload.held_by_us:
                await self._release_held(state, workload)
            self._actuator.forget(state.rollout.ref)
        self._states.pop(key, None)
        self._releases.forget(key)
        self._statuses.forget(Resource.ROLLOUT, key)
        self._metrics.forget(namespace=key[0], rollout=key[1])

    async def _release_held(self, state: ReconcileState, workload: WorkloadState) -> None:
        rollout = state.rollout
        if rollout.on_delete is OnDelete.KEEP_HELD:
            return
        hold_ref = HoldRef(workload.namespace, workload.ref, workload.uid, rollout.ref.uid)
        result = await self._actuator.release(hold_ref)
        if result.outcome is HoldOutcome.GONE:
            return
        if result.outcome is not HoldOutcome.DONE:
            raise InvalidRequest(f"{workload.ref} is still held: {result.why or result.outcome}")
        message = f"{workload.ref} continues: its Rollout was deleted while it held a release"
        await self._notify(state, "HoldReleased", message)

    async def _notify_forbidden(self, state: ReconcileState, why: str) -> None:
        """Send a notification, because the status may be what Penstock is forbidden to write."""
        if state.forbidden != why:
            state.forbidden = why
            message = f"{why}; grant what deploy/base/rbac.yaml has; Penstock tries again"
            await self._notify(state, "Forbidden", message)

    async def _notify(self, state: ReconcileState, reason: str, message: str) -> None:
        now = self._clock.now()
        notification = Notification("Rollout", state.rollout.ref, True, reason, message, now)
        await self._statuses.notify(notification)


def _active(state: ReconcileState) -> ActiveRelease:
    rollout_state = state.rollout_state
    return ActiveRelease(
        uid=state.rollout.ref.uid,
        is_under_way=rollout_state.release is not None or rollout_state.hold.active,
        is_closed=rollout_state.gate is not None and rollout_state.gate.state is not GateState.OPEN,
        started_at=rollout_state.release.started_at if rollout_state.release is not None else None,
    )

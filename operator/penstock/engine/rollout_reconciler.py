"""Reconciles one Rollout: observes the workload, decides, carries the actions out, observes again.

What a failure leaves undone is retried, later each time. What was decided is safe against a crash
at any write, by the order of the actions (``domain.gate``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from penstock.domain.actions import WriteGateRecord, WriteStatus
from penstock.domain.case import Judged
from penstock.domain.conditions import conditions
from penstock.domain.entry import Entry, Resource
from penstock.domain.evidence import Kind
from penstock.domain.gate import StepResult, hold_manager, step
from penstock.domain.rollout import OnDelete, Rollout
from penstock.domain.settings_told import settings_told
from penstock.domain.standing import Standing
from penstock.domain.verdict import GateState
from penstock.domain.workload import Observation
from penstock.engine import rollout_metrics, triggers
from penstock.engine.active_releases import ActiveRelease
from penstock.engine.actuator import Actuator
from penstock.engine.evidence_view import EvaluationIntervals, EvidenceView
from penstock.engine.manager_index import with_manager
from penstock.engine.metric_names import CounterName
from penstock.engine.object_cache import Key
from penstock.engine.ports import Clock, Found, Held, Notification, Outcome, Tally, Workloads
from penstock.engine.status_writer import StatusWriter
from penstock.engine.stores import Stores
from penstock.errors import Forbidden, Refused, SpecInvalid

OBSERVE_AGAIN_SECONDS = 300.0
REFUSED_SECONDS = 30.0
# Longer than any source may take to answer once.
WARM_UP_SECONDS = 15.0
# A hold, a look, a status and a release, a look: no Rollout needs more rounds for one change.
ROUNDS = 3


@dataclass(slots=True)
class ReconcileState:
    """What is known of one Rollout between two rounds.

    Attributes:
        since: monotonic seconds when it was met, or its author changed it last.
        seen: the workload as observed last; None: it has to be observed.
        seen_at: monotonic seconds of that.
        not_before: no action on the workload is tried again before, as the API server has refused
            the last one.
        forbidden: what the API server forbade last, as a notification has said.
    """

    entry: Entry
    rollout: Rollout
    standing: Standing
    since: float
    seen: Observation | None = None
    seen_at: float = 0.0
    not_before: float = 0.0
    forbidden: str = ""


class RolloutReconciler:
    """Keeps the gates of all Rollouts."""

    name = "rollouts"

    def __init__(
        self,
        stores: Stores,
        workloads: Workloads,
        actuator: Actuator,
        statuses: StatusWriter,
        clock: Clock,
        tally: Tally,
        intervals: EvaluationIntervals,
    ) -> None:
        self._cache, self._releases, self._queues = stores.cache, stores.releases, stores.queues
        self._evidence = EvidenceView(stores.cache, stores.evidence, clock, intervals)
        self._workloads, self._actuator, self._statuses = workloads, actuator, statuses
        self._clock, self._tally, self._rest_seconds = clock, tally, intervals.rest
        self._managers = stores.managers
        self._states: dict[Key, ReconcileState] = {}

    async def reconcile(self, key: Key, *, marked: bool) -> float | None:
        """One Rollout; ``marked`` when its workload may have changed. Raises ``ClusterError``."""
        try:
            again_after = await self._reconcile(key, observe=marked)
        except Exception as error:
            state = self._states.get(key)
            if state is not None:
                state.seen = None
                if isinstance(error, Forbidden):
                    await self._notify_forbidden(state, str(error))
            raise
        if key in self._states:
            self._states[key].forbidden = ""
        return again_after

    async def _reconcile(self, key: Key, *, observe: bool) -> float | None:
        entry = self._cache.get(Resource.ROLLOUT, key)
        if entry is None:
            await self._finalize(key)
            return None
        if isinstance(entry.value, SpecInvalid):
            # An invalid Rollout changes nothing: its gate stays, and the object says why.
            await self._statuses.write_invalid(Resource.ROLLOUT, entry, entry.value)
            return None
        if not isinstance(entry.value, Rollout):
            raise TypeError(f"{entry.ref} is not a Rollout")
        state = await self._state_of(key, entry, entry.value)
        slos = self._evidence.for_rollout(state.rollout, self._clock.now())
        warming_up = self._warm_up_left(state, slos)
        if warming_up > 0:
            return warming_up
        look_again_at = await self._rounds(key, state, slos, observe=observe)
        return self._seconds_until(state, look_again_at)

    async def _state_of(self, key: Key, entry: Entry, rollout: Rollout) -> ReconcileState:
        state = self._states.get(key)
        if state is None or state.rollout.ref.uid != rollout.ref.uid:
            if state is not None:
                await self._finalize(key)
            standing, now = entry.standing or Standing(), self._clock.monotonic()
            state = self._states[key] = ReconcileState(entry, rollout, standing, now)
            self._releases.put(key, _active(state))
        if state.rollout.generation != rollout.generation:
            # A new policy may look back further than its SLOs have been asked so far.
            state.since = self._clock.monotonic()
        state.entry, state.rollout = entry, rollout
        return state

    def _warm_up_left(self, state: ReconcileState, slos: tuple[Judged, ...]) -> float:
        """Just met, or changed: a gate stays as it is until its SLOs have been evaluated once.

        Their evidence brings the Rollout back here; the seconds that are left are for none coming.
        """
        if not any(one.evidence.kind is Kind.WARMING_UP for one in slos):
            return 0.0
        return state.since + WARM_UP_SECONDS - self._clock.monotonic()

    def _seconds_until(self, state: ReconcileState, moment: datetime | None) -> float:
        """Until the decision changes by itself, or a refused action is tried again."""
        seconds = self._rest_seconds
        if moment is not None:
            seconds = min(seconds, (moment - self._clock.now()).total_seconds())
        refused = state.not_before - self._clock.monotonic()
        return max(0.0, min(seconds, refused) if refused > 0 else seconds)

    async def _rounds(
        self, key: Key, state: ReconcileState, slos: tuple[Judged, ...], *, observe: bool
    ) -> datetime | None:
        """Returns when the result must be looked at again at the latest."""
        result = None
        for _ in range(ROUNDS):
            seen = await self._observe(state, afresh=observe)
            result = self._decide(key, state, seen, slos)
            if not await self._carry_out(state, seen, result):
                break
            observe = True
        else:
            await self._write_status(state)
        return result.look_again_at if result is not None else None

    async def _observe(self, state: ReconcileState, *, afresh: bool) -> Observation:
        now, rollout = self._clock.monotonic(), state.rollout
        if state.seen is None or afresh or now - state.seen_at >= OBSERVE_AGAIN_SECONDS:
            state.seen = await self._workloads.observe(
                rollout.ref.namespace, rollout.workload, hold_manager(rollout)
            )
            state.seen_at = now
        manager = self._managers.manager_of(rollout.ref.namespace, rollout.workload)
        return with_manager(state.seen, manager)

    def _decide(
        self, key: Key, state: ReconcileState, seen: Observation, slos: tuple[Judged, ...]
    ) -> StepResult:
        rollout, before, now = state.rollout, state.standing, self._clock.now()
        rollouts = self._cache.rollouts_for_workload(rollout.ref.namespace, rollout.workload)
        rival = rollouts[0][1] if rollouts and rollouts[0] != key else None
        result = step(rollout, before, seen, slos, rival, now)
        standing = replace(result.standing, settings=settings_told(rollout, slos))
        standing = replace(standing, conditions=conditions(rollout, standing, seen, now))
        state.standing, gate = standing, standing.gate
        if gate is not None and (before.gate is None or gate.reason is not before.gate.reason):
            self._tally.count(CounterName.DECISIONS, verdict=gate.verdict, reason=gate.reason)
        self._set_active(key, state)
        rollout_metrics.record(self._tally, key, before, standing)
        return result

    def _set_active(self, key: Key, state: ReconcileState) -> None:
        before, after = self._releases.get(key), _active(state)
        self._releases.put(key, after)
        self._queues.add(triggers.release_changed(self._cache, state.rollout, before, after))

    async def _carry_out(
        self, state: ReconcileState, seen: Observation, result: StepResult
    ) -> bool:
        """All actions in their order; whether the workload is to be observed again."""
        for action in result.actions:
            if isinstance(action, WriteGateRecord):
                await self._actuator.write_gate_record(state.rollout.ref, action)
            elif isinstance(action, WriteStatus):
                await self._write_status(state)
            elif self._clock.monotonic() < state.not_before:
                await self._write_status(state)
                return False
            else:
                outcome = await self._actuator.apply(state.rollout.ref, seen, action)
                self._learn(state, outcome)
        return result.workload_action is not None

    def _learn(self, state: ReconcileState, outcome: Outcome) -> None:
        """A field that somebody else owns is theirs: no force, a condition that names them.

        What the API server refuses is tried again after a while: a right may be granted.
        """
        hold = state.standing.hold
        if outcome.found is Found.CONFLICT:
            by = ", ".join(outcome.by) or "another field manager"
            hold = replace(hold, contested_by=by)
        elif outcome.found is Found.REFUSED:
            state.not_before = self._clock.monotonic() + REFUSED_SECONDS
            hold = replace(hold, refused=outcome.why)
        elif outcome.found is Found.DONE:
            hold = replace(hold, refused="")
        state.standing = replace(state.standing, hold=hold)

    async def _write_status(self, state: ReconcileState) -> None:
        await self._statuses.write(Resource.ROLLOUT, state.entry, state.standing)

    async def _finalize(self, key: Key) -> None:
        """The Rollout is gone: its GateRecord goes with it, its hold is released unless kept.

        It is forgotten last, so that what fails here is tried again.
        """
        state = self._states.get(key)
        if state is not None:
            seen = await self._observe(state, afresh=False)
            if seen.ours:
                await self._release_held(state, seen)
            self._actuator.forget(state.rollout.ref)
        self._states.pop(key, None)
        self._releases.forget(key)
        self._statuses.forget(Resource.ROLLOUT, key)
        self._tally.forget(namespace=key[0], rollout=key[1])

    async def _release_held(self, state: ReconcileState, seen: Observation) -> None:
        rollout = state.rollout
        if rollout.on_delete is OnDelete.KEEP_HELD:
            return
        held = Held(seen.namespace, seen.ref, seen.uid, rollout.ref.uid)
        outcome = await self._actuator.release(held)
        if outcome.found is Found.GONE:
            return
        if outcome.found is not Found.DONE:
            raise Refused(f"{seen.ref} keeps an old hold: {outcome.why or outcome.found}")
        message = f"{seen.ref} continues: its Rollout was deleted while it held a release"
        await self._notify(state, "HoldReleased", message)

    async def _notify_forbidden(self, state: ReconcileState, why: str) -> None:
        """Where the status itself may not be written, a notification is what a person finds."""
        if state.forbidden != why:
            state.forbidden = why
            message = f"{why}; grant what deploy/base/rbac.yaml has; Penstock tries again"
            await self._notify(state, "Forbidden", message)

    async def _notify(self, state: ReconcileState, reason: str, message: str) -> None:
        now = self._clock.now()
        notification = Notification("Rollout", state.rollout.ref, True, reason, message, now)
        await self._statuses.notify(notification)


def _active(state: ReconcileState) -> ActiveRelease:
    standing = state.standing
    return ActiveRelease(
        uid=state.rollout.ref.uid,
        is_under_way=standing.release is not None or standing.hold.active,
        is_shut=standing.gate is not None and standing.gate.state is not GateState.OPEN,
        started_at=standing.release.started_at if standing.release is not None else None,
    )

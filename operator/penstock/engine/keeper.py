"""Keeps each Rollout's gate: looks, steps, acts, looks again, and then tells.

One Rollout is worked on by one task at a time, so its writes keep their order; different Rollouts
go in parallel, bounded. What a failure leaves undone is tried again, later each time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from penstock.domain.case import Judged
from penstock.domain.conditions import conditions
from penstock.domain.entry import Resource
from penstock.domain.evidence import Kind
from penstock.domain.gate import Act, Step, hold_manager, step
from penstock.domain.rollout import OnDelete, Rollout
from penstock.domain.settings_told import settings_told
from penstock.domain.standing import Record, Standing
from penstock.domain.verdict import GateState
from penstock.domain.workload import Observation
from penstock.engine.catalog import Catalog, Key
from penstock.engine.kept import Kept
from penstock.engine.orders import Orders
from penstock.engine.ports import (
    Clock,
    Cluster,
    Event,
    Found,
    Held,
    Lease,
    Outcome,
    Tally,
    Workloads,
)
from penstock.engine.schedule import Schedule
from penstock.engine.showing import show
from penstock.engine.telling import is_transition, rollout_is_worth_telling
from penstock.errors import ClusterError, Forbidden, Refused, SpecInvalid, Throttled

log = logging.getLogger(__name__)

WORKERS = 8
BACKOFF_SECONDS = (1, 2, 5, 10, 30, 60)
LOOK_AGAIN_SECONDS = 300.0
REFUSED_SECONDS = 30.0
# Longer than any source may take to answer once.
WARM_UP_SECONDS, WARM_UP_STEP_SECONDS = 15.0, 0.2
# A hold, a look, a release told and done, a look: no Rollout needs more rounds for one change.
ROUNDS = 3


class Keeper:
    """All gates."""

    def __init__(
        self,
        catalog: Catalog,
        cluster: Cluster,
        workloads: Workloads,
        clock: Clock,
        tally: Tally,
        lease: Lease,
        evidence: Callable[[Rollout, datetime], tuple[Judged, ...]],
        hurry: Callable[[Rollout], None],
        rest_seconds: float,
    ) -> None:
        self._catalog, self._cluster, self._workloads = catalog, cluster, workloads
        self._clock, self._tally, self._lease, self._evidence = clock, tally, lease, evidence
        self._hurry, self._rest = hurry, rest_seconds
        self._kept: dict[Key, Kept] = {}
        self._problems_told: dict[Key, tuple[int, str]] = {}
        self._orders: Orders[Key] = Orders()
        self._later: Schedule[Key] = Schedule()

    def stir(self, rollouts: Iterable[Key], *, look: bool = False) -> None:
        """Work on these soon; ``look`` when the workload itself may have changed."""
        for key in rollouts:
            self._orders.put(key, urgent=look)

    def is_hot(self, rollout: Key, *, spared: bool) -> bool:
        """Whether its SLOs are asked more often: its gate is shut, or a release is under way.

        A shut gate alone is not worth it where the source is to be spared: it would have the more
        to do, the more gates are shut because it has too much to do.
        """
        kept = self._kept.get(rollout)
        return kept is not None and (kept.is_under_way or (kept.is_shut and not spared))

    def onsets(self, rollouts: Iterable[Key]) -> frozenset[datetime]:
        """When the releases that are under way began."""
        standings = [self._kept[key].standing for key in rollouts if key in self._kept]
        return frozenset(one.release.started_at for one in standings if one.release is not None)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._wake())
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _wake(self) -> None:
        while True:
            self.stir(self._later.take(self._clock.monotonic()))
            await asyncio.sleep(0.25)

    async def _work(self) -> None:
        while True:
            key, look = await self._orders.take()
            try:
                await self._keep(key, look=look)
            finally:
                self._orders.done(key)

    async def _keep(self, key: Key, *, look: bool) -> None:
        if not self._lease.held:
            self._later.set(key, self._clock.monotonic() + 1.0)
            return
        try:
            await self._once(key, look=look)
        except ClusterError as error:
            self._again(key, error)
            if isinstance(error, Forbidden):
                await self._tell_forbidden(key, str(error))
        except Exception:
            log.exception("keeping %s failed", "/".join(key))
            self._tally.count("penstock_errors_total", where="keeper")
            self._again(key, None)
        else:
            if key in self._kept:
                self._kept[key].failures, self._kept[key].forbidden = 0, ""
                self._later.sooner(key, self._clock.monotonic() + self._rest)

    def _again(self, key: Key, error: ClusterError | None) -> None:
        kept = self._kept.get(key)
        failures = kept.failures if kept else 0
        seconds: float = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]
        if isinstance(error, Throttled):
            seconds = max(seconds, error.retry_after)
        if kept is not None:
            kept.failures += 1
            kept.seen = None
        if error is not None:
            log.warning("%s: %s; again in %.0f s", "/".join(key), error, seconds)
        self._later.set(key, self._clock.monotonic() + seconds)

    async def _once(self, key: Key, *, look: bool) -> None:
        entry = self._catalog.get(Resource.ROLLOUT, key)
        if entry is None:
            await self._gone(key)
            return
        if isinstance(entry.value, SpecInvalid):
            await self._tell_problem(key, entry.value)
            return
        self._problems_told.pop(key, None)
        if not isinstance(entry.value, Rollout):
            raise TypeError(f"{entry.ref} is no Rollout")
        kept = self._kept.get(key)
        if kept is None or kept.rollout.ref.uid != entry.ref.uid:
            if kept is not None:
                await self._gone(key)
            standing, now = entry.standing or Standing(), self._clock.monotonic()
            kept = Kept(entry.value, standing, now, told=entry.standing)
            self._kept[key] = kept
        if kept.rollout.generation != entry.value.generation:
            # A new policy may look back further than its SLOs have been asked so far.
            kept.since = self._clock.monotonic()
        kept.rollout = entry.value
        await self._rounds(key, kept, look=look)

    async def _rounds(self, key: Key, kept: Kept, *, look: bool) -> None:
        if self._too_early(kept):
            self._later.sooner(key, self._clock.monotonic() + WARM_UP_STEP_SECONDS)
            return
        for _ in range(ROUNDS):
            await self._look(kept, afresh=look)
            stepped = self._step(key, kept)
            await self._record(kept, stepped.record)
            if stepped.act is Act.NOTHING or self._clock.monotonic() < kept.not_before:
                break
            if stepped.act is Act.RELEASE:
                # Told before it is done: after a crash in between it is released again, instead of
                # being taken for a person's doing.
                await self._tell(kept)
            await self._perform(kept, stepped.act)
            look = True
        await self._tell(kept)

    def _too_early(self, kept: Kept) -> bool:
        """Just met, or changed: a gate stays as it is until its SLOs have been asked once."""
        if self._clock.monotonic() - kept.since > WARM_UP_SECONDS:
            return False
        judged = self._evidence(kept.rollout, self._clock.now())
        return any(one.evidence.kind is Kind.WARMING_UP for one in judged)

    async def _look(self, kept: Kept, *, afresh: bool) -> None:
        now = self._clock.monotonic()
        if kept.seen is not None and not afresh and now - kept.seen_at < LOOK_AGAIN_SECONDS:
            return
        rollout = kept.rollout
        kept.seen = await self._workloads.observe(
            rollout.ref.namespace, rollout.workload, hold_manager(rollout)
        )
        kept.seen_at = now

    def _step(self, key: Key, kept: Kept) -> Step:
        if kept.seen is None:
            raise RuntimeError("stepping without a look")
        rollout, now = kept.rollout, self._clock.now()
        guards = self._catalog.guards_of(rollout.ref.namespace, rollout.workload)
        rival = guards[0][1] if guards and guards[0] != key else None
        judged = self._evidence(rollout, now)
        before, was_under_way = kept.standing, kept.is_under_way
        stepped = step(rollout, kept.standing, kept.seen, judged, rival, now)
        standing = replace(stepped.standing, settings=settings_told(rollout, judged))
        kept.standing = replace(standing, conditions=conditions(rollout, standing, kept.seen, now))
        gate = kept.standing.gate
        if gate is not None and (before.gate is None or gate.reason is not before.gate.reason):
            self._tally.count("penstock_decisions_total", verdict=gate.verdict, reason=gate.reason)
        if kept.is_under_way and not was_under_way:
            self._hurry(rollout)
        show(self._tally, key, before, kept.standing)
        return replace(stepped, standing=kept.standing)

    async def _record(self, kept: Kept, wanted: Record) -> None:
        """What admission reads comes first: it is the line without a window."""
        gate = kept.standing.gate
        mark = replace(wanted, message=f"{gate.state} {gate.reason}" if gate else "")
        if kept.recorded == mark:
            return
        self._check_lease()
        await self._cluster.write_record(kept.rollout.ref, wanted)
        kept.recorded = mark

    async def _perform(self, kept: Kept, act: Act) -> None:
        if kept.seen is None:
            return
        self._check_lease()
        rollout, seen = kept.rollout, kept.seen
        if act is Act.HOLD:
            keep = rollout.on_delete is OnDelete.KEEP_HELD
            outcome = await self._workloads.hold(seen, hold_manager(rollout), keep=keep)
        else:
            outcome = await self._workloads.release(
                Held(seen.namespace, seen.ref, seen.uid, rollout.ref.uid)
            )
        self._tally.count("penstock_writes_total", kind=act, outcome=outcome.found)
        self._learn(kept, outcome)

    def _learn(self, kept: Kept, outcome: Outcome) -> None:
        """A field that somebody else owns is theirs: no force, a condition that names them.

        What the API server refuses is told, and tried again after a while: a right may be granted.
        """
        hold = kept.standing.hold
        if outcome.found is Found.CONFLICT:
            by = ", ".join(outcome.by) or "another field manager"
            hold = replace(hold, contested_by=by)
        elif outcome.found is Found.REFUSED:
            kept.not_before = self._clock.monotonic() + REFUSED_SECONDS
            hold = replace(hold, refused=outcome.why)
        elif outcome.found is Found.DONE:
            hold = replace(hold, refused="")
        kept.standing = replace(kept.standing, hold=hold)

    async def _tell(self, kept: Kept) -> None:
        if not rollout_is_worth_telling(kept.rollout.ref, kept.standing, kept.told):
            return
        self._check_lease()
        standing = kept.standing
        await self._cluster.write_rollout(kept.rollout.ref, standing)
        former, kept.told = kept.told, standing
        if is_transition(standing, former) and standing.gate is not None:
            gate = standing.gate
            warning = gate.state is not GateState.OPEN
            await self._post(kept.rollout, gate.reason, gate.message, warning=warning)

    async def _post(
        self, rollout: Rollout, reason: str, message: str, *, warning: bool = True
    ) -> None:
        event = Event("Rollout", rollout.ref, warning, reason, message, self._clock.now())
        try:
            await self._cluster.tell(event)
        except ClusterError as error:
            log.warning("event %s for %s was not posted: %s", event.reason, event.ref, error)
            self._tally.count("penstock_errors_total", where="events")

    async def _tell_forbidden(self, key: Key, told: str) -> None:
        """Where the status itself may not be written, an Event is what a person finds."""
        kept = self._kept.get(key)
        if kept is None or kept.forbidden == told:
            return
        kept.forbidden = told
        message = f"{told}; grant what deploy/base/rbac.yaml has, and it is tried again"
        await self._post(kept.rollout, "Forbidden", message)

    async def _tell_problem(self, key: Key, problem: SpecInvalid) -> None:
        """An invalid Rollout changes nothing: the gate stays as it is, and the object says why."""
        entry = self._catalog.get(Resource.ROLLOUT, key)
        if entry is None or self._problems_told.get(key) == (entry.version, str(problem)):
            return
        self._check_lease()
        await self._cluster.write_invalid(Resource.ROLLOUT, entry, problem)
        self._problems_told[key] = entry.version, str(problem)

    async def _gone(self, key: Key) -> None:
        """The Rollout is gone: its record goes with it, its hold is given back unless kept.

        It is forgotten last, so that what fails here is tried again.
        """
        kept = self._kept.get(key)
        if kept is not None:
            await self._look(kept, afresh=False)
            if kept.seen is not None and kept.seen.ours:
                await self._give_back(kept, kept.seen)
        self._kept.pop(key, None)
        self._later.drop(key)
        self._tally.forget(namespace=key[0], rollout=key[1])

    async def _give_back(self, kept: Kept, seen: Observation) -> None:
        rollout = kept.rollout
        if rollout.on_delete is OnDelete.KEEP_HELD:
            return
        self._check_lease()
        held = Held(seen.namespace, seen.ref, seen.uid, rollout.ref.uid)
        outcome = await self._workloads.release(held)
        if outcome.found is Found.GONE:
            return
        if outcome.found is not Found.DONE:
            raise Refused(f"{seen.ref} keeps an old hold: {outcome.why or outcome.found}")
        message = f"{seen.ref} goes on: its Rollout was deleted while it held a release"
        await self._post(rollout, "HoldReleased", message)

    def _check_lease(self) -> None:
        if not self._lease.held:
            raise ClusterError("leadership is lost, so nothing is written")

"""One namespace in virtual time: what authors and people do in it, an engine at work, what is seen.

Hours pass in milliseconds, since time passes only while nothing else is to be done. An engine may
be killed at any moment and another one started upon what is there. At its end each story is judged:
see ``judge``.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

from penstock.domain.cached_object import Resource
from penstock.engine.ports import Notification
from support.doubles.connection import Call, Done, Fault, Rule
from support.doubles.deployments import API_VERSION, KIND, PACE_SECONDS, Deployment, image
from support.doubles.measures import Measured
from support.doubles.store import RECORDS, Body
from support.virtual.engines import Engines
from support.virtual.judge import violations_of, whatever_differs

T = TypeVar("T")

NAMESPACE, NAME = "shop", "web"
INDICATOR = {"ratio": {"bad": "errors", "total": "requests"}}
# Something that is waited for is looked at after each change and each call, and besides so often.
LOOK_AGAIN_SECONDS = 1.0
# Longer than an SLO at rest is not asked, and than a refused act waits.
PATIENCE_SECONDS = 150.0


class World(Engines):
    """All that is there, and what is done and seen; the engines work on it one after the other."""

    is_judged = True

    def play(self, story: Coroutine[Any, Any, T]) -> T:
        """Play a story to its end, and judge it."""
        random.seed(7)
        return self.loop.play(self._played(story))

    async def _played(self, story: Coroutine[Any, Any, T]) -> T:
        try:
            result = await story
            if self.is_judged:
                await self.judge()
            return result
        finally:
            await self.end_all()

    # What authors and people do.

    def source(self, name: str = "default") -> None:
        """A MetricsSource."""
        self.store.put(Resource.METRICS_SOURCE, NAMESPACE, name, {"url": "http://prometheus:9090"})

    def slo(self, name: str = NAME, labels: Mapping[str, str] | None = None, **spec: Any) -> None:
        """An SLO of 99% over 30 days, unless it is said otherwise."""
        usual = {"objective": "99%", "window": {"rolling": "30d"}, "indicator": INDICATOR}
        self.store.put(Resource.SLO, NAMESPACE, name, usual | spec, labels)

    def rollout(
        self,
        name: str = NAME,
        *,
        workload: str = NAME,
        slos: tuple[str, ...] = (NAME,),
        kind: str = KIND,
        **spec: Any,
    ) -> None:
        """A Rollout with the default policy, unless it is said otherwise."""
        ref = {"apiVersion": API_VERSION, "kind": kind, "name": workload}
        named = {"slos": [{"name": one} for one in slos]} if slos else {}
        self.store.put(Resource.ROLLOUT, NAMESPACE, name, {"workloadRef": ref, **named, **spec})

    def edit(self, name: str = NAME, kind: str = "rollouts", **spec: Any) -> None:
        """Change some fields of a spec; None takes one away."""
        known = self.store.read(kind, NAMESPACE, name)["spec"]
        wanted = {key: value for key, value in (known | spec).items() if value is not None}
        self.store.put(Resource(kind), NAMESPACE, name, wanted)

    def hold(self, reason: str = "a person's wish", name: str = NAME) -> None:
        """A person's own hold, in the Rollout's spec."""
        self.edit(name, hold={"reason": reason})

    def unhold(self, name: str = NAME) -> None:
        """End it."""
        self.edit(name, hold=None)

    def delete(self, kind: str, name: str = NAME) -> None:
        """An object of ours is deleted."""
        self.store.delete(kind, NAMESPACE, name)

    def deploy(self, name: str = NAME, replicas: int = 10, tag: str = "1") -> Deployment:
        """A Deployment that runs completely."""
        made = self._made(name, replicas, tag)
        made.begin()
        made.changed()
        return made

    def _made(self, name: str, replicas: int, tag: str) -> Deployment:
        uid = f"deployment-{self.store.next_version()}"
        made = Deployment(NAMESPACE, name, uid, image(tag, name), replicas)
        made.on_change = lambda: self.changed("deployments", NAMESPACE, name)
        self.store.deployments[NAMESPACE, name] = made
        return made

    def deploy_for_the_first_time(self, name: str = NAME, *, paused: bool = False) -> Deployment:
        """A Deployment of which nothing ran before; paused it has no ReplicaSet yet."""
        made = self._made(name, 10, "1")
        if paused:
            made.pausers["kubectl"] = True
        made.first_release(None)
        made.changed()
        return made

    def undeploy(self, name: str = NAME) -> None:
        """The Deployment is deleted."""
        del self.store.deployments[NAMESPACE, name]
        self.changed("deployments", NAMESPACE, name)

    def release(self, tag: str = "2", name: str = NAME, pace: float | None = PACE_SECONDS) -> None:
        """Another image; a pace of None never gets further than half."""
        self.workload(name).change(image(tag, name), pace)

    def workload(self, name: str = NAME) -> Deployment:
        """A Deployment."""
        return self.store.deployments[NAMESPACE, name]

    def measures(self, measured: Measured, slo: str = NAME) -> None:
        """From now on an SLO's events are these."""
        self.metrics.script[NAMESPACE, slo] = measured

    # Trouble.

    def trouble(
        self,
        fault: Fault,
        *methods: str,
        kind: str = "",
        first: int = 0,
        numbers: range | None = None,
        matches: Callable[[Call], bool] = lambda call: True,
    ) -> Rule:
        """A fault for the calls of some methods, or for the writes of a kind: for the ``first`` few
        of them, for some by their numbers, else for all.
        """

        def meant(call: Call) -> bool:
            return (
                (not methods or call.method in methods)
                and kind in ("", call.kind)
                and matches(call)
            )

        chosen = range(1, first + 1) if first else numbers
        return self.connections.arm(meant, fault, chosen)

    def calm(self) -> None:
        """No more trouble."""
        self.connections.disarm()

    # What is seen.

    def now(self) -> datetime:
        """Wall time."""
        return self.loop.now()

    def read(self, kind: str = "rollouts", name: str = NAME) -> Body:
        """An object; empty when it is not there."""
        return self.store.read(kind, NAMESPACE, name)

    def status(self, name: str = NAME, kind: str = "rollouts") -> Body:
        """A status; empty while there is none."""
        found: Body = self.read(kind, name).get("status") or {}
        return found

    def gate(self, name: str = NAME) -> Body:
        """Where the gate of a Rollout stands."""
        found: Body = self.status(name).get("gate") or {}
        return found

    def condition(self, type_: str, name: str = NAME, kind: str = "rollouts") -> Body:
        """One condition."""
        conditions = self.status(name, kind).get("conditions") or ()
        return next((one for one in conditions if one["type"] == type_), {})

    def record(self, name: str = NAME) -> Body:
        """What admission reads; empty while there is nothing."""
        found: Body = self.read(RECORDS, name).get("data") or {}
        return found

    def admits(self, name: str = NAME) -> bool:
        """Whether a new template is admitted without a warning."""
        found = self.record(name)
        return not found or bool(found["admits"])

    def events(self, name: str = NAME, kind: str = "Rollout") -> list[Notification]:
        """Events about an object, oldest first."""
        return [one for one in self.store.events if (one.ref.name, one.kind) == (name, kind)]

    def reasons(self, name: str = NAME) -> list[str]:
        """The reasons of a Rollout's Events."""
        return [str(one.reason) for one in self.events(name)]

    def writes(self, kind: str = "", since: float = 0.0) -> list[Done]:
        """Writes that had an effect."""
        done = self.connections.writes()
        return [one for one in done if kind in ("", one.call.kind) and one.at >= since]

    def under_way(self, method: str) -> bool:
        """Whether a call of this method is in progress."""
        return any(one.method == method for one in self.process.connection.pending)

    def calls(self, method: str, since: float = 0.0) -> list[Done]:
        """Calls of one method of a port, whatever became of them."""
        log = self.connections.log
        return [one for one in log if one.call.method == method and one.at >= since]

    # What is waited for.

    async def passes(self, seconds: float) -> None:
        """So much time passes."""
        await asyncio.sleep(seconds)

    async def until(
        self, what: str, is_so: Callable[[], object], seconds: float = PATIENCE_SECONDS
    ) -> float:
        """Wait for something; how long it took, in virtual seconds."""
        begun = self.loop.time()
        while not is_so():
            passed = self.loop.time() - begun
            assert passed < seconds, f"{what}: not in {seconds:.0f} s; {self.describe()}"
            self.stirred.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                    await self.stirred.wait()
        return self.loop.time() - begun

    async def gate_is(
        self, state: str, reason: str = "", name: str = NAME, seconds: float = PATIENCE_SECONDS
    ) -> Body:
        """Wait until a gate stands so; the gate."""

        def stands() -> bool:
            gate = self.gate(name)
            return gate.get("state") == state and reason in ("", gate.get("reason"))

        await self.until(f"the gate is {state} {reason}", stands, seconds)
        return self.gate(name)

    async def told(self, *reasons: str, name: str = NAME) -> None:
        """Wait until exactly these Events were posted about a Rollout, in this order."""
        await self.until(f"Events are {reasons}", lambda: tuple(self.reasons(name)) == reasons)
        await self.passes(1)
        assert tuple(self.reasons(name)) == reasons

    async def condition_is(
        self,
        type_: str,
        status: str,
        reason: str = "",
        name: str = NAME,
        kind: str = "rollouts",
    ) -> Body:
        """Wait for a condition; the condition."""

        def stands() -> bool:
            found = self.condition(type_, name, kind)
            return found.get("status") == status and reason in ("", found.get("reason"))

        await self.until(f"condition {type_} is {status} {reason}", stands)
        return self.condition(type_, name, kind)

    async def held(self, effective: str = "", name: str = NAME) -> Body:
        """Wait until a hold is told and in force; the status."""

        def is_held() -> bool:
            hold = self.status(name).get("hold") or {}
            told = hold.get("active") and effective in ("", hold.get("effective"))
            return bool(told) and self.workload(name).paused

        await self.until("it is held", is_held)
        return self.status(name)

    async def not_held(self, name: str = NAME, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until nothing of ours holds it and the status says so."""

        def is_free() -> bool:
            hold = self.status(name).get("hold") or {}
            ours = [one for one in self.workload(name).holders if one.startswith("penstock")]
            return not hold.get("active") and not ours

        await self.until("it is not held", is_free, seconds)

    async def guarded(self, **spec: Any) -> None:
        """An engine at work, and a Deployment at rest behind an open gate."""
        self.source()
        self.slo()
        self.deploy()
        self.rollout(**spec)
        self.start()
        await self.gate_is("Open", "BudgetHealthy")
        await self.until("its template is known as stable", lambda: self.status().get("stable"))

    async def held_for_burning(self, measured: Measured) -> None:
        """A release in progress is held, since an SLO burns."""
        self.release(pace=None)
        await self.until("it is under way", lambda: self.status().get("release"))
        self.measures(measured)
        await self.held("partial")

    # How it is judged.

    async def judge(self) -> None:
        """All is decided once more from the final inputs and compared; all writes are judged.

        A story may end in the midst of something, so agreement is waited for.
        """
        await self.passes(1)
        if not self.processes or not self.process.is_running:
            self.start()
        await self.until("the oracle agrees", lambda: not self.differences())
        found = violations_of(self.connections.writes(), self.store)
        errors = self.tally.errors()
        assert not found, "\n".join(found)
        assert errors == 0, f"{errors} unforeseen errors"

    def differences(self) -> list[str]:
        """What a fresh eye sees otherwise than it is told."""
        return whatever_differs(
            self.store, self.metrics, self.tally, self.now(), self.intervals.scrape
        )

    def describe(self) -> str:
        """All that helps to understand a failure."""
        now = self.now().astimezone(UTC)
        return f"at {now:%H:%M:%S}: {self.status()} {self.record()} {self.differences()}"

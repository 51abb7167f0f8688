"""What lies between one engine and the world: latency, faults by plan, a record, and death.

Each double of a port sends its calls through the connection of the engine that makes them. A call
takes effect at once and as a whole, between two short waits, so that other calls come in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from penstock.errors import Unavailable

T = TypeVar("T")
LATENCY_SECONDS = 0.02


@dataclass(frozen=True)
class Call:
    """One call of a port.

    Attributes:
        method: as the port names it.
        kind: what a write is about, as ``rollouts`` or ``events``; empty for a read.
        write: its content, for a record of all that was written; None for a read.
    """

    method: str
    namespace: str = ""
    name: str = ""
    kind: str = ""
    write: Any = None

    @property
    def writes(self) -> bool:
        return bool(self.kind)

    def __str__(self) -> str:
        return f"{self.method} {self.namespace}/{self.name}"


@dataclass(frozen=True)
class Fault:
    """What happens to a call.

    Attributes:
        error: it raises this.
        applied: the call has its effect all the same: only the answer is lost.
        late: seconds after which it has its effect, long after its caller has been given up on.
        hangs: it never returns.
        kills: the engine dies while it hangs.
        seconds: how much longer it takes to have its effect.
        answer_seconds: how much longer its answer takes.
    """

    error: Callable[[], Exception] | None = None
    applied: bool = False
    late: float | None = None
    hangs: bool = False
    kills: bool = False
    seconds: float = 0.0
    answer_seconds: float = 0.0


NO_FAULT = Fault()


def fails(error: Callable[[], Exception]) -> Fault:
    """It is refused, and has no effect."""
    return Fault(error)


def answer_lost() -> Fault:
    """It has its effect, and its caller never learns of it."""
    return Fault(lambda: Unavailable("the answer was lost"), applied=True)


def arrives_late(seconds: float) -> Fault:
    """Its caller is given no answer, and it has its effect so much later."""
    return Fault(lambda: Unavailable("no answer"), late=seconds)


def killed_before() -> Fault:
    """The engine dies, and the call has no effect."""
    return Fault(kills=True)


def killed_after() -> Fault:
    """The engine dies after the call has had its effect, before it learns of it."""
    return Fault(applied=True, kills=True)


@dataclass
class Rule:
    """A fault for some calls: those that match, by their number among these."""

    matches: Callable[[Call], bool]
    fault: Fault
    numbers: range
    seen: int = 0
    hits: list[Call] = field(default_factory=list)

    def fault_for(self, call: Call) -> Fault | None:
        if not self.matches(call):
            return None
        self.seen += 1
        if self.seen not in self.numbers:
            return None
        self.hits.append(call)
        return self.fault


@dataclass(frozen=True)
class Done:
    """One call and what became of it."""

    at: float
    call: Call
    applied: bool
    error: Exception | None = None


class Connections:
    """All that the connections of one world share: the plan of faults, and the record."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.log: list[Done] = []
        self.background: set[asyncio.Task[None]] = set()
        self.on_call: Callable[[], None] = lambda: None

    def note(self, done: Done) -> None:
        """Keep what became of a call."""
        self.log.append(done)
        self.on_call()

    def arm(
        self, matches: Callable[[Call], bool], fault: Fault, numbers: range | None = None
    ) -> Rule:
        """A fault for calls that match, by their numbers from 1 on among these; else for all."""
        rule = Rule(matches, fault, range(1, 1_000_000) if numbers is None else numbers)
        self.rules.append(rule)
        return rule

    def disarm(self) -> None:
        """From now on nothing fails."""
        self.rules.clear()

    def fault_for(self, call: Call) -> Fault:
        found = [rule.fault_for(call) for rule in self.rules]
        return next((one for one in found if one is not None), NO_FAULT)

    def attempts(self) -> list[Done]:
        """Every write that was made, oldest first, also in vain."""
        return [one for one in self.log if one.call.writes]

    def writes(self) -> list[Done]:
        """Every write that had an effect, oldest first."""
        return [one for one in self.attempts() if one.applied]


class Connection:
    """One engine's connection; once it has died, no call of this engine has an effect any more.

    Attributes:
        log: what became of its calls.
        pending: its calls that are in progress.
    """

    def __init__(self, shared: Connections) -> None:
        self._shared = shared
        self.log: list[Done] = []
        self.pending: list[Call] = []
        self.died = asyncio.Event()

    async def call(self, call: Call, act: Callable[[], T]) -> T:
        """Make one call; ``act`` is what it does to the world."""
        self.pending.append(call)
        try:
            return await self._call(call, act)
        finally:
            self.pending.remove(call)

    async def _call(self, call: Call, act: Callable[[], T]) -> T:
        await self._wait(LATENCY_SECONDS)
        fault = self._shared.fault_for(call)
        await self._wait(fault.seconds)
        if fault.kills:
            self._die(call, act if fault.applied else None)
        if fault.kills or fault.hangs:
            await asyncio.Event().wait()
        result = self._done(call, act) if fault.applied or fault.error is None else None
        if fault.late is not None:
            self._later(call, act, fault.late)
        if fault.error is not None:
            error = fault.error()
            if not fault.applied:
                self._note(call, applied=False, error=error)
            raise error
        await self._wait(LATENCY_SECONDS + fault.answer_seconds)
        assert result is not None
        return result[0]

    def _die(self, call: Call, act: Callable[[], T] | None) -> None:
        """With this call its engine ends, which may have had its effect, or been refused."""
        if act is None:
            self._note(call, applied=False)
        else:
            with suppress(Exception):
                self._done(call, act)
        self.died.set()

    async def _wait(self, seconds: float) -> None:
        if seconds:
            await asyncio.sleep(seconds)
        if self.died.is_set():
            await asyncio.Event().wait()

    def _done(self, call: Call, act: Callable[[], T]) -> tuple[T]:
        try:
            result = act()
        except Exception as error:
            self._note(call, applied=False, error=error)
            raise
        self._note(call, applied=True)
        return (result,)

    def _later(self, call: Call, act: Callable[[], T], seconds: float) -> None:
        async def arrive() -> None:
            await asyncio.sleep(seconds)
            with suppress(Exception):  # what became of it is in the record
                self._done(call, act)

        task = asyncio.create_task(arrive())
        self._shared.background.add(task)
        task.add_done_callback(self._shared.background.discard)

    def _note(self, call: Call, *, applied: bool, error: Exception | None = None) -> None:
        done = Done(asyncio.get_running_loop().time(), call, applied, error)
        self.log.append(done)
        self._shared.note(done)

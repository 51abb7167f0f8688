"""A work queue with delay and back-off: the one scheduler of all controllers.

The rules are client-go's: a key that is added twice waits once; a key that is added while it is
being worked on comes again afterwards; no two workers work on the same key. Adding a key cuts a
delay or a back-off short, but never the time that the API server asked for. Nothing polls: a worker
sleeps until a key is added or the next delayed key is due.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from penstock.engine.ports import Clock
from penstock.engine.schedule import Schedule

K = TypeVar("K", bound=Hashable)

BACKOFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class WorkQueue(Generic[K]):
    """Keys to work on.

    Args:
        clock: delays are counted on its monotonic seconds.
        gather_seconds: an added key is delayed by this time, so that a worker which takes batches
            gets it together with what is added or due meanwhile.
    """

    def __init__(self, clock: Clock, gather_seconds: float = 0.0) -> None:
        self._clock, self.gather_seconds = clock, gather_seconds
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()
        self._marked: set[K] = set()
        self._processing: set[K] = set()
        self._delayed: Schedule[K] = Schedule()
        self._not_before: dict[K, float] = {}
        self._failures: dict[K, int] = defaultdict(int)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._moved_at = 0.0

    def add(self, key: K, *, mark: bool = False) -> None:
        """Add a key to work on soon; a mark, once set, stays until the key is taken."""
        if mark:
            self._marked.add(key)
        self.add_after(key, self.gather_seconds)

    def add_all(self, keys: Iterable[K], *, mark: bool = False) -> None:
        """Add several keys to work on soon."""
        for key in keys:
            self.add(key, mark=mark)

    def add_after(self, key: K, seconds: float) -> None:
        """Add a key to work on after this time, or earlier if it is already due earlier."""
        if seconds <= 0:
            self._add_now(key)
            return
        self._delayed.set_earlier(key, self._clock.monotonic() + seconds)
        self._set_timer()

    def add_with_backoff(self, key: K, at_least: float = 0.0, *, mark: bool = False) -> float:
        """Have a key that failed worked on again, later each time.

        Args:
            key: which one; it is still being worked on.
            at_least: seconds that the API server asked to wait; nothing brings the key back sooner.
            mark: whether the key had a mark when it was taken; it gets it back.

        Returns:
            Seconds after which the key comes again, unless it is added meanwhile.
        """
        if mark:
            self._marked.add(key)
        failures = self._failures[key]
        self._failures[key] += 1
        if at_least > 0:
            self._not_before[key] = self._clock.monotonic() + at_least
        seconds = max(at_least, BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)])
        self.add_after(key, seconds)
        return seconds

    def forget_failures(self, key: K) -> None:
        """Reset the back-off of a key that succeeded."""
        self._failures.pop(key, None)

    async def get(self) -> tuple[K, bool]:
        """The next key, with its mark; call ``done`` afterwards.

        A delay of the key is dropped: whoever works on it says when it comes next.
        """
        key = await self._ready.get()
        self._moved_at = self._clock.monotonic()
        self._processing.add(key)
        self._delayed.drop(key)
        self._waiting.discard(key)
        self._not_before.pop(key, None)
        mark = key in self._marked
        self._marked.discard(key)
        return key, mark

    async def get_batch(self) -> list[K]:
        """All keys that are due, and those that become due within the time to gather.

        For a single worker; the keys count as done at once.
        """
        batch = [(await self.get())[0]]
        for key in self._delayed.take(self._clock.monotonic() + self.gather_seconds):
            self._add_now(key)
        while not self._ready.empty():
            batch.append((await self.get())[0])
        for key in batch:
            self.done(key)
        return batch

    def done(self, key: K) -> None:
        """Report that work on the key has ended."""
        self._processing.discard(key)
        if key in self._waiting:
            self._waiting.discard(key)
            self._add_now(key)

    def stuck_seconds(self) -> float:
        """How long a key has been ready without being taken; 0 if none is ready."""
        return 0.0 if self._ready.empty() else self._clock.monotonic() - self._moved_at

    def _add_now(self, key: K) -> None:
        now = self._clock.monotonic()
        if (not_before := self._not_before.get(key, now)) > now:
            self._delayed.set_earlier(key, not_before)
            self._set_timer()
            return
        if key in self._waiting:
            return
        self._waiting.add(key)
        if key not in self._processing:
            if self._ready.empty():
                self._moved_at = now
            self._ready.put_nowait(key)

    def _set_timer(self) -> None:
        """Set one timer, for the key that is due first; if that is dropped, it fires in vain."""
        at = self._delayed.next()
        if at is None or at >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        seconds = max(0.0, at - self._clock.monotonic())
        self._timer = asyncio.get_running_loop().call_later(seconds, self._add_due)
        self._timer_at = at

    def _add_due(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        for key in self._delayed.take(self._clock.monotonic()):
            self._add_now(key)
        self._set_timer()

"""Due times: a heap with each key once, spread over the interval by its name.

Pure arithmetic on monotonic seconds; nothing here waits.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Schedule(Generic[K]):
    """Due times of keys. Setting a key again replaces its former time."""

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0

    def __contains__(self, key: K) -> bool:
        return key in self._due

    def __len__(self) -> int:
        return len(self._due)

    def set(self, key: K, at: float) -> None:
        """Make a key due at ``at``."""
        self._due[key] = at
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, key))

    def set_earlier(self, key: K, at: float) -> None:
        """Make a key due at ``at`` unless it is due earlier."""
        if self._due.get(key, at + 1) > at:
            self.set(key, at)

    def drop(self, key: K) -> None:
        """Forget a key."""
        self._due.pop(key, None)

    def next(self) -> float | None:
        """When the next key is due; None if there is none."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now: float) -> list[K]:
        """Remove and return all keys that are due."""
        taken = []
        while (at := self.next()) is not None and at <= now:
            _, _, key = heapq.heappop(self._heap)
            del self._due[key]
            taken.append(key)
        return taken


def offset(name: str, interval: float) -> float:
    """The offset of a key in its interval, the same after every restart."""
    return zlib.crc32(name.encode()) % 1_000 / 1_000 * interval

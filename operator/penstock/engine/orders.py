"""A queue of keys to be worked on: each waits once, and is worked on by one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Orders(Generic[K]):
    """Keys that are put while they wait merge; those put while they are worked on come again."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: dict[K, bool] = {}
        self._busy: set[K] = set()

    def put(self, key: K, *, urgent: bool) -> None:
        """Have a key worked on; a mark once set stays until it is taken."""
        known = key in self._waiting
        self._waiting[key] = self._waiting.get(key, False) or urgent
        if not known and key not in self._busy:
            self._queue.put_nowait(key)

    async def take(self) -> tuple[K, bool]:
        """The next key, with its mark."""
        key = await self._queue.get()
        self._busy.add(key)
        return key, self._waiting.pop(key, False)

    def done(self, key: K) -> None:
        """The key is no longer worked on."""
        self._busy.discard(key)
        if key in self._waiting:
            self._queue.put_nowait(key)

"""How many requests go to one source at once: fewer when it says that it is too much.

Halved at each such answer, one more after a run of good ones: it gives way at once and comes back
slowly, so that many askers of one server find a rate that it bears.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

ANSWERS_FOR_ONE_MORE = 10


class Slots:
    """An asynchronous context manager, entered by at most ``limit`` at once."""

    def __init__(self, most: int) -> None:
        self.limit = most
        self._most, self._busy, self._answers = most, 0, 0
        self._freed = asyncio.Event()

    def slow_down(self) -> None:
        """The source has asked for it."""
        self.limit = max(1, self.limit // 2)
        self._answers = 0

    def answered(self) -> None:
        """It answered; after enough of these it is trusted with one more at once."""
        self._answers += 1
        if self.limit < self._most and self._answers >= ANSWERS_FOR_ONE_MORE:
            self.limit += 1
            self._answers = 0
            self._freed.set()

    async def __aenter__(self) -> None:
        while self._busy >= self.limit:
            self._freed.clear()
            await self._freed.wait()
        self._busy += 1

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._busy -= 1
        self._freed.set()

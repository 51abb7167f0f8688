"""Limits what is sent to a metrics source: a limiter, overload detection and a circuit breaker.

``AdaptiveLimiter`` bounds how many requests go to one source at once. It halves the limit when the
source reports overload, and raises it by one after a run of good answers. It backs off at once and
recovers slowly, so that many clients of one server find a rate that it can bear.

``OverloadDetector`` says whether a source has recently reported overload, so that it is queried
less often. One answer starts that; only a period of good answers ends it, because a source that
bears one query may not bear all of them yet.

``CircuitBreaker``: without it, each request to a source that hangs would cost the whole timeout.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

ANSWERS_FOR_ONE_MORE = 10


class AdaptiveLimiter:
    """An asynchronous context manager that at most ``limit`` callers enter at once."""

    def __init__(self, most: int) -> None:
        self.limit = most
        self._most, self._busy, self._answers = most, 0, 0
        self._freed = asyncio.Event()

    def slow_down(self) -> None:
        """The source has reported overload."""
        self.limit = max(1, self.limit // 2)
        self._answers = 0

    def answered(self) -> None:
        """It answered; after enough answers one more request at once is allowed."""
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


WELL_SECONDS = 60.0


class OverloadDetector:
    """Begins with a 429 or 503, ends when answers were good for ``WELL_SECONDS``."""

    def __init__(self) -> None:
        self._is_overloaded = False
        self._well_since: float | None = None

    def record_refusal(self) -> None:
        """The source has reported overload."""
        self._is_overloaded, self._well_since = True, None

    def record_answer(self, now: float) -> None:
        """It answered well, at this time on the monotonic clock."""
        if self._well_since is None:
            self._well_since = now

    def is_overloaded(self, now: float) -> bool:
        """Whether it is still overloaded."""
        is_well = self._well_since is not None and now - self._well_since >= WELL_SECONDS
        return self._is_overloaded and not is_well


FAILURES_TO_OPEN = 3
SHORTEST_BREAK, LONGEST_BREAK = 1.0, 15.0
LONGEST_ASKED_BREAK = 300.0


class CircuitBreaker:
    """Closed: send. Open: do not send until a given time. After that, one trial decides."""

    def __init__(self) -> None:
        self._failures = 0
        self._openings = 0
        self._until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether no requests are sent until a trial succeeds."""
        return self._until is not None

    def may_try(self, now: float) -> bool:
        """Whether the pause is over, so that one trial request may be sent."""
        return self._until is not None and now >= self._until

    def succeeded(self) -> None:
        """The source answered, whatever the answer was."""
        self._failures = self._openings = 0
        self._until = None

    def failed(self, now: float, *, at_once: bool = False, asked: float | None = None) -> None:
        """The source did not answer.

        Args:
            now: on the monotonic clock.
            at_once: open without waiting for more failures.
            asked: how long the source itself asked for a pause.
        """
        self._failures += 1
        already = self.is_open and not self.may_try(now)
        if already or not (
            at_once or self.is_open or asked is not None or self._failures >= FAILURES_TO_OPEN
        ):
            return
        pause = min(SHORTEST_BREAK * 2**self._openings, LONGEST_BREAK)
        self._openings = min(self._openings + 1, 10)
        self._until = now + (pause if asked is None else min(asked, LONGEST_ASKED_BREAK))

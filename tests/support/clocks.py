"""Clocks of a test's own: one that can be moved, and one by which hours pass in no time."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")
BEGIN = datetime(2026, 11, 25, 12, tzinfo=UTC)


class MovedClock:
    """Runs as the system's does, ahead by what it was moved; ``wrong`` is wall time alone."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self.wrong = 0.0

    def move(self, seconds: float) -> None:
        """Let so much time pass at once, for intervals alone."""
        self._ahead += seconds

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.wrong)

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead


class _Leap(selectors.DefaultSelector):  # type: ignore[valid-type,misc]
    """Where a loop would wait, time leaps to what it would have waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready:
            assert timeout is not None, "nothing is left to wait for"
            self.passed += max(0.0, timeout)
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """A loop in which time passes only while nothing else is to be done; also a clock."""

    def __init__(self) -> None:
        self._leap = _Leap()
        super().__init__(self._leap)

    def time(self) -> float:
        return self._leap.passed

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.time())

    def monotonic(self) -> float:
        return self.time()

    def leap(self, seconds: float) -> None:
        """Let so much time pass at once, though there is something else to be done."""
        self._leap.passed += seconds

    def play(self, story: Coroutine[Any, Any, T]) -> T:
        """Run it to its end, and nothing after it."""
        with asyncio.Runner(loop_factory=lambda: self) as runner:
            return runner.run(story)

"""A clock that a test can move, both its faces together: the real one otherwise."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


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

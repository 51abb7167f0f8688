"""Compares a server's clock with ours.

Windows end where a clock says so: if the two differ, the budget is measured for another time than
the decision is made for.
"""

from __future__ import annotations

TOLERANCE = 5.0
EVERY, AGAIN = 300.0, 5.0
# If wall time and monotonic time differ by more than this, somebody has set our clock.
JUMP = 1.0


def skew(sent: float, received: float, theirs: float) -> float:
    """Seconds by which their clock is ahead of Penstock's, negative if it is behind.

    A difference that the round trip may explain counts as 0: sent at 100.0 and received at 100.4,
    an answer of 107.0 is 6.6 ahead, one of 98.0 is 2.0 behind, one of 100.3 agrees.
    """
    if theirs > received:
        return theirs - received
    return min(0.0, theirs - sent)


class ClockCheck:
    """When to compare again, and the last result."""

    def __init__(self) -> None:
        self.skew = 0.0
        self._at: float | None = None
        self._offset = 0.0

    @property
    def agrees(self) -> bool:
        """Whether the two clocks are close enough to decide."""
        return abs(self.skew) <= TOLERANCE

    def is_due(self, now: float, wall: float, every: float = EVERY) -> bool:
        """Whether to compare now, also after our own clock was set; ``now`` is monotonic."""
        if self._at is None or abs(wall - now - self._offset) > JUMP:
            return True
        return now - self._at >= (every if self.agrees else min(AGAIN, every))

    def compared(self, now: float, wall: float, skew_seconds: float) -> None:
        """Store a result."""
        self._at, self._offset, self.skew = now, wall - now, skew_seconds

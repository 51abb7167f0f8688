"""Says whether a source is worth asking: a circuit that opens when it fails, and is tried again.

Without it, a source that hangs would cost its time limit once for each request of a tick.
"""

from __future__ import annotations

FAILURES_TO_OPEN = 3
SHORTEST_BREAK, LONGEST_BREAK = 1.0, 15.0
LONGEST_ASKED_BREAK = 300.0


class Circuit:
    """Closed: ask. Open: do not ask until a time. After that: one trial decides."""

    def __init__(self) -> None:
        self._failures = 0
        self._openings = 0
        self._until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the source is given up, until a trial succeeds."""
        return self._until is not None

    def may_try(self, now: float) -> bool:
        """Whether the break is over, so that one request may find out how things are."""
        return self._until is not None and now >= self._until

    def succeeded(self) -> None:
        """The source answered, whatever it was."""
        self._failures = self._openings = 0
        self._until = None

    def failed(self, now: float, *, at_once: bool = False, asked: float | None = None) -> None:
        """The source did not answer.

        Args:
            now: on the monotonic clock.
            at_once: open without waiting for more failures.
            asked: how long the source itself wants to be left alone.
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

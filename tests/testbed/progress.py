"""How long work tells people that it still goes on.

Owns the form of progress lines only. A line that ends in `...` says "still at it": on a terminal
the next one replaces it, elsewhere (a CI log) it stays, and there are fewer of them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

Say = Callable[[str], None]

_SECONDS_BETWEEN_ON_TERMINAL = 3.0
_SECONDS_BETWEEN_IN_LOG = 30.0


class Console:
    """The default listener: on standard error, so that output meant for scripts stays clean."""

    def __init__(self) -> None:
        self._unfinished = False

    def __call__(self, line: str) -> None:
        start = "\r\x1b[K" if self._unfinished else ""
        self._unfinished = line.endswith("...") and sys.stderr.isatty()
        sys.stderr.write(start + line + ("" if self._unfinished else "\n"))
        sys.stderr.flush()


console = Console()


class Pace:
    """Says when the next progress line is due."""

    def __init__(self, seconds: float | None = None) -> None:
        usual = _SECONDS_BETWEEN_ON_TERMINAL if sys.stderr.isatty() else _SECONDS_BETWEEN_IN_LOG
        self._seconds = usual if seconds is None else seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


def in_minutes(seconds: float) -> str:
    """A duration as a person would say it: `40 s`, `11 min`."""
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{round(seconds / 60)} min"


def in_megabytes(size: float) -> str:
    return f"{size / 1e6:.0f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"

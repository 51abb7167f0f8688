"""What is to be looked at again, and when: the work queue of the node.

Owns the order of work. A key is worked on by one worker at a time and never twice for the same
reason: many events about one object before a worker comes are one piece of work. It knows nothing
of what the keys mean and runs nothing itself.
"""

from __future__ import annotations

import threading
import time


class WorkQueue:
    """Keys with the instant from which each is due."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._active: set[str] = set()
        self._closed = False
        self._changed = threading.Condition()

    def add(self, key: str, delay: float = 0.0) -> None:
        """Have the key looked at in `delay` seconds, or earlier if that was asked for before."""
        with self._changed:
            self._due[key] = min(self._due.get(key, float("inf")), time.monotonic() + delay)
            self._changed.notify()

    def get(self) -> str | None:
        """Wait for a key that is due; call `done` for it afterwards. None when closed."""
        with self._changed:
            while not self._closed:
                waiting = [
                    (when, key) for key, when in self._due.items() if key not in self._active
                ]
                when, key = min(waiting, default=(None, ""))
                if when is not None and when <= time.monotonic():
                    del self._due[key]
                    self._active.add(key)
                    return key
                self._changed.wait(None if when is None else when - time.monotonic())
            return None

    def done(self, key: str) -> None:
        """The key may be taken again when it is due."""
        with self._changed:
            self._active.discard(key)
            self._changed.notify()

    def close(self) -> None:
        """Let all workers go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

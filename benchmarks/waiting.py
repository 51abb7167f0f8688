"""Waits until something is so, and says in the error what was waited for."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(what: str, seconds: float, is_so: Callable[[], bool], *, every: float = 0.1) -> None:
    """Asks each ``every`` seconds, without a pause if that is 0.

    Raises:
        TimeoutError: it is not so within ``seconds``.
    """
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(every)

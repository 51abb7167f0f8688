"""What several tests of the test bed ask about processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def is_running(pid: int) -> bool:
    """False for a zombie too: some containers have nobody who reaps orphans."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not Path("/proc/self").exists()  # no such files on macOS


def until(condition: Callable[[], object], seconds: float = 30.0) -> bool:
    """Wait for something that comes soon on an idle machine and later on a busy one."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True

"""What a bed leaves on the machine: processes that belong to its folder, and their ports."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

PROC = Path("/proc")
needs_proc = pytest.mark.skipif(
    not (PROC / "self" / "environ").exists(),
    reason="other processes' environments and folders can be looked at on Linux only",
)

NO_LARGE_FILES = ("sh", "-c", 'ulimit -f 1000; exec "$@"', "sh")
"""Put before a command, it makes the disk full for every file of more than a megabyte."""

_PORT = re.compile(r"127\.0\.0\.1:(\d+)|--secure-port=(\d+)")


def processes_of(folder: Path) -> dict[int, str]:
    """Living processes whose environment, command line or working folder names `folder`."""
    found = {pid: _command_line(pid) for pid in _pids() if _belongs(pid, str(folder))}
    found.pop(os.getpid(), None)
    return found


def ports_of(folder: Path) -> set[int]:
    """Ports that the servers of a bed were told to listen on."""
    lines = processes_of(folder).values()
    return {int(a or b) for line in lines for a, b in _PORT.findall(line)} - {0}


def is_listened_on(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(2)
        return client.connect_ex(("127.0.0.1", port)) == 0


def _pids() -> Iterator[int]:
    yield from (int(path.name) for path in PROC.iterdir() if path.name.isdigit())


def _belongs(pid: int, folder: str) -> bool:
    """The parts are joined so that `/x/bed` is not found in `/x/bed2`."""
    try:
        environment = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
        words = _command_line(pid)
        where = str((PROC / str(pid) / "cwd").readlink())
    except OSError:
        return False
    own = re.compile(rf"{re.escape(folder)}(/|$|\s)")
    values = [entry.decode(errors="replace").partition("=")[2] for entry in environment]
    return any(own.match(value) for value in values) or bool(own.search(words) or own.match(where))


def _command_line(pid: int) -> str:
    try:
        line = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return ""
    return line.replace(b"\0", b" ").decode(errors="replace").strip()

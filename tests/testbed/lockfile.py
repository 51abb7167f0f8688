"""Whose a cluster's folder is: held by a living keeper, left by a dead one, or not ours at all.

Owns the lock and the record in the folder (`.cluster` unless told otherwise). The lock alone says
whether a keeper lives: the kernel drops it with its last holder, however that one ended. The record
says who it is and what its users need; after a death it serves to say what happened, and no signal
is ever sent to a process on the word of a record whose lock nobody holds.

The lock is the last thing that is removed, so that a folder with anything of ours in it can always
be told from a folder of somebody else's, which is never touched.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from testbed.servers import BedError
from testbed.versions import ETCD, KUBERNETES, PROMETHEUS

VERSION = f"1 with {KUBERNETES.version}, {ETCD.version}, {PROMETHEUS.version}"
"""Of the layout and of the servers; a folder of another version is replaced."""

_LOCK = "testbed.lock"
_RECORD = "testbed.json"
_REMOVAL_SECONDS = 5.0
_PROC = Path("/proc")  # macOS has none


@dataclass
class Record:
    """What a keeper tells of itself."""

    pid: int
    birth: str
    boot: str
    version: str = VERSION
    ready: bool = False
    env: dict[str, str] = field(default_factory=dict)
    trouble: str = ""
    """Why it ended by itself."""

    @classmethod
    def of_this_process(cls) -> Record:
        return cls(os.getpid(), birth(os.getpid()) or "", boot())

    def save(self, folder: Path) -> None:
        """Whole or not at all: others read it at any moment."""
        new = folder / f"{_RECORD}.new"
        new.write_text(json.dumps(asdict(self), indent=1))
        new.replace(folder / _RECORD)

    @classmethod
    def load(cls, folder: Path) -> Record | None:
        """None when there is none, or nothing that could be read as one."""
        try:
            said = json.loads((folder / _RECORD).read_text())
            known = {name: said[name] for name in cls.__dataclass_fields__ if name in said}
            return cls(**known)
        except (OSError, ValueError, TypeError):
            return None


class Lockfile:
    """The held lock of a folder; it passes to a child that inherits its descriptor."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder = folder
        self.descriptor = descriptor

    @classmethod
    def take(cls, folder: Path, *, create: bool) -> Lockfile | None:
        """The claim, or None when somebody else has it, or when there is nothing to claim."""
        must_be_ours(folder)
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | (os.O_CREAT if create else 0)
        try:
            descriptor = os.open(folder / _LOCK, flags, 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == (folder / _LOCK).stat().st_ino:
                return cls(folder, descriptor)
        except (BlockingIOError, FileNotFoundError):
            pass  # held, or removed by its last holder while we waited
        os.close(descriptor)
        return None

    def clear(self) -> None:
        """Remove everything but the lock."""
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                _remove_tree(path)
            elif path.name != _LOCK:
                path.unlink()

    def remove(self) -> None:
        """Remove the folder, and give up the claim with it."""
        self.clear()
        (self.folder / _LOCK).unlink()
        self.folder.rmdir()
        self.release()

    def release(self) -> None:
        os.close(self.descriptor)


def is_held(folder: Path) -> bool:
    """Whether somebody holds the claim; asking disturbs nobody for longer than a moment."""
    if not (folder / _LOCK).exists():
        return False
    lockfile = Lockfile.take(folder, create=False)
    if lockfile is None:
        return (folder / _LOCK).exists()
    lockfile.release()
    return False


def leftovers(folder: Path) -> bool:
    return any(path.name != _LOCK for path in folder.iterdir())


def why_stale(folder: Path) -> str:
    """How it came that a folder has no living keeper, as the second half of a sentence."""
    record = Record.load(folder)
    if record is None:
        return "its start was never finished"
    if record.trouble:
        return f"it ended by itself, since {record.trouble.rstrip('.')}"
    if record.version != VERSION:
        return "it was made by another version of the test bed"
    if record.boot != boot():
        return "this machine was restarted since"
    alive = birth(record.pid)
    if alive is None:
        return f"its keeper, process {record.pid}, is gone"
    if alive != record.birth:
        return f"its keeper is gone, process {record.pid} is another program by now"
    return f"its keeper, process {record.pid}, has lost its lock"


def birth(pid: int) -> str | None:
    """When a process began, in a form that only compares; None when it does not live (any more)."""
    if _PROC.is_dir():
        try:
            after_name = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2]
        except OSError:
            return None
        state, *rest = after_name.split()
        return None if state == "Z" else rest[18]
    state, _, begun = _output("ps", "-o", "stat=,lstart=", "-p", str(pid)).partition(" ")
    return None if state.startswith("Z") else begun.strip() or None


def boot() -> str:
    """Differs after every start of the machine."""
    if _PROC.is_dir():
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return _output("sysctl", "-n", "kern.boottime")


def must_be_ours(folder: Path) -> None:
    """Nothing, or `BedError` for what somebody else keeps there."""
    if folder.exists() and not folder.is_dir():
        raise BedError(f"{folder} is not a folder: choose another one with --dir.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _LOCK).exists():
        raise BedError(
            f"{folder} holds something that is not of the test bed: choose another one with --dir."
        )


def _remove_tree(folder: Path) -> None:
    """Also while somebody's kubectl still puts what it learned into it."""
    end = time.monotonic() + _REMOVAL_SECONDS
    while time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)
    shutil.rmtree(folder)


def _output(*argv: str) -> str:
    answer = subprocess.run(argv, capture_output=True, text=True, check=False)
    return answer.stdout.strip()

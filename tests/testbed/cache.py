"""The folder in which got and built binaries stay: `$XDG_CACHE_HOME/penstock`.

Owns its layout, its locks and the rule that an entry is there whole or not at all: work happens in
a folder under `tmp/` that belongs to the holder of a lock, and one rename publishes it. The kernel
drops the lock of a process that dies, so whatever the next holder finds in that `tmp/` folder is
rubbish and is swept. It does not know how a binary is got.

    bin/<name>-<version>-<platform>-<origin>/   one binary and entry.json
    locks/   tmp/   logs/   go/                 Go's module and build caches
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from testbed.progress import Pace, Say, in_megabytes
from testbed.versions import Binary, Platform, Tool, this_platform

RELEASE = "release"

_ELSEWHERE = "set XDG_CACHE_HOME to a folder elsewhere"


class CacheError(Exception):
    """The cache cannot be written; the text is one sentence with the way out."""


@dataclass(frozen=True)
class CacheEntry:
    """A published binary."""

    path: Path
    version: str
    source: str


@dataclass(frozen=True)
class _Record:
    version: str
    source: str
    size: int


class CacheLock:
    """A held lock: a work folder of one's own, and the line that others see who wait."""

    def __init__(self, work: Path, file: IO[str]) -> None:
        self.work = work
        self._file = file

    def tell(self, doing: str) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.write(f"process {os.getpid()}: {doing}")
        self._file.flush()


class Cache:
    """Binaries of one machine, shared by every clone and every process on it."""

    def __init__(self, root: Path | None = None, platform: Platform | None = None) -> None:
        self.root = root or default_root()
        self.platform = platform or this_platform()

    @property
    def go(self) -> Path:
        return self.root / "go"

    def free_bytes(self) -> int:
        folder = self.root
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def lookup(self, binary: Binary) -> CacheEntry | None:
        """The published binary, built or downloaded, if it is there and whole."""
        for origin in (RELEASE, recipe_hash(binary.tool)):
            obj = _read_entry(self._folder(binary, origin), binary.name)
            if obj is not None:
                return obj
        return None

    def publish(
        self, file: Path, binary: Binary, origin: str, source: str, held: CacheLock
    ) -> CacheEntry:
        """Make `file`, which lies in the held work folder, an entry of the cache."""
        folder = self._folder(binary, origin)
        with self.plain_words():
            staged = Path(tempfile.mkdtemp(dir=held.work))
            file.chmod(0o755)
            file.replace(staged / binary.name)
            record = _Record(binary.tool.version, source, (staged / binary.name).stat().st_size)
            (staged / "entry.json").write_text(json.dumps(asdict(record)))
            for path in (staged / binary.name, staged / "entry.json"):
                _flush_to_disk(path)
            staged.chmod(0o755)
            self.put(staged, folder, held)
        return CacheEntry(folder / binary.name, record.version, record.source)

    def put(self, staged: Path, folder: Path, held: CacheLock) -> None:
        """Rename a finished folder into its place, over one that was found broken."""
        with self.plain_words():
            folder.parent.mkdir(parents=True, exist_ok=True)
            if folder.exists():
                folder.replace(Path(tempfile.mkdtemp(dir=held.work)) / "broken")
            staged.replace(folder)

    @contextlib.contextmanager
    def lock(self, key: str, doing: str, say: Say) -> Iterator[CacheLock]:
        """Be the only process that works at `key`; tell whom one waits for meanwhile."""
        with self.plain_words():
            for part in ("locks", "tmp", "logs"):
                (self.root / part).mkdir(parents=True, exist_ok=True)
            file = self._lock_path(key).open("a+")
        with file:
            with self.plain_words():
                _wait_for(file, f"{key} in {self.root}", say)
                self._sweep(key)
                work = Path(tempfile.mkdtemp(dir=self._tmp(key)))
                held = CacheLock(work, file)
                held.tell(doing)
            try:
                yield held
            finally:
                shutil.rmtree(work, ignore_errors=True)
                file.truncate(0)

    def log_path(self, binary: Binary) -> Path:
        return self.root / "logs" / f"build-{binary.name}-{binary.tool.version}.log"

    def lock_key(self, tool: Tool) -> str:
        return f"{tool.folder}-{tool.version}-{self.platform}"

    @contextlib.contextmanager
    def plain_words(self) -> Iterator[None]:
        """Turn what the disk refuses into one sentence with the way out."""
        try:
            yield
        except OSError as error:
            reason = self.refusal(error)
            if reason is None:
                raise
            raise CacheError(reason) from error

    def refusal(self, error: OSError) -> str | None:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return self.disk_full()
        if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP):
            return f"The file system of {self.root} knows no locks: {_ELSEWHERE}."
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            reason = os.strerror(error.errno).lower()
            return (
                f"{self.root} cannot be written ({reason}): mend its permissions, or {_ELSEWHERE}."
            )
        return None

    def disk_full(self) -> str:
        free = in_megabytes(self.free_bytes())
        return (
            f"Not enough room in {self.root} ({free} free): free some space "
            f"({self.go} may be deleted at any time), or {_ELSEWHERE}."
        )

    def _folder(self, binary: Binary, origin: str) -> Path:
        name = f"{binary.name}-{binary.tool.version}-{self.platform}-{origin}"
        return self.root / "bin" / name

    def _lock_path(self, key: str) -> Path:
        return self.root / "locks" / f"{key}.lock"

    def _tmp(self, key: str) -> Path:
        folder = self.root / "tmp" / key
        folder.mkdir(exist_ok=True)
        return folder

    def _sweep(self, own_key: str) -> None:
        """Remove what dead processes left: under our own lock and every one that nobody holds."""
        for folder in (self.root / "tmp").iterdir():
            if folder.name == own_key:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            with self._lock_path(folder.name).open("a+") as file, contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)


def default_root() -> Path:
    """Relative values of XDG_CACHE_HOME are to be ignored, says its specification."""
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    base = configured if configured.is_absolute() else Path.home() / ".cache"
    return base / "penstock"


def recipe_hash(tool: Tool) -> str:
    """Everything but Go itself that decides what a build makes."""
    pins = b"".join((tool.modules / name).read_bytes() for name in ("go.mod", "go.sum"))
    return hashlib.sha256(pins + tool.tags.encode() + tool.ldflags.encode()).hexdigest()[:12]


def _read_entry(folder: Path, name: str) -> CacheEntry | None:
    path = folder / name
    try:
        record = _Record(**json.loads((folder / "entry.json").read_text()))
        whole = path.stat().st_size == record.size and os.access(path, os.X_OK)
    except (OSError, ValueError, TypeError):
        return None
    return CacheEntry(path, record.version, record.source) if whole else None


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _wait_for(file: IO[str], what: str, say: Say) -> None:
    """Take the lock; while somebody else has it, repeat what they say they do."""
    patience, begun = Pace(), time.monotonic()
    told = False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pass
        if patience.due() or (not told and time.monotonic() - begun > 0.5):
            told = True
            file.seek(0)
            say(f"waiting for {file.read() or 'another process'} (lock on {what}) ...")
        time.sleep(0.1)

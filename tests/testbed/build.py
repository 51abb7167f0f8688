"""Builds binaries from their pinned Go modules.

Owns the build itself, its estimate and its progress lines. A build runs tethered: when this
process dies, however, the compilers die too. It writes into the work folder it is given and into
Go's caches; whether the result is published is not decided here.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from testbed.cache import Cache, CacheError
from testbed.progress import Pace, Say, in_megabytes, in_minutes
from testbed.toolchain import Go, ModulesError, Tick, environment, explain, run
from testbed.versions import Binary

_CORES_MEASURED_ON = 2
COLD_BUILD_BYTES = 8e9
_LINES_OF_LOG_SHOWN = 15
_DISK_FULL = ("no space left on device", "disk quota exceeded", "file too large")


class BuildError(Exception):
    """Go refused to build; the text ends with the last lines of its log."""


@dataclass
class Estimate:
    """How long the rest takes: measured times, this machine's cores, how the first ones went."""

    expected_done: float = 0
    actual_done: float = 0

    def seconds(self, binary: Binary) -> float:
        pace = self.actual_done / self.expected_done if self.expected_done else 1.0
        return _on_this_machine(binary) * pace

    def learn(self, binary: Binary, took: float) -> None:
        self.expected_done += _on_this_machine(binary)
        self.actual_done += took


class Builder:
    """Builds a known number of binaries one after the other."""

    def __init__(self, go: Go, cache: Cache, say: Say, binaries: list[Binary]) -> None:
        self._go = go
        self._cache = cache
        self._say = say
        self._all = binaries
        self._estimate = Estimate()

    def announce(self) -> None:
        total = sum(self._estimate.seconds(binary) for binary in self._all)
        self._say(
            f"building {len(self._all)} with {self._go}: about {in_minutes(total)}, once; "
            f"they stay in {self._cache.root}"
        )
        if self._cache.free_bytes() < COLD_BUILD_BYTES:
            self._say(
                f"only {in_megabytes(self._cache.free_bytes())} free there; "
                f"a build from nothing takes up to {in_megabytes(COLD_BUILD_BYTES)}"
            )

    def doing(self, binary: Binary) -> str:
        position = f"{self._all.index(binary) + 1} of {len(self._all)}"
        return f"building {binary.name} {binary.tool.version} ({position})"

    def build(self, binary: Binary, work: Path) -> Path:
        """The built file, in `work`."""
        output = work / binary.name
        about = self._estimate.seconds(binary)
        doing = self.doing(binary)
        log = self._cache.log_path(binary)
        log.unlink(missing_ok=True)
        begun = time.monotonic()
        self._say(f"{doing}, about {in_minutes(about)} ...")
        env = environment(self._cache, work)
        argv = _command(self._go, binary, output)
        code = run(argv, log, env, binary.tool.modules, Tick(self._say, doing, Pace(), about))
        if code != 0 or not output.is_file():
            self._raise(binary, code, log)
        took = time.monotonic() - begun
        self._estimate.learn(binary, took)
        self._say(f"{doing}: done in {in_minutes(took)}")
        return output

    def _raise(self, binary: Binary, code: int, log: Path) -> None:
        text = log.read_text(errors="replace")
        if any(words in text for words in _DISK_FULL):
            raise CacheError(self._cache.disk_full())
        reason = explain(text)
        if reason is not None:
            raise ModulesError(f"{binary.name} cannot be built: {reason} (log: {log})")
        tail = "\n    ".join(text.splitlines()[-_LINES_OF_LOG_SHOWN:])
        raise BuildError(
            f"{binary.name}: go build ended with {code}; whole log: {log}, its end:\n    {tail}"
        )


def _command(go: Go, binary: Binary, output: Path) -> list[str]:
    return [
        str(go.path),
        "build",
        "-trimpath",
        *(["-tags", binary.tool.tags] if binary.tool.tags else []),
        "-ldflags",
        binary.tool.ldflags,
        "-o",
        str(output),
        binary.package,
    ]


def _on_this_machine(binary: Binary) -> float:
    """Compiling spreads over cores, linking does not: never below a quarter of the measured."""
    return binary.seconds * max(0.25, _CORES_MEASURED_ON / _usable_cores())


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

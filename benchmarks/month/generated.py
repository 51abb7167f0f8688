"""Makes a month: compiles the generator once, runs it, and removes what it wrote when done.

Owns the program's place in the cache and the months beside it. The generator is compiled against
the modules that Prometheus itself is pinned by, so it needs nothing that the test bed does not.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from benchmarks.month.data import Month, read
from testbed.cache import Cache, recipe_hash
from testbed.progress import Pace, Say, console
from testbed.toolchain import ModulesError, Tick, environment, explain, obtain, required, run
from testbed.versions import PROMETHEUS

SOURCES = Path(__file__).parent / "generator"
SECONDS_TO_COMPILE = 60.0


class GeneratorError(Exception):
    """The month could not be made; the text is what the compiler or the generator said."""


@dataclass(frozen=True)
class Size:
    """How much to make; two days of eight services are enough for a test."""

    days: int = 31
    services: int = 65
    fleet: int = 1_000


@contextmanager
def month(seed: int, size: Size, say: Say = console) -> Iterator[Month]:
    """A month while it is needed, one at a time; `KEEP_MONTH=1` leaves it for the next run."""
    cache = Cache()
    name = "-".join(map(str, (generator(say, cache).parent.name, seed, *astuple(size))))
    kept = cache.root / "months" / name
    with cache.lock("month", f"using a month with SEED={seed}", say) as held:
        if (kept / "month.json").exists():
            say(f"using the kept month with SEED={seed}")
            yield read(kept)
            return
        made = make(held.work / "month", seed, size, say)
        if os.environ.get("KEEP_MONTH", "") in ("", "0"):
            yield made  # the lock's work folder is removed, also after a kill -9
        else:
            cache.put(made.folder, kept, held)
            yield read(kept)


def make(folder: Path, seed: int, size: Size, say: Say = console) -> Month:
    """Write a month into a folder that is not there yet."""
    program = generator(say)
    folder.mkdir()
    flags = {"seed": seed, "days": size.days, "services": size.services, "fleet": size.fleet}
    begun = time.monotonic()
    done = subprocess.run(
        [program, *(f"-{name}={number}" for name, number in flags.items()), f"-out={folder}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise GeneratorError(done.stderr.strip())
    say(f"made a month with SEED={seed} in {time.monotonic() - begun:.0f} s")
    return read(folder)


def generator(say: Say = console, cache: Cache | None = None) -> Path:
    """The compiled program; its folder is named by all that decides what it writes."""
    cache = cache or Cache()
    folder = cache.root / "bin" / f"month-generator-{cache.platform}-{_fingerprint()}"
    program = folder / "generator"
    if program.exists():
        return program
    with cache.lock(
        f"month-generator-{cache.platform}", "compiling the generator", say
    ) as hold_ref:
        if not program.exists():
            _compile(hold_ref.work, cache, say)
            cache.put(hold_ref.work / "made", folder, hold_ref)
    return program


def _fingerprint() -> str:
    sources = b"".join(path.read_bytes() for path in _files())
    return hashlib.sha256(sources + recipe_hash(PROMETHEUS).encode()).hexdigest()[:12]


def _files() -> list[Path]:
    return sorted(SOURCES.glob("*.go"))


def _compile(work: Path, cache: Cache, say: Say) -> None:
    """Go takes the files from here and what they import from the module that it runs in."""
    go = obtain(cache, required([PROMETHEUS]), say)
    output, log = work / "made" / "generator", work / "log"
    command = [str(go.path), "build", "-trimpath", "-o", str(output), *map(str, _files())]
    tick = Tick(say, "compiling the generator of the month", Pace(), SECONDS_TO_COMPILE)
    code = run(command, log, environment(cache, work), PROMETHEUS.modules, tick)
    if code != 0 or not output.is_file():
        said = log.read_text(errors="replace")
        reason = explain(said)
        if reason:
            raise ModulesError(reason)
        raise GeneratorError(said)

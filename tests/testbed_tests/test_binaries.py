"""Binaries are looked for in a fixed order, and believed only when they say a fitting version."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from testbed.binaries import BinariesMissing, ensure, fits, search, version_of
from testbed.cache import RELEASE, Cache
from testbed.versions import BINARIES, SERVERS, Binary, Platform

KUBECTL = BINARIES["kubectl"]
ETCD = BINARIES["etcd"]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """An empty cache on a machine where nothing at all is installed."""
    for name in [name for name in os.environ if name.startswith("TEST_ASSET_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return Cache(tmp_path / "cache", Platform("linux", "amd64"))


def put(folder: Path, binary: Binary, version: str, mode: int = 0o755) -> Path:
    """A program that answers the question for its version as the real one would."""
    answer = {"etcd": "etcd Version: {}", "kubectl": '"gitVersion": "v{}"'}[binary.name]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / binary.name
    path.write_text(f"#!/bin/sh\necho '{answer.format(version)}'\n")
    path.chmod(mode)
    return path


def put_in_cache(cache: Cache, binary: Binary) -> Path:
    with cache.lock("test", "publishing", print) as hold_ref:
        file = put(hold_ref.work, binary, binary.tool.version)
        return cache.publish(file, binary, RELEASE, "downloaded", hold_ref).path


def found(binary: Binary, cache: Cache) -> tuple[Path, str] | None:
    result = search(binary, cache).found
    return (result.path, result.source) if result else None


def test_the_order_is_variables_then_path_then_our_cache_then_envtests_store(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = put(tmp_path / "data/kubebuilder-envtest/k8s/1.37.2-linux-amd64", ETCD, "3.7.3")
    assert found(ETCD, cache) == (store, "setup-envtest")
    cached = put_in_cache(cache, ETCD)
    assert found(ETCD, cache) == (cached, "cache, downloaded")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert found(ETCD, cache) == (cached, "cache, downloaded")
    on_path = put(tmp_path / "bin", ETCD, "3.7.3")
    assert found(ETCD, cache) == (on_path, "PATH")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    assert found(ETCD, cache) == (on_path, "PATH")
    assets = put(tmp_path / "assets", ETCD, "3.7.3")
    assert found(ETCD, cache) == (assets, "KUBEBUILDER_ASSETS")
    own = put(tmp_path / "own", ETCD, "3.7.3")
    monkeypatch.setenv("TEST_ASSET_ETCD", str(own))
    assert found(ETCD, cache) == (own, "TEST_ASSET_ETCD")


def test_the_variable_of_a_hyphenated_name_has_underscores(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "server"
    path.write_text("#!/bin/sh\necho Kubernetes v1.37.2\n")
    path.chmod(0o755)
    monkeypatch.setenv("TEST_ASSET_KUBE_APISERVER", str(path))
    assert found(BINARIES["kube-apiserver"], cache) == (path, "TEST_ASSET_KUBE_APISERVER")


def test_a_wrong_version_on_path_is_passed_over_and_named(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wrong = put(tmp_path / "bin", KUBECTL, "1.32.4-vendor")
    right = put(tmp_path / "later", KUBECTL, "1.37.0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{tmp_path / 'later'}")
    result = search(KUBECTL, cache)
    assert result.found is not None
    assert result.found.path == right
    (named,) = result.passed_over
    assert named == f"{wrong} (PATH) is version 1.32.4-vendor, needed is 1.37: passed over"


def test_the_same_file_is_asked_only_once(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    put(tmp_path / "bin", KUBECTL, "1.32.4")
    (tmp_path / "sbin").symlink_to(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{tmp_path / 'sbin'}")
    assert len(search(KUBECTL, cache).passed_over) == 1


@pytest.mark.parametrize(
    "program", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho hello\n", "#!/no/interpreter\n", ""]
)
def test_a_program_that_does_not_say_its_version_is_passed_over(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
):
    path = put(tmp_path / "bin", ETCD, "3.7.3")
    path.write_text(program)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    result = search(ETCD, cache)
    assert result.found is None
    assert "does not say its version" in result.passed_over[0]


def test_only_executable_files_count(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put(tmp_path / "bin", ETCD, "3.7.3", mode=0o644)
    (tmp_path / "folder" / "etcd").mkdir(parents=True)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{tmp_path / 'folder'}")
    assert found(ETCD, cache) is None


def test_a_cached_binary_is_not_run_to_be_found(cache: Cache, tmp_path: Path):
    path = put_in_cache(cache, ETCD)
    ran = tmp_path / "ran"
    program = f"#!/bin/sh\ntouch {ran}\n"
    path.write_text(program.ljust(path.stat().st_size, "#")[: path.stat().st_size])
    search(ETCD, cache)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("version", "right"),
    [("1.37.2", True), ("1.37.0", True), ("1.37", True), ("1.370.1", False), ("1.36.9", False)],
)
def test_a_version_fits_when_major_and_minor_are_the_pinned_ones(version: str, right: bool):
    assert fits(KUBECTL, version) is right


def test_names_that_nobody_knows_are_refused_with_those_that_are():
    with pytest.raises(ValueError, match="no such binary: kubelet; known are etcd, kube-apiserver"):
        ensure(["etcd", "kubelet"])


def test_when_no_way_leads_anywhere_the_message_names_every_way_and_what_was_tried(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    put(tmp_path / "bin", KUBECTL, "1.32.4")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PENSTOCK_MIRROR", "off")
    monkeypatch.setenv("UV_OFFLINE", "1")
    said: list[str] = []
    with pytest.raises(BinariesMissing) as caught:
        ensure(["kubectl"], said.append, cache)
    message = str(caught.value)
    assert message.startswith("Missing: kubectl 1.37.2. Any one of these helps:")
    ways = ("KUBEBUILDER_ASSETS", "PENSTOCK_MIRROR", "GOPROXY", "Go 1.26.0", "USE_EXISTING_CLUSTER")
    assert [way for way in ways if way not in message] == []
    for tried in ("is version 1.32.4", "downloads are switched off", "no go on PATH"):
        assert tried in message
    assert any("is version 1.32.4" in line for line in said)


def test_every_version_is_the_one_its_modules_pin():
    """Two places must say the same: `versions.py` knows what to ask for, go.mod what to build."""
    module_versions = {
        "etcd": (r"go.etcd.io/etcd/server/v3 v(\S+)", str),
        "kubernetes": (r"k8s.io/kubernetes v(\S+)", str),
        "prometheus": (r"prometheus/prometheus v(\S+)", prometheus_release),
        "argo-rollouts": (r"argoproj/argo-rollouts v(\S+)", str),
        "flagger": (r"fluxcd/flagger v(\S+)", str),
        "sloth": (r"slok/sloth v(\S+)", str),
        "victoria-metrics": (r"VictoriaMetrics/VictoriaMetrics v(\S+)", str),
    }
    for tool in {binary.tool for binary in BINARIES.values()}:
        pattern, release = module_versions[tool.folder]
        pinned = re.search(pattern, (tool.modules / "go.mod").read_text())
        assert pinned is not None
        assert release(pinned[1]) == tool.version


def prometheus_release(module: str) -> str:
    """Prometheus 3.16.0 is published as module v0.316.0."""
    _, minor, patch = module.split(".")
    return f"{minor[0]}.{int(minor[1:])}.{patch}"


def test_every_package_is_a_tool_of_its_module():
    for binary in BINARIES.values():
        assert binary.package in (binary.tool.modules / "go.mod").read_text()


def test_the_versions_that_are_linked_in_are_those_of_the_libraries():
    for folder in ("kubernetes", "argo-rollouts", "flagger"):
        tool = next(b.tool for b in BINARIES.values() if b.tool.folder == folder)
        linked = re.search(r"client-go/pkg/version.gitVersion=v1\.(\S+)", tool.ldflags)
        assert linked is not None
        assert (
            f"k8s.io/client-go v0.{linked[1]} // indirect" in (tool.modules / "go.mod").read_text()
        )


@pytest.mark.servers
def test_the_servers_are_all_there_and_each_says_its_version():
    results = [search(BINARIES[name], Cache()) for name in SERVERS]
    missing = [result.binary.name for result in results if result.found is None]
    if missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"not there: {missing}")
    for result in results:
        assert result.found is not None
        version = version_of(result.binary, result.found.path)
        assert version == result.found.version
        assert fits(result.binary, version)

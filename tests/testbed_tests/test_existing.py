"""A cluster of somebody's own is used only when it looks like one for tests, or they insist."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.bed import TESTS
from testbed.existing import existing_cluster
from testbed.servers import BedError

SOMEWHERE = "https://api.shop.example:6443"


@pytest.fixture(autouse=True)
def nobody_insists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENSTOCK_INSIST", raising=False)


def write(path: Path, context: str, server: str, **changes: object) -> Path:
    config = {
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
    }
    path.write_text(json.dumps({**config, **changes}))
    return path


@pytest.mark.parametrize(
    ("context", "server"),
    [
        ("kind-penstock", SOMEWHERE),
        ("k3d-penstock", SOMEWHERE),
        ("minikube", SOMEWHERE),
        ("mine", "https://127.0.0.1:6443"),
        ("mine", "https://[::1]:6443"),
        ("mine", "https://0.0.0.0:6443"),
        ("mine", "https://localhost:6443"),
    ],
)
def test_what_looks_like_a_test_cluster_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: str, server: str
):
    config = write(tmp_path / "config", context, server)
    monkeypatch.setenv("KUBECONFIG", str(config))
    assert existing_cluster() == str(config)


@pytest.mark.parametrize(
    "server",
    [SOMEWHERE, "https://10.0.0.1", "https://127.0.0.1.shop.example", "https://localhost.x"],
)
def test_any_other_needs_a_person_who_insists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
):
    monkeypatch.setenv("KUBECONFIG", str(write(tmp_path / "config", "prod", server)))
    with pytest.raises(BedError, match=r"'prod' \(.*\) does not look like .* PENSTOCK_INSIST=true"):
        existing_cluster()
    monkeypatch.setenv("PENSTOCK_INSIST", "true")
    existing_cluster()


def test_of_several_files_the_first_that_says_something_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As kubectl merges them; a context may use a cluster of another file."""
    first = write(tmp_path / "first", "prod", SOMEWHERE, clusters=[])
    second = write(tmp_path / "second", "kind-x", "https://127.0.0.1:1")
    files = [tmp_path / "missing", first, second]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, files)))
    existing_cluster()
    write(first, "prod", SOMEWHERE)
    with pytest.raises(BedError, match="'prod'"):
        existing_cluster()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{}", "names no current context"),
        ("- a list", "names no current context"),
        ("current-context: gone", "names no server"),
        ("{", "cannot be read as a kubeconfig"),
    ],
)
def test_a_kubeconfig_that_says_nothing_is_reported_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, told: str
):
    (tmp_path / "config").write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(BedError, match=told):
        existing_cluster()


def up(folder: Path, config: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    chosen = {"USE_EXISTING_CLUSTER": "true", "KUBECONFIG": str(config), "PYTHONPATH": str(TESTS)}
    return subprocess.run(
        [sys.executable, "-m", "testbed", "up", f"--dir={folder}"],
        env=os.environ | chosen | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_up_starts_nothing_and_prints_what_is_there(tmp_path: Path):
    config = write(tmp_path / "config", "kind-x", "https://127.0.0.1:1")
    answer = up(tmp_path / "cluster", config, PROMETHEUS_URL="http://127.0.0.1:9090")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == [
        f"export KUBECONFIG={config}",
        "export PROMETHEUS_URL=http://127.0.0.1:9090",
    ]
    assert not (tmp_path / "cluster").exists()


def test_up_refuses_what_looks_like_a_real_one(tmp_path: Path):
    answer = up(tmp_path / "cluster", write(tmp_path / "config", "prod", SOMEWHERE))
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "does not look like a test cluster" in answer.stderr
    assert "Traceback" not in answer.stderr

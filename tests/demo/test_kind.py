"""kind without kind: what can be known of the kind stage where no kind cluster can be made."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo import processes
from demo.kind import cluster as kind
from demo.kind.cluster import HERE, OPERATOR_IMAGE, PROMETHEUS, PROMETHEUS_URL, KindCluster
from demo.kind.stage import REPLICAS, SAMPLES, KindStage
from demo.scenario import Scenario
from demo.stage import Wanted
from support import draws
from support.fake_kind_cli import FakeKind
from support.operator_process import wait_for
from testbed import cluster
from testbed.api import Kube
from testbed.lockfile import Record
from testbed.versions import PROMETHEUS as PINNED

ROOT = Path(__file__).parents[2]
GUESTS = {
    "operator": "/apis/apps/v1/namespaces/penstock-system/deployments/penstock",
    "load": "/apis/apps/v1/namespaces/shop/deployments/load",
    "prometheus": "/apis/apps/v1/namespaces/monitoring/deployments/prometheus",
}
VOLUME = {
    "metadata": {"name": "prometheus"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "hostPath": {"path": "/data"},
    },
}
CLAIM = {
    "metadata": {
        "name": "prometheus",
        "annotations": {"pv.kubernetes.io/bind-completed": "yes"},
    },
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "volumeName": "prometheus",
    },
}


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKind:
    found = FakeKind(tmp_path / "played")
    for name, value in found.env.items():
        monkeypatch.setenv(name, value)
    return found


def documents(*files: Path) -> list[dict[str, Any]]:
    return [one for file in files for one in yaml.safe_load_all(file.read_text())]


def images(*files: Path) -> set[str]:
    return {
        container["image"]
        for one in documents(*files)
        if one["kind"] in ("Deployment", "Job")
        for container in one["spec"]["template"]["spec"]["containers"]
    }


def make(tmp_path: Path, **without: str) -> subprocess.CompletedProcess[str]:
    """`KIND=1 make demo`, but for make."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "demo", "up", "--kind"],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}", **without},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_without_docker_it_says_where_to_get_it_and_what_needs_none(tmp_path: Path) -> None:
    done = make(tmp_path, PATH=str(tmp_path))
    assert done.returncode == 1
    assert "Docker is not on PATH" in done.stderr
    assert "https://docs.docker.com/engine/install" in done.stderr
    assert "`make demo` and `make cluster-up` need neither" in done.stderr


def test_without_a_docker_daemon_it_says_what_docker_says(played: FakeKind, tmp_path: Path) -> None:
    played.fail("docker", "Cannot connect to the Docker daemon")
    done = make(tmp_path)
    assert done.returncode == 1
    assert "daemon does not answer (Cannot connect to the Docker daemon)" in done.stderr
    assert "DOCKER_HOST" in done.stderr


def test_without_kind_it_says_where_to_get_it(played: FakeKind, tmp_path: Path) -> None:
    played.take_away("kind")
    done = make(tmp_path, PATH=played.env["PATH"].split(os.pathsep)[0])
    assert done.returncode == 1
    assert "kind is not on PATH: https://kind.sigs.k8s.io" in done.stderr


def test_a_cluster_that_could_not_be_made_leaves_nothing(played: FakeKind, tmp_path: Path) -> None:
    wanted = KindCluster("test", tmp_path / "kind")
    with pytest.raises(kind.KindError, match="did not make the cluster penstock-test: failed to"):
        wanted.up()
    assert not wanted.is_ours
    assert played.asked[-1].startswith("kind delete cluster --name=penstock-test")


def test_a_cluster_of_the_same_name_that_penstock_did_not_create_is_neither_used_nor_ended(
    played: FakeKind, tmp_path: Path
) -> None:
    played.somebodys("penstock-test")
    wanted = KindCluster("test", tmp_path / "kind")
    with pytest.raises(kind.KindError, match="kind delete cluster --name penstock-test"):
        wanted.up()
    wanted.down()
    assert played.clusters == ["penstock-test"]


def test_every_image_but_that_of_prometheus_is_built_here_and_loaded() -> None:
    base, job = ROOT / "deploy" / "base", ROOT / "deploy" / "release-all"
    assert images(base / "deployment.yaml", job / "job.yaml") == {OPERATOR_IMAGE}
    assert images(HERE / "shop.yaml") <= set(SAMPLES)
    assert images(PROMETHEUS) == {f"quay.io/prometheus/prometheus:v{PINNED.version}"}
    assert all((Path(folder) / "Dockerfile").is_file() for folder in SAMPLES.values())


def test_the_stage_scales_the_operator_to_what_deploy_base_has() -> None:
    (deployment,) = documents(ROOT / "deploy" / "base" / "deployment.yaml")
    assert deployment["spec"]["replicas"] == REPLICAS


def test_the_examples_name_the_prometheus_of_the_kind_cluster() -> None:
    (source,) = documents(ROOT / "deploy" / "examples" / "metricssource.yaml")
    assert source["spec"]["url"] == PROMETHEUS_URL


def test_the_load_asks_again_and_again_whatever_is_answered_and_ends_when_asked() -> None:
    python = [sys.executable, "-I", "-S"]
    env = {"BIND": "127.0.0.1", "PORT": "0", "ERROR_RATIO": "0.5"}
    app = [*python, str(ROOT / "demo" / "app" / "app.py")]
    with subprocess.Popen(app, env=env, stdout=subprocess.PIPE, text=True) as shop:
        assert shop.stdout is not None
        url = shop.stdout.readline().split()[-1]
        asking = [*python, str(HERE / "load" / "load.py"), f"{url}/", "--rate=50"]
        with subprocess.Popen(asking, stdout=subprocess.DEVNULL) as load:
            wait_for("it is asked", lambda: answered(url), lambda found: min(found) > 20)
            load.terminate()
            assert load.wait(30) == 0
        shop.terminate()


def test_a_load_that_nobody_could_want_is_refused() -> None:
    for wrong in (["https://checkout.shop/"], ["http://checkout.shop/", "--rate=1000"]):
        command = [sys.executable, str(HERE / "load" / "load.py"), *wrong]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 2


def answered(url: str) -> tuple[int, int]:
    """Requests answered well, and answered with an error."""
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        text = answer.read().decode()
    well, badly = (re.search(rf'code="{code}"}} (\d+)', text) for code in (200, 500))
    assert well is not None
    assert badly is not None
    return int(well[1]), int(badly[1])


@pytest.mark.servers
def test_promtool_accepts_the_configuration_of_prometheus(
    servers: Mapping[str, Path], tmp_path: Path
) -> None:
    (config,) = (one for one in documents(PROMETHEUS) if one["kind"] == "ConfigMap")
    file = tmp_path / "prometheus.yml"
    file.write_text(config["data"]["prometheus.yml"])
    # The token of a pod's service account is not there outside of one: syntax is what is checked.
    done = subprocess.run(
        [servers["promtool"], "check", "config", "--syntax-only", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_scenario_runs_through_deployments_that_are_scaled_and_killed(
    played: FakeKind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the test bed. Its node only says that the guests' pods run: processes stand in for them,
    that come and go with their Deployments. A commit tells the steps in which the stage acts."""
    bed = tmp_path / "bed"
    cluster.have(bed, module="demo")
    try:
        record = Record.load(bed)
        assert record is not None
        kubeconfig = Path(record.env["KUBECONFIG"])
        kube = Kube(kubeconfig)
        give_volume(kube)
        played.offer(kubeconfig)
        ours = KindCluster("test", tmp_path / "kind")
        stage = KindStage(ours, record.env["PROMETHEUS_URL"])
        with guests_follow(bed, kube):
            stage.begin()
            story = Scenario(stage)
            story.set_up()
            for step in story.steps if draws.is_full() else where_the_stage_acts(story):
                step()
            stage.begin()
    finally:
        cluster.down(bed)

    told = capsys.readouterr()
    assert "8. A person closes the gate" in told.out
    assert "were deleted by force" in told.out
    assert "the kind cluster penstock-test is running" in told.err
    (loaded, _) = (call for call in played.asked if call.startswith("kind load docker-image"))
    assert set(loaded.split()) >= {OPERATOR_IMAGE, *SAMPLES}
    ours.down()
    assert not ours.folder.exists()
    assert played.clusters == []


def where_the_stage_acts(story: Scenario) -> Sequence[Callable[[], None]]:
    """The others ask the cluster alone, as they do on the test bed: tests/demo/test_story.py."""
    return (
        story.budget_is_seen,
        story.outage_holds_and_rolls_nothing_back,
        story.dead_operator_still_refuses,
    )


def give_volume(kube: Kube) -> None:
    """What kind's storage class does once Prometheus' claim is there; the bed has none."""
    kube.call("POST", "/api/v1/persistentvolumes", VOLUME)
    kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": "monitoring"}})
    kube.call("POST", "/api/v1/namespaces/monitoring/persistentvolumeclaims", CLAIM)


@contextmanager
def guests_follow(bed: Path, kube: Kube) -> Iterator[None]:
    """Who is scaled to nothing does not run, who is wanted does."""
    over = threading.Event()

    def wanted(path: str) -> bool:
        found = kube.call("GET", path, ok=(404,))
        return found is not None and found["spec"]["replicas"] > 0

    def follow() -> None:
        before = Wanted()
        while not over.wait(0.2):
            after = Wanted(**{name: wanted(path) for name, path in GUESTS.items()})
            if after != before:
                processes.want(bed, after, 1.0)
            before = after

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()

"""A bed starts, works, and leaves nothing; its parts can be stopped and started again."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed import servers as server_processes
from testbed.api import ApiError, Kube
from testbed.bed import NODES, TESTS, Bed
from testbed.servers import BedError, Server
from testbed_tests.processes import until
from testbed_tests.traces import NO_LARGE_FILES, is_listened_on, needs_proc, ports_of, processes_of

pytestmark = pytest.mark.servers

SAMPLE = TESTS.parent / "demo" / "app" / "checkout.yaml"
PATIENCE = 60


@pytest.fixture(scope="module")
def own(servers: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A second bed beside the session's, to be treated roughly."""
    with Bed.start(tmp_path_factory.mktemp("own"), binaries=servers) as bed:
        print(bed.summary)
        yield bed


def ask_prometheus(bed: Bed, path: str, **parameters: str) -> Any:
    port = int(bed.prometheus_url.rpartition(":")[2])
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("GET", f"{path}?{urllib.parse.urlencode(parameters)}")
        answer = connection.getresponse()
        return json.loads(answer.read())["data"]


def series(bed: Bed, expression: str) -> list[dict[str, str]]:
    result = ask_prometheus(bed, "/api/v1/query", query=expression)["result"]
    return [sample["metric"] for sample in result]


def deployment(name: str, image: str) -> dict[str, Any]:
    container = {"name": "app", "image": image, "ports": [{"name": "metrics", "containerPort": 80}]}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    return {
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template},
    }


def namespaces(kube: Kube) -> set[str]:
    return {item["metadata"]["name"] for item in kube.call("GET", "/api/v1/namespaces")["items"]}


def pid_of(bed: Bed, server: str) -> int:
    """By its command line: the guards of servers carry the server's own behind theirs."""
    binary = str(bed.bin[server])
    (pid,) = [p for p, line in processes_of(bed.folder).items() if line.startswith(f"{binary} ")]
    return pid


def test_pods_of_a_deployment_become_ready_and_are_scraped(
    bed: Bed, namespace: str, kubectl: Callable[..., subprocess.CompletedProcess[str]]
):
    assert kubectl("apply", "-f", str(SAMPLE)).returncode == 0
    waited = kubectl("wait", "--for=condition=Available", "deployment/checkout", "--timeout=60s")
    assert waited.returncode == 0, waited.stderr
    query = f'http_requests_total{{namespace="{namespace}",code="200"}}'
    assert until(lambda: len(series(bed, query)) == 4, PATIENCE)
    assert {(found["app"], found["version"]) for found in series(bed, query)} == {
        ("checkout", "1.0")
    }
    pods = bed.kube.call("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
    assert {found["pod"] for found in series(bed, query)} == {
        pod["metadata"]["name"] for pod in pods
    }


def test_the_sample_is_scraped_with_its_classic_and_its_native_histogram(
    bed: Bed, namespace: str, kubectl: Callable[..., subprocess.CompletedProcess[str]]
):
    assert kubectl("apply", "-f", str(SAMPLE)).returncode == 0
    durations = "http_request_duration_seconds"
    native = f'histogram_count({durations}{{namespace="{namespace}"}})'
    classic = f'{durations}_bucket{{namespace="{namespace}",le="0.3"}}'
    for query in (native, classic):
        assert until(lambda query=query: len(series(bed, query)) == 4, PATIENCE), query


def test_pods_that_are_not_run_are_never_sent_anything(bed: Bed, namespace: str, admin: Kube):
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    admin.call("POST", path, deployment("played", "registry.example/played:1"))
    ready = f"{path}/played"
    assert until(lambda: admin.call("GET", ready)["status"].get("readyReplicas") == 1, PATIENCE)

    def seen(kind: str) -> list[Any]:
        targets = ask_prometheus(bed, "/api/v1/targets", state="any")[f"{kind}Targets"]
        labels = [target["discoveredLabels"] for target in targets]
        return [found for found in labels if found["__meta_kubernetes_namespace"] == namespace]

    assert until(lambda: seen("dropped"), PATIENCE)
    assert seen("active") == []


def test_our_crds_are_served(bed: Bed, namespace: str, admin: Kube):
    plurals = {file.stem for file in (TESTS.parent / "crds").glob("*.yaml")}
    served = admin.call("GET", "/apis/penstock.dev/v1alpha1")["resources"]
    assert plurals <= {found["name"] for found in served}


def test_all_nodes_are_ready(bed: Bed, kubectl: Callable[..., subprocess.CompletedProcess[str]]):
    lines = kubectl("get", "nodes", "--no-headers").stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["Ready"] * NODES


def test_two_beds_do_not_disturb_each_other(bed: Bed, own: Bed, namespace: str):
    assert namespace in namespaces(bed.kube)
    assert namespace not in namespaces(own.kube)
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        _kube_for_wrong_server(bed, own).call("GET", "/version")


def _kube_for_wrong_server(bed: Bed, own: Bed) -> Kube:
    path = own.pki.kubeconfig(own.folder / "wrong.kubeconfig", bed.server, "admin")
    return Kube(path)


def test_kubectl_keeps_what_it_learned_in_the_beds_own_folder(own: Bed):
    assert own.kubectl("get", "namespaces").returncode == 0
    assert (own.folder / "kubectl").is_dir()


def test_the_environment_is_all_that_a_shell_needs(own: Bed):
    answer = subprocess.run(
        [
            "sh",
            "-c",
            "command -v kubectl && kubectl get --raw /readyz && echo && echo $PROMETHEUS_URL",
        ],
        env=own.env,
        capture_output=True,
        text=True,
        check=True,
    )
    kubectl, ready, prometheus = answer.stdout.splitlines()
    assert (kubectl, ready) == (str(own.folder / "bin" / "kubectl"), "ok")
    assert prometheus == own.prometheus_url


def test_the_api_server_comes_back_on_its_port_with_its_data(own: Bed):
    server = own.server
    own.kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": "before"}})
    own.control_plane.stop_api_server()
    with pytest.raises(ConnectionRefusedError):
        own.kube.call("GET", "/version")
    own.control_plane.start_api_server()
    assert own.server == server
    assert "before" in namespaces(own.kube)
    account = "/api/v1/namespaces/after/serviceaccounts/default"
    own.kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": "after"}})
    assert until(lambda: own.kube.call("GET", account, ok={404}), PATIENCE), "controllers are back"


def test_prometheus_comes_back_on_its_port_with_its_data(own: Bed):
    url = own.prometheus_url
    own.kube.call("POST", "/apis/apps/v1/namespaces/default/deployments", sample())
    assert until(lambda: series(own, "up == 1"), PATIENCE)
    (instance, *_) = [found["instance"] for found in series(own, "up == 1")]
    assert own.prometheus is not None
    own.prometheus.stop()
    assert not is_listened_on(int(url.rpartition(":")[2]))
    own.kube.call("DELETE", "/apis/apps/v1/namespaces/default/deployments/checkout")
    own.prometheus.start()
    assert own.prometheus_url == url
    past = f'last_over_time(up{{instance="{instance}"}}[10m])'
    assert until(lambda: series(own, past), PATIENCE)


def sample() -> dict[str, Any]:
    (body,) = yaml.safe_load_all(SAMPLE.read_text())
    return {**body, "spec": {**body["spec"], "replicas": 1}}


@needs_proc
def test_a_server_that_ends_by_itself_is_reported_with_its_last_words(own: Bed):
    own.must_run()
    os.kill(pid_of(own, "prometheus"), signal.SIGKILL)
    assert own.prometheus is not None

    def has_ended() -> bool:
        try:
            own.must_run()
        except BedError as error:
            return str(error).startswith("prometheus was ended by signal 9")
        return False

    assert until(has_ended)
    own.prometheus.start()
    own.must_run()


@needs_proc
def test_a_bed_that_was_stopped_leaves_nothing_and_the_other_one_alone(
    bed: Bed, servers: dict[str, Path], tmp_path: Path
):
    folder = tmp_path / "bed"
    with Bed.start(folder, binaries=servers, prometheus=False, crds=False) as third:
        third.kube.call("POST", "/apis/apps/v1/namespaces/default/deployments", sample())
        ready = "/apis/apps/v1/namespaces/default/deployments/checkout"
        assert until(lambda: third.kube.call("GET", ready)["status"].get("readyReplicas"), PATIENCE)
        with pytest.raises(BedError, match="without Prometheus"):
            _ = third.prometheus_url
        ports = ports_of(folder)
        assert len(ports) >= 3
        assert processes_of(folder)
    assert processes_of(folder) == {}
    assert [port for port in ports if is_listened_on(port)] == []
    shutil.rmtree(folder)
    bed.must_run()
    assert bed.kube.call("GET", "/readyz") == "ok"


@needs_proc
def test_a_port_that_is_taken_meanwhile_is_replaced_by_another(
    servers: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each server's first choice proves taken when it comes to listen."""
    real, given = server_processes.free_ports, []

    def unlucky(count: int) -> list[int]:
        given.append(count)
        return [taken] * count if len(given) % 2 else real(count)

    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        monkeypatch.setattr(server_processes, "free_ports", unlucky)
        with Bed.start(tmp_path, binaries=servers, node=False, crds=False) as bed:
            assert given == [2, 2, 1, 1, 1, 1]
            assert bed.kube.call("GET", "/readyz") == "ok"
            assert taken not in ports_of(tmp_path)


def test_a_folder_with_something_in_it_is_refused(servers: dict[str, Path], tmp_path: Path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(BedError, match="is not empty"):
        Bed.start(tmp_path, binaries=servers)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@needs_proc
def test_a_full_disk_is_one_sentence_and_leaves_no_process(
    servers: dict[str, Path], tmp_path: Path
):
    program = (
        "import sys; from pathlib import Path; from testbed.bed import Bed\n"
        "from testbed.servers import BedError\n"
        "try: Bed.start(Path(sys.argv[1]))\n"
        "except BedError as error: print(error)"
    )
    answer = subprocess.run(
        [*NO_LARGE_FILES, sys.executable, "-c", program, tmp_path / "bed"],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.fullmatch(r"etcd ended .*: there is no room left .*\n", answer.stdout), answer
    assert processes_of(tmp_path) == {}


def test_the_last_words_of_a_server_are_those_that_say_why(tmp_path: Path):
    script = "echo I0101 all is well; echo E0101 no such key; echo I0101 good bye; exit 3"
    server = Server("talker", ["sh", "-c", script], tmp_path)
    with pytest.raises(BedError, match=r"^talker ended with exit code 3: E0101 no such key\.$"):
        server.wait_until("answer", lambda: False)


def test_refusals_name_the_single_mistakes(admin: Kube):
    with pytest.raises(ApiError) as refused:
        admin.call("POST", "/api/v1/namespaces", {"metadata": {"name": "Not_A_Name"}})
    assert (refused.value.code, refused.value.reason) == (422, "Invalid")
    assert [cause["field"] for cause in refused.value.causes] == ["metadata.name"]

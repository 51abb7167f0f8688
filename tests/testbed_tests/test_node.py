"""The node runs pods of the sample application, says of all others what kubelets say."""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from pathlib import Path

import pytest

from testbed.addresses import LOOPBACK
from testbed.api import Kube
from testbed.bed import Bed
from testbed.pod_process import APP
from testbed.pods import condition
from testbed_tests.shop import PROBED, Shop, answer, soon

pytestmark = pytest.mark.servers

READY_WHILE_FILE_EXISTS = """
import http.server, os, pathlib
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if pathlib.Path(os.environ["SWITCH"]).exists() else 503)
        self.end_headers()
http.server.HTTPServer((os.environ["BIND"], 8080), Handler).serve_forever()
"""
DEAF_TO_SIGTERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(600)
"""


@pytest.fixture
def shop(admin: Kube, namespace: str) -> Shop:
    return Shop(admin, namespace)


def python(code: str) -> list[str]:
    return ["python3", "-c", code]


def test_a_deployment_of_the_sample_becomes_ready_and_answers_on_loopback(shop: Shop) -> None:
    shop.deploy_checkout()
    addresses = shop.wait_for_ready("checkout", 4)
    assert len(set(addresses)) == 4
    assert all(ipaddress.ip_address(address) in LOOPBACK for address in addresses)
    assert not {"127.0.0.1", "127.0.0.53"} & set(addresses)
    assert {answer(address) for address in addresses} == {(200, "checkout 1.0: OK\n")}


def test_the_environment_of_the_container_reaches_its_process(shop: Shop) -> None:
    environment = [
        {"name": "SERVICE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "VERSION", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
    ]
    shop.create_pod("payment", env=environment, **PROBED)
    [address] = shop.wait_for_ready("payment", 1)
    assert answer(address) == (200, f"payment {shop.namespace}: OK\n")


def test_a_pod_learns_its_own_address_and_listens_nowhere_else(shop: Shop) -> None:
    code = (
        "import http.server, os\n"
        "class Handler(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200)\n"
        "        self.end_headers()\n"
        '        self.wfile.write(f\'{os.environ["POD_IP"]} {os.environ["BIND"]}\'.encode())\n'
        "http.server.HTTPServer((os.environ['BIND'], 8080), Handler).serve_forever()\n"
    )
    environment = [
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "BIND", "value": "0.0.0.0"},
    ]
    probed = {**PROBED, "env": environment, "command": python(code)}
    shop.create_pod(**probed)
    [address] = shop.wait_for_ready("one", 1)
    assert answer(address) == (200, f"{address} {address}")


def test_a_bad_version_really_fails_requests(shop: Shop) -> None:
    shop.deploy_checkout(ERROR_RATIO="0.5")
    for address in shop.wait_for_ready("checkout", 4):
        codes = Counter(said[0] for _ in range(10) if (said := answer(address)))
        assert codes == {200: 5, 500: 5}


def test_the_tag_of_the_image_is_the_version(shop: Shop) -> None:
    shop.create_pod(image="registry.example:5000/demo/sample-app:2.1@sha256:" + "0" * 64, **PROBED)
    [address] = shop.wait_for_ready("one", 1)
    assert answer(address) == (200, "sample 2.1: OK\n")


def test_a_rollout_replaces_the_processes(shop: Shop) -> None:
    shop.deploy_checkout()
    before = shop.wait_for_ready("checkout", 4)
    container = {"name": "app", "image": "penstock.dev/sample-app:1.1"}
    template = {"spec": {"containers": [container]}}
    path = f"{shop.deployments_path}/checkout"
    patch = {"spec": {"template": template}}
    shop.kube.call("PATCH", path, patch, content_type="application/strategic-merge-patch+json")
    assert soon(lambda: not set(before) & set(shop.addresses("checkout")))
    after = shop.wait_for_ready("checkout", 4)
    assert {answer(address) for address in after} == {(200, "checkout 1.1: OK\n")}
    assert soon(lambda: not any(map(answer, before)))


def test_readiness_follows_the_probe_in_both_directions(shop: Shop, tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    environment = [{"name": "SWITCH", "value": str(switch)}]
    shop.create_pod(command=python(READY_WHILE_FILE_EXISTS), env=environment, **PROBED)
    assert soon(lambda: (shop.container().get("state") or {}).get("running"))
    assert soon(lambda: answer(shop.pod()["status"]["podIP"]) == (503, ""))
    assert not shop.is_ready()

    switch.touch()
    assert soon(shop.is_ready)
    switch.unlink()
    assert soon(lambda: not shop.is_ready())
    conditions = {one["type"]: one for one in shop.pod()["status"]["conditions"]}
    assert conditions["Ready"]["reason"] == "ContainersNotReady"
    assert shop.container()["restartCount"] == 0


def test_a_readiness_gate_keeps_a_pod_unready_until_its_controller_opens_it(shop: Shop) -> None:
    shop.create_pod(spec={"readinessGates": [{"conditionType": "example.com/gate"}]}, **PROBED)
    assert soon(lambda: condition(shop.pod(), "ContainersReady") == "True")
    assert not shop.is_ready()
    opened = {"status": {"conditions": [{"type": "example.com/gate", "status": "True"}]}}
    kind = "application/strategic-merge-patch+json"
    shop.kube.call("PATCH", f"{shop.pods_path}/one/status", opened, content_type=kind)
    assert soon(shop.is_ready)


def test_a_deleted_pod_takes_its_process_with_it(shop: Shop) -> None:
    shop.create_pod(**PROBED)
    [address] = shop.wait_for_ready("one", 1)
    shop.delete_pod()
    assert soon(lambda: not shop.pod())
    assert answer(address) is None


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace_period(shop: Shop) -> None:
    shop.create_pod(command=python(DEAF_TO_SIGTERM))
    assert soon(shop.is_ready)
    shop.delete_pod(grace=1)
    assert soon(lambda: not shop.pod())


def test_a_pod_deleted_by_force_takes_its_process_with_it(shop: Shop) -> None:
    shop.create_pod(**PROBED)
    [address] = shop.wait_for_ready("one", 1)
    shop.delete_pod(grace=0)
    assert shop.pod() == {}
    assert soon(lambda: answer(address) is None)


def test_a_pod_with_a_finalizer_ends_its_process_and_stays_until_it_is_let_go(shop: Shop) -> None:
    shop.create_pod(**PROBED)
    [address] = shop.wait_for_ready("one", 1)
    path = f"{shop.pods_path}/one"
    kind = "application/merge-patch+json"
    held = {"metadata": {"finalizers": ["example.com/wait"]}}
    shop.kube.call("PATCH", path, held, content_type=kind)
    shop.delete_pod()
    assert soon(lambda: answer(address) is None)
    assert shop.pod()["metadata"]["finalizers"] == ["example.com/wait"]
    shop.kube.call("PATCH", path, {"metadata": {"finalizers": None}}, content_type=kind)
    assert soon(lambda: not shop.pod())


def test_scaling_to_none_leaves_none(shop: Shop) -> None:
    shop.deploy_checkout()
    addresses = shop.wait_for_ready("checkout", 4)
    shop.change("checkout", {"replicas": 0})
    assert soon(lambda: not shop.pods("checkout"))
    assert not any(map(answer, addresses))


def test_a_process_that_ends_by_itself_is_started_again_with_a_back_off(shop: Shop) -> None:
    shop.create_pod(command=python("raise SystemExit(3)"))
    assert soon(lambda: shop.waits_with("CrashLoopBackOff"))
    said = shop.container()
    assert said["restartCount"] >= 1
    assert said["lastState"]["terminated"]["exitCode"] == 3
    assert not shop.is_ready()
    assert soon(lambda: shop.container()["restartCount"] >= 3)


def test_a_process_that_was_started_again_serves_on_the_same_address(
    shop: Shop, tmp_path: Path
) -> None:
    code = (
        "import pathlib, runpy, sys\n"
        f"first = pathlib.Path({str(tmp_path / 'seen')!r})\n"
        "if not first.exists():\n"
        "    first.touch()\n"
        "    sys.exit(1)\n"
        f"runpy.run_path({str(APP)!r}, run_name='__main__')\n"
    )
    shop.create_pod(command=python(code), **PROBED)
    [address] = shop.wait_for_ready("one", 1)
    assert shop.container()["restartCount"] == 1
    assert answer(address) == (200, "sample 1.0: OK\n")


def test_an_image_whose_tag_is_bad_cannot_be_pulled(shop: Shop) -> None:
    shop.create_pod("run", image="penstock.dev/sample-app:bad-1")
    shop.create_pod("played", image="example.com/web:bad")
    for name in ("run", "played"):
        assert soon(lambda name=name: shop.waits_with("ImagePullBackOff", name))
        assert not shop.is_ready(name)
        assert shop.pod(name)["status"]["phase"] == "Pending"


@pytest.mark.parametrize(
    "container",
    [
        {"envFrom": [{"configMapRef": {"name": "settings"}}]},
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]},
        {"readinessProbe": {"exec": {"command": ["true"]}}},
        {"command": ["/no/such/program"]},
    ],
    ids=["envFrom", "secret", "exec-probe", "no-program"],
)
def test_what_the_node_cannot_run_is_said_by_the_pod(shop: Shop, container: dict) -> None:
    shop.create_pod(**container)
    assert soon(lambda: shop.waits_with("CreateContainerConfigError"))
    shop.delete_pod()
    assert soon(lambda: not shop.pod())


def test_a_hundred_played_pods_become_ready_and_go(shop: Shop) -> None:
    shop.deploy_played("web", 100)
    addresses = shop.wait_for_ready("web", 100)
    assert len(set(addresses)) == 100
    assert all(address.startswith("10.244.") for address in addresses)
    shop.change("web", {"replicas": 0})
    assert soon(lambda: not shop.pods("web"))


def test_a_played_pod_does_what_its_annotations_say_also_later(shop: Shop) -> None:
    image = "example.com/web:1"
    shop.create_pod("late", image=image, annotations={"penstock.test/ready-after": "2"})
    shop.create_pod("never", image=image, annotations={"penstock.test/ready-after": "never"})
    shop.create_pod("odd", image=image, annotations={"penstock.test/ready-after": "soon"})
    assert soon(lambda: shop.pod("late")["status"]["phase"] == "Running")
    assert not shop.is_ready("late")
    assert soon(lambda: shop.is_ready("late"))
    assert soon(lambda: shop.waits_with("CreateContainerConfigError", "odd"))
    assert shop.pod("never")["status"]["phase"] == "Running"
    assert not shop.is_ready("never")

    shop.annotate("late", **{"penstock.test/fail": "CrashLoopBackOff"})
    assert soon(lambda: shop.waits_with("CrashLoopBackOff", "late"))
    assert not shop.is_ready("late")
    shop.annotate("late", **{"penstock.test/fail": None})
    assert soon(lambda: shop.is_ready("late"))


def test_nodes_are_ready_and_nobody_is_asked_for_logs_outside_of_this_machine(bed: Bed) -> None:
    nodes = bed.kube.call("GET", "/api/v1/nodes")["items"]
    addresses = {one["address"] for node in nodes for one in node["status"]["addresses"]}
    assert len(nodes) == 2
    assert addresses == {"127.0.0.1"}
    assert all(condition(node, "Ready") == "True" for node in nodes)


def test_pods_at_rest_are_not_written(shop: Shop) -> None:
    shop.create_pod("run", **PROBED)
    shop.create_pod("played", image="example.com/web:1")
    shop.create_pod("failing", image="example.com/web:bad")
    shop.wait_for_ready("run", 1)
    shop.wait_for_ready("played", 1)
    assert soon(lambda: shop.waits_with("ImagePullBackOff", "failing"))
    before = [shop.pod(name) for name in ("run", "played", "failing")]
    time.sleep(3)
    assert [shop.pod(name) for name in ("run", "played", "failing")] == before

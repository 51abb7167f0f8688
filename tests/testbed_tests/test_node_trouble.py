"""The node goes on when the API server is away, and nothing it started outlives it."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from testbed.api import ApiError
from testbed.bed import TESTS, Bed
from testbed.child_process import ChildProcess
from testbed_tests.processes import is_running, until
from testbed_tests.shop import PROBED, Shop, answer, soon

pytestmark = [pytest.mark.servers, pytest.mark.slow]


class OwnNode:
    """A node process of the test's own, which it may kill."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.open = ExitStack()
        self.start()

    def start(self) -> None:
        command = [
            *(sys.executable, "-m", "testbed.node"),
            f"--kubeconfig={self.bed.folder}/node.kubeconfig",
            f"--folder={self.bed.folder}/pods",
        ]
        environment = {**os.environ, "PYTHONPATH": str(TESTS)}
        log = self.bed.folder / "node.log"
        self.process = self.open.enter_context(ChildProcess(command, env=environment, log=log))

    def kill(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)
        self.process.wait(30)


@pytest.fixture(scope="module")
def own_bed(servers: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A control plane that these tests may stop, with a node that they may kill."""
    folder = tmp_path_factory.mktemp("own")
    with Bed.start(folder, binaries=servers, node=False, prometheus=False, crds=False) as running:
        yield running


@pytest.fixture
def node(own_bed: Bed) -> Iterator[OwnNode]:
    node = OwnNode(own_bed)
    with node.open:
        yield node


@pytest.fixture
def shop(own_bed: Bed, node: OwnNode) -> Iterator[Shop]:
    name = f"shop-{secrets.token_hex(4)}"
    own_bed.kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    assert soon(lambda: own_bed.kube.call("GET", account, ok=(404,)))
    yield Shop(own_bed.kube, name)
    own_bed.kube.call("DELETE", f"/api/v1/namespaces/{name}")


def api_server_pid(bed: Bed) -> int:
    return bed.control_plane._servers["kube-apiserver"].pid


def answers(shop: Shop, path: str) -> bool:
    try:
        return shop.kube.call("GET", path, timeout=2) is not None
    except (OSError, ApiError):
        return False


def sample_processes(addresses: list[str]) -> list[int]:
    """By what they were given to listen on; only Linux can tell."""
    marks = {f"BIND={address}".encode() for address in addresses}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            given = set((process / "environ").read_bytes().split(b"\0"))
        except OSError:
            continue
        if given & marks:
            found.append(int(process.name))
    return [pid for pid in found if is_running(pid)]


def restarts(pod: Mapping[str, Any]) -> int:
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


def is_guard(pid: int) -> bool:
    return b"child_process.py" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_pods_run_on_while_the_api_server_is_away_and_are_attended_to_afterwards(
    own_bed: Bed, shop: Shop
) -> None:
    shop.deploy_checkout()
    shop.deploy_played("web", 3)
    addresses = shop.wait_for_ready("checkout", 4)
    shop.wait_for_ready("web", 3)
    own_bed.control_plane.stop_api_server()
    try:
        assert [answer(address) for address in addresses] == [(200, "checkout 1.0: OK\n")] * 4
    finally:
        own_bed.control_plane.start_api_server()
    shop.change("checkout", {"replicas": 2})
    shop.change("web", {"replicas": 10})
    assert set(shop.wait_for_ready("checkout", 2)) < set(addresses)
    shop.wait_for_ready("web", 10)
    assert until(lambda: sum(answer(address) is not None for address in addresses) == 2)


def test_a_paused_api_server_changes_nothing(own_bed: Bed, shop: Shop) -> None:
    shop.deploy_checkout()
    addresses = shop.wait_for_ready("checkout", 4)
    paused = api_server_pid(own_bed)
    os.kill(paused, signal.SIGSTOP)
    try:
        # Longer than a heartbeat, so that requests of the node are stuck in it.
        assert not until(lambda: None in map(answer, addresses), 12)
    finally:
        os.kill(paused, signal.SIGCONT)
    assert soon(lambda: answers(shop, shop.pods_path))
    shop.change("checkout", {"replicas": 5})
    shop.wait_for_ready("checkout", 5)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds the process by /proc")
def test_what_ended_while_the_api_server_was_away_is_known_afterwards(
    own_bed: Bed, shop: Shop
) -> None:
    shop.create_pod(**PROBED)
    [sample] = [pid for pid in sample_processes(shop.wait_for_ready("one", 1)) if not is_guard(pid)]
    own_bed.control_plane.stop_api_server()
    try:
        os.kill(sample, signal.SIGKILL)
        assert until(lambda: not is_running(sample))
    finally:
        own_bed.control_plane.start_api_server()
    assert soon(lambda: shop.container()["restartCount"] == 1)
    assert soon(shop.is_ready)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_of_a_pod_outlives_the_node(
    shop: Shop, node: OwnNode, number: signal.Signals
) -> None:
    shop.deploy_checkout()
    addresses = shop.wait_for_ready("checkout", 4)
    processes = sample_processes(addresses)
    node.kill(number)
    assert until(lambda: not any(map(answer, addresses)))
    assert until(lambda: not any(map(is_running, processes)))


def test_a_new_node_process_takes_the_pods_over(shop: Shop, node: OwnNode) -> None:
    shop.deploy_checkout()
    shop.deploy_played("web", 5)
    shop.wait_for_ready("web", 5)
    addresses = shop.wait_for_ready("checkout", 4)
    node.kill(signal.SIGKILL)
    node.start()
    assert soon(lambda: all(map(answer, addresses)))
    assert soon(lambda: [restarts(pod) for pod in shop.ready("checkout")] == [1] * 4)
    assert sorted(shop.wait_for_ready("checkout", 4)) == sorted(addresses)
    shop.wait_for_ready("web", 5)

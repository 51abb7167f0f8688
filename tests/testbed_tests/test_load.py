"""The load generator: only this machine, never too much, never for too long."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from testbed.api import Kube
from testbed.bed import TESTS, Bed
from testbed.load import (
    MOST_PER_SECOND,
    MOST_SECONDS,
    MOST_UNDER_WAY,
    NO_ANSWER,
    UNSENT,
    Load,
    Target,
    target,
)
from testbed_tests.shop import PROBED, Shop, answer, soon

NEVER_ASKED = cast("Kube", None)


@pytest.fixture
def shop(admin: Kube, namespace: str) -> Shop:
    return Shop(admin, namespace)


def pod_at(address: str) -> dict[str, Any]:
    ports = [{"name": "metrics", "containerPort": 8080}]
    return {
        "metadata": {"name": "one"},
        "spec": {"containers": [{"ports": ports}]},
        "status": {"podIP": address},
    }


@pytest.mark.parametrize("address", ["127.0.0.1", "127.93.4.5", "127.255.255.254"])
def test_addresses_of_this_machine_are_targets(address: str) -> None:
    assert target(pod_at(address)) == Target("one", address, 8080)


@pytest.mark.parametrize(
    "address",
    [
        "10.244.0.7",
        "192.168.0.1",
        "128.0.0.1",
        "126.255.255.255",
        "8.8.8.8",
        "::1",
        "localhost",
        "",
    ],
)
def test_no_other_address_can_be_one(address: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{address!r} is refused")):
        Target("one", address, 8080)
    with pytest.raises(ValueError, match=re.escape(f"{address!r} is refused")):
        target(pod_at(address))


@pytest.mark.parametrize("rate", [0, -1, MOST_PER_SECOND + 0.1, math.inf, math.nan])
def test_a_rate_out_of_bounds_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="use more than 0 and at most 200 requests a second"):
        Load(NEVER_ASKED, "shop", "app=checkout", rate=rate)


@pytest.mark.parametrize("seconds", [0, -1, MOST_SECONDS + 1, math.inf, math.nan])
def test_a_duration_out_of_bounds_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="use more than 0 and at most 7200 seconds"):
        Load(NEVER_ASKED, "shop", "app=checkout", seconds=seconds)


@pytest.mark.servers
def test_ready_pods_that_are_not_run_get_nothing(shop: Shop) -> None:
    shop.create_pod(image="example.com/web:1")
    shop.wait_for_ready("one", 1)
    with Load(shop.kube, shop.namespace, "app=one", seconds=30) as load:
        assert soon(lambda: load.refused == {"one"})
        assert load.targets == []
    assert set(load.counts) <= {UNSENT}


@pytest.mark.servers
def test_it_ends_by_itself_and_keeps_to_its_rate(shop: Shop) -> None:
    shop.create_pod(**PROBED)
    shop.wait_for_ready("one", 1)
    with Load(shop.kube, shop.namespace, "app=one", rate=40, seconds=2) as load:
        assert load.wait(30)
        assert not load.is_running
    # A busy machine may miss some; more than asked for it must never be.
    assert 40 <= sum(load.counts.values()) <= 81
    assert set(load.counts) <= {"200", UNSENT}


@pytest.mark.servers
def test_what_it_counts_is_what_the_pods_counted(shop: Shop) -> None:
    shop.deploy_checkout(ERROR_RATIO="0.2")
    addresses = shop.wait_for_ready("checkout", 4)
    with Load(shop.kube, shop.namespace, "app=checkout", rate=100, seconds=2) as load:
        assert load.wait(30)
    # Before the pods are listed there is nobody to send to.
    sent = load.counts - Counter({UNSENT: load.counts[UNSENT]})
    counted: Counter[str] = Counter()
    for address in addresses:
        text = (answer(address, "/metrics") or (0, ""))[1]
        pattern = r'^http_requests_total{service="checkout",version="1.0",code="(\d+)"} (\d+)$'
        found = {code: int(count) for code, count in re.findall(pattern, text, re.MULTILINE)}
        counted.update(found)
        assert found["500"] == sum(found.values()) // 5
        assert sum(found.values()) == pytest.approx(sent.total() / 4, abs=2)
    assert sent == counted


def in_prometheus(bed: Bed, query: str) -> dict[str, float]:
    """Values by status code."""
    url = f"{bed.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url, timeout=10) as said:
        found = json.load(said)["data"]["result"]
    return {one["metric"].get("code", ""): float(one["value"][1]) for one in found}


@pytest.mark.servers
def test_prometheus_finds_the_pods_that_are_run_and_counts_the_same(bed: Bed, shop: Shop) -> None:
    shop.deploy_checkout(ERROR_RATIO="0.25")
    shop.create_pod(image="example.com/web:1", ports=PROBED["ports"])
    shop.wait_for_ready("checkout", 4)
    with Load(shop.kube, shop.namespace, "app=checkout", rate=50, seconds=4) as load:
        assert load.wait(30)
    sent = load.counts
    ours = f'{{namespace="{shop.namespace}"}}'
    query = f"sum by (code) (http_requests_total{ours})"
    assert soon(lambda: in_prometheus(bed, query) == {"200": sent["200"], "500": sent["500"]})
    assert in_prometheus(bed, f"count(up{ours})") == {"": 4}


@pytest.mark.servers
def test_it_follows_pods_as_they_come_and_go(shop: Shop) -> None:
    shop.deploy_checkout()
    before = shop.wait_for_ready("checkout", 4)
    with Load(shop.kube, shop.namespace, "app=checkout", rate=50) as load:
        assert soon(lambda: {one.address for one in load.targets} == set(before))
        shop.change("checkout", {"replicas": 1})
        [left] = shop.wait_for_ready("checkout", 1)
        assert soon(lambda: [one.address for one in load.targets] == [left])
        shop.change("checkout", {"replicas": 3})
        after = shop.wait_for_ready("checkout", 3)
        assert soon(lambda: {one.address for one in load.targets} == set(after))
        shop.change("checkout", {"replicas": 0})
        assert soon(lambda: load.targets == [])
        unsent = load.counts[UNSENT]
        assert soon(lambda: load.counts[UNSENT] > unsent)
    counts = load.counts
    # Between its end and the news of it a pod may be asked once more.
    assert counts[NO_ANSWER] <= 8
    assert set(counts) <= {"200", NO_ANSWER, UNSENT}


@pytest.mark.servers
def test_a_slow_pod_gets_as_many_requests_but_never_more_than_can_wait(shop: Shop) -> None:
    shop.create_pod(env=[{"name": "LATENCY_MS", "value": "20000"}], **PROBED)
    shop.wait_for_ready("one", 1)
    with Load(shop.kube, shop.namespace, "app=one", rate=100, seconds=2) as load:
        assert load.wait(60)
    assert load.counts[NO_ANSWER] == MOST_UNDER_WAY
    assert load.counts[UNSENT] > 0


def command(bed: Bed, shop: Shop, *arguments: str) -> list[str]:
    own = [sys.executable, "-m", "testbed.load", f"--kubeconfig={bed.kubeconfig}"]
    return [*own, f"--namespace={shop.namespace}", *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(TESTS)}


@pytest.mark.servers
def test_the_command_sends_and_says_what_came_back(bed: Bed, shop: Shop) -> None:
    shop.create_pod(**PROBED)
    shop.wait_for_ready("one", 1)
    argv = command(bed, shop, "--selector=app=one", "--rate=50", "--seconds=2")
    done = subprocess.run(argv, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d+ x 200(, \d+ x unsent)? in all\n", done.stdout), done.stdout


@pytest.mark.servers
def test_the_command_ends_when_asked_to(bed: Bed, shop: Shop) -> None:
    argv = command(bed, shop, "--selector=app=none")
    with subprocess.Popen(argv, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said.endswith(" in all\n")


@pytest.mark.servers
@pytest.mark.parametrize("wrong", ["--rate=201", "--seconds=7201", "--rate=nan"])
def test_the_command_refuses_what_is_out_of_bounds(bed: Bed, shop: Shop, wrong: str) -> None:
    argv = command(bed, shop, "--selector=app=none", wrong)
    done = subprocess.run(argv, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "use more than 0 and at most" in done.stderr.splitlines()[-1]


def test_the_command_says_when_it_has_no_kubeconfig(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "testbed.load", "--selector=app=checkout"]
    argv.append(f"--kubeconfig={tmp_path / 'none'}")
    done = subprocess.run(argv, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("cannot be read: No such file or directory")

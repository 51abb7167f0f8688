"""What a kubelet says of a pod, as pure functions of the pod and the time."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from testbed.pod_process import APP, command, environment
from testbed.pods import (
    condition,
    image_tag,
    is_run,
    is_said,
    played,
    running,
    sample_container,
    status,
    waiting,
)
from testbed.probe import NotPlayed, Probe, container_port

EARLY = "2026-01-01T00:00:00Z"
LATE = "2026-01-01T00:05:00Z"
WEB = "example.com/web:1"


def pod(image: str = WEB, *, says: dict[str, Any] | None = None, **notes: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "one", "namespace": "shop", "uid": "u", "annotations": notes},
        "spec": {"containers": [{"name": "app", "image": image}]},
        "status": says or {},
    }


def after(one: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """The pod as the API server would have it after this status was written."""
    return {**one, "status": {**one["status"], **said}}


@pytest.mark.parametrize(
    ("image", "run", "tag"),
    [
        ("penstock.dev/sample-app:1.0", True, "1.0"),
        ("sample-app", True, "latest"),
        ("localhost:5000/sample-app", True, "latest"),
        ("localhost:5000/a/sample-app:2@sha256:abc", True, "2"),
        ("penstock.dev/sample-app:bad", False, "bad"),
        ("penstock.dev/not-sample-app:1", False, "1"),
        ("penstock.dev/sample-app/proxy:1", False, "1"),
        ("localhost:5000/web", False, "latest"),
    ],
)
def test_the_repository_of_its_image_says_whether_a_pod_is_run(
    image: str, run: bool, tag: str
) -> None:
    assert is_run(pod(image)) is run
    assert image_tag(image) == tag


def test_the_sample_is_found_beside_other_containers() -> None:
    two = pod()
    two["spec"]["containers"].append({"name": "sample", "image": "sample-app:1"})
    assert (sample_container(two) or {})["name"] == "sample"


def test_a_status_once_written_needs_no_second_writing() -> None:
    one = pod()
    said = status(one, running(EARLY, ready=True), "10.244.0.1", "127.0.0.1", EARLY)
    assert not is_said(one["status"], said)
    written = after(one, {**said, "podIPs": [{"ip": "10.244.0.1"}]})
    again = status(written, running(EARLY, ready=True), "10.244.0.1", "127.0.0.1", LATE)
    assert is_said(written["status"], again)


def test_a_condition_bears_the_time_of_its_last_change() -> None:
    one = pod()
    early = status(one, running(EARLY, ready=False), "10.244.0.1", "127.0.0.1", EARLY)
    late = status(after(one, early), running(EARLY, ready=True), "10.244.0.1", "127.0.0.1", LATE)
    times = {each["type"]: each["lastTransitionTime"] for each in late["conditions"]}
    assert times["Ready"] == times["ContainersReady"] == LATE
    assert times["Initialized"] == EARLY
    assert late["startTime"] == EARLY


def test_conditions_of_others_do_not_make_a_difference() -> None:
    one = pod()
    said = status(one, running(EARLY, ready=True), None, "127.0.0.1", EARLY)
    foreign = {"type": "example.com/gate", "status": "True"}
    written = after(one, {**said, "conditions": [foreign, *said["conditions"]]})
    assert is_said(written["status"], said)


def test_a_ready_pod_found_by_a_new_node_stays_ready() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}], "startTime": EARLY}
    one = pod(says=ready, **{"penstock.test/ready-after": "60"})
    assert played(one, 0.0, LATE)[0].ready
    assert condition(one, "Ready") == "True"


def test_a_crashing_pod_has_run_and_one_without_image_has_not() -> None:
    assert played(pod(**{"penstock.test/fail": "CrashLoopBackOff"}), 0, EARLY)[0].phase == "Running"
    assert played(pod("web:bad"), 0, EARLY)[0].phase == "Pending"
    assert waiting("CrashLoopBackOff", "", restarts=2).phase == "Running"


def test_the_image_is_played_by_this_repository_and_this_python() -> None:
    assert command({}) == [sys.executable, "-I", "-S", str(APP)]
    assert command({"args": ["--x"]})[-2:] == [str(APP), "--x"]
    assert command({"command": ["python3", "/app/app.py"]}) == [sys.executable, str(APP)]
    assert command({"command": ["sleep", "1"]}) == ["sleep", "1"]


def test_the_environment_is_the_containers_alone() -> None:
    one = pod("sample-app:1.2", color="green")
    one["metadata"]["labels"] = {"app": "shop"}
    container = one["spec"]["containers"][0]
    container["env"] = [
        {"name": "PLAIN", "value": "yes"},
        {"name": "EMPTY"},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "NOTE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['color']"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "BIND", "value": "0.0.0.0"},
    ]
    found = environment(one, container, "127.9.9.9")
    found.pop("PENSTOCK_BED", None)
    assert found == {
        "VERSION": "1.2",
        "HOSTNAME": "one",
        "PLAIN": "yes",
        "EMPTY": "",
        "LABEL": "shop",
        "NOTE": "green",
        "IP": "127.9.9.9",
        "BIND": "127.9.9.9",
    }


def test_a_probe_is_read_with_the_kubelets_defaults() -> None:
    container = {
        "ports": [{"name": "metrics", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"port": "metrics"}},
    }
    assert Probe.of(container) == Probe("/", 8080, 0, 10, 1, 1, 3)
    assert container_port(container, "other") is None
    assert Probe.of({}) is None


@pytest.mark.parametrize(
    "probe", [{"tcpSocket": {"port": 1}}, {"httpGet": {"port": "web"}}, {"grpc": {"port": 1}}]
)
def test_a_probe_that_is_not_played_is_refused(probe: dict[str, Any]) -> None:
    with pytest.raises(NotPlayed):
        Probe.of({"readinessProbe": probe})

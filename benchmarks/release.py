"""How soon a burning release is held, and what starts of a new one while the gate is shut."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
import urllib.request
from typing import Any

from benchmarks.figures import Figure
from benchmarks.process import Operator
from benchmarks.waiting import until
from demo import shop
from testbed.api import ApiError, Kube
from testbed.bed import Bed
from testbed.load import Load
from testbed.workloads import is_complete

NAMESPACE, NAME, INTERVAL, ROUNDS = "bench-release", "checkout", 1.0, 3
APPS = f"/apis/apps/v1/namespaces/{NAMESPACE}"
OURS = f"/apis/penstock.dev/v1alpha1/namespaces/{NAMESPACE}"
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
LONG, SHORT, FACTOR, LEAST = "10s", "5s", 1.5, 5


def measure(bed: Bed) -> list[Figure]:
    """Three bad releases, one after the other; then one under a gate that a person has shut."""
    kube = bed.kube
    for path, body in (
        (f"{APPS}/deployments", shop.version("1.0")),
        (f"{OURS}/metricssources", shop.source(bed.prometheus_url)),
        (f"{OURS}/slos", shop.SLO),
        (f"{OURS}/rollouts", shop.ROLLOUT),
    ):
        kube.call("POST", path, body)
    with Operator(bed, INTERVAL), Load(kube, NAMESPACE, f"app={NAME}", rate=40, seconds=600):
        until("the gate is open", 60, lambda: _gate(kube) == "Open" and _complete(kube))
        delays = [_one_bad_release(bed) for _ in range(ROUNDS)]
        started = _started_under_a_shut_gate(kube)
    return [
        Figure(
            f"sample visible to hold written, interval {INTERVAL:g} s, worst of {ROUNDS}, s",
            max(delays),
            INTERVAL + 1,
            "the evaluation period, s",
            INTERVAL,
        ),
        Figure(
            "pods of a new template under a shut gate",
            started,
            0,
            "a controller that watches and pauses",
            _started_by_a_reactive_pause(kube),
        ),
    ]


def _one_bad_release(bed: Bed) -> float:
    """Seconds from the first moment that Prometheus shows the burn until our hold is written."""
    kube = bed.kube
    held: list[float] = []
    version = kube.call("GET", f"{APPS}/deployments")["metadata"]["resourceVersion"]
    watcher = threading.Thread(target=_await_hold, args=(bed, version, held))
    watcher.start()
    _put(kube, shop.version("1.2"))
    until("the burn is visible", 60, lambda: _burns(bed.prometheus_url))
    visible = time.monotonic()
    watcher.join(60)
    if not held:
        raise TimeoutError("the release was not held")
    _put(kube, shop.version("1.0"))
    until("it is whole and open", 150, lambda: _gate(kube) == "Open" and _complete(kube))
    return max(0.0, held[0] - visible)


def _await_hold(bed: Bed, version: str, held: list[float]) -> None:
    kube = Kube(bed.kubeconfig)
    for event in kube.watch(f"{APPS}/deployments", version, timeout=60):
        managers = event["object"]["metadata"].get("managedFields") or ()
        if any(one["manager"].startswith("penstock-hold-") for one in managers):
            held.append(time.monotonic())
            return


def _burns(url: str) -> bool:
    """The policy's pair as a person would ask for it."""
    budget = 0.05
    for look in (LONG, SHORT):
        bad = _ask(
            url, f'sum(increase(http_requests_total{{service="{NAME}",code=~"5.."}}[{look}]))'
        )
        total = _ask(url, f'sum(increase(http_requests_total{{service="{NAME}"}}[{look}]))')
        if total <= 0 or bad / total / budget <= FACTOR or (look == LONG and bad < LEAST):
            return False
    return True


def _ask(url: str, query: str) -> float:
    asked = f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(asked, timeout=5) as answer:
        found = json.load(answer)["data"]["result"]
    return float(found[0]["value"][1]) if found else 0.0


def _started_under_a_shut_gate(kube: Kube) -> int:
    hold = {"spec": {"hold": {"reason": "benchmark"}}}
    kube.call("PATCH", f"{OURS}/rollouts/{NAME}", hold, content_type=MERGE)
    until("the gate is shut", 30, lambda: _gate(kube) == "Closed")
    try:
        _set_image(kube, NAME, "2.0")
    except ApiError as error:
        if error.code != 403:
            raise
    time.sleep(3)
    return _pods_of(kube, f"{shop.IMAGE}:2.0")


def _started_by_a_reactive_pause(kube: Kube) -> int:
    """A workload of its own, without a Rollout: paused as soon as the watch tells of a change."""
    body = shop.version("1.0")
    body["metadata"]["name"] = "reactive"
    body["spec"]["selector"]["matchLabels"] = {"app": "reactive"}
    body["spec"]["template"]["metadata"]["labels"] = {"app": "reactive"}
    made = kube.call("POST", f"{APPS}/deployments", body)
    until("it is whole", 60, lambda: _complete(kube, "reactive"))
    made = kube.call("GET", f"{APPS}/deployments/reactive")
    pauser = threading.Thread(target=_pause_on_change, args=(kube, made))
    pauser.start()
    time.sleep(0.3)
    _set_image(kube, "reactive", "3.0")
    pauser.join()
    time.sleep(5)
    return _pods_of(kube, f"{shop.IMAGE}:3.0")


def _pause_on_change(kube: Kube, seen: dict[str, Any]) -> None:
    version, path = seen["metadata"]["resourceVersion"], f"{APPS}/deployments"
    for event in kube.watch(path, version, timeout=30):
        found = event["object"]
        if found["metadata"]["name"] != "reactive" or found["spec"] == seen["spec"]:
            continue
        pause = {"spec": {"paused": True}}
        kube.call("PATCH", f"{path}/reactive", pause, content_type=MERGE)
        return


def _set_image(kube: Kube, name: str, tag: str) -> None:
    containers = [{"name": "app", "image": f"{shop.IMAGE}:{tag}"}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    kube.call("PATCH", f"{APPS}/deployments/{name}", patch, content_type=STRATEGIC)


def _put(kube: Kube, body: dict[str, Any]) -> None:
    path = f"{APPS}/deployments/{NAME}?fieldManager=bench&force=true"
    kube.call("PATCH", path, body, content_type=APPLY)


def _pods_of(kube: Kube, image: str) -> int:
    pods = kube.call("GET", f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
    return sum(pod["spec"]["containers"][0]["image"] == image for pod in pods)


def _gate(kube: Kube) -> str:
    status = kube.call("GET", f"{OURS}/rollouts/{NAME}").get("status") or {}
    return str((status.get("gate") or {}).get("state", ""))


def _complete(kube: Kube, name: str = NAME) -> bool:
    return is_complete(kube.call("GET", f"{APPS}/deployments/{name}"))

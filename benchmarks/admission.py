"""How soon the API server refuses, once a gate is written shut, with 100 gates in the namespace."""

from __future__ import annotations

import threading
import time
from typing import Any

from benchmarks.figures import Figure, percentile
from benchmarks.waiting import until
from testbed.api import ApiError, Kube
from testbed.bed import Bed

NAMESPACE, NAME = "bench-admission", "app-000"
GATES, ROUNDS, PATIENCE = 100, 20, 10.0
APPS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
RECORDS = f"/apis/penstock.dev/v1alpha1/namespaces/{NAMESPACE}/gaterecords"
MERGE = "application/merge-patch+json"


def measure(bed: Bed) -> list[Figure]:
    """Ours beside the time in which a bare watch hears of the same write."""
    kube = bed.kube
    for number in range(GATES):
        kube.call("POST", RECORDS, _record(f"app-{number:03}"))
    kube.call("POST", APPS, _deployment())
    _await_open(kube)
    refused, watched = [], []
    for _ in range(ROUNDS):
        delay, heard = _close(bed)
        refused.append(delay)
        watched.append(heard)
        _patch(kube, admits=True)
        _await_open(kube)
    return [
        Figure(
            f"gate written to API server refusing, {GATES} gates, p99 ms",
            1e3 * percentile(refused, 0.99),
            50,
            "a bare watch of the record, p99 ms",
            1e3 * percentile(watched, 0.99),
        )
    ]


def _close(bed: Bed) -> tuple[float, float]:
    """Seconds from the answer to the write until the first refusal, and until a watch told."""
    kube = bed.kube
    version = kube.call("GET", RECORDS)["metadata"]["resourceVersion"]
    told: list[float] = []
    listening = threading.Event()
    watcher = threading.Thread(target=_listen, args=(bed, version, listening, told))
    watcher.start()
    listening.wait()
    time.sleep(0.1)
    _patch(kube, admits=False)
    written = time.monotonic()
    until("the gate closes", PATIENCE, lambda: _refuses(kube), every=0)
    refused = time.monotonic()
    watcher.join()
    return refused - written, max(0.0, told[0] - written)


def _listen(bed: Bed, version: str, listening: threading.Event, told: list[float]) -> None:
    kube = Kube(bed.kubeconfig)
    listening.set()
    for _ in kube.watch(RECORDS, version, timeout=20):
        told.append(time.monotonic())
        return


def _await_open(kube: Kube) -> None:
    until("the gate opens", PATIENCE, lambda: not _refuses(kube), every=0)


def _refuses(kube: Kube) -> bool:
    """Whether a release, as a dry run, is refused."""
    image = {"template": {"spec": {"containers": [{"name": "app", "image": "app:2"}]}}}
    path = f"{APPS}/{NAME}?dryRun=All"
    content = "application/strategic-merge-patch+json"
    try:
        kube.call("PATCH", path, {"spec": image}, content_type=content)
    except ApiError as error:
        if error.code != 403:
            raise
        return True
    return False


def _patch(kube: Kube, *, admits: bool) -> None:
    body = {"data": {"admits": admits}, "metadata": {"labels": _labels(admits=admits)}}
    kube.call("PATCH", f"{RECORDS}/{NAME}", body, content_type=MERGE)


def _labels(*, admits: bool) -> dict[str, str | None]:
    return {"penstock.dev/closed": None if admits else "Deny"}


def _record(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "GateRecord",
        "metadata": {"name": name},
        "data": {
            "workload": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "admits": True,
            "admission": "Deny",
            "message": "the benchmark holds it",
        },
    }


def _deployment() -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": NAME}},
            "template": {
                "metadata": {"labels": {"app": NAME}},
                "spec": {"containers": [{"name": "app", "image": "app:1"}]},
            },
        },
    }

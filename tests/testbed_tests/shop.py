"""What several tests of the node and the load do with Deployments and pods of the sample."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from testbed.api import Kube
from testbed.pods import condition

MANIFEST = Path(__file__).parents[2] / "demo" / "app" / "checkout.yaml"
SAMPLE = "penstock.dev/sample-app:1.0"
PATIENCE = 60.0
MERGE = "application/merge-patch+json"
PROBED = {
    "ports": [{"name": "metrics", "containerPort": 8080}],
    "readinessProbe": {
        "httpGet": {"path": "/healthz", "port": "metrics"},
        "periodSeconds": 1,
        "failureThreshold": 2,
    },
}


def soon(condition: Callable[[], object]) -> bool:
    """Whether it comes true; asks seldom enough to leave the machine to the servers."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


class Shop:
    """One namespace, and what a test asks of it."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.kube, self.namespace = kube, namespace
        self.pods_path = f"/api/v1/namespaces/{namespace}/pods"
        self.deployments_path = f"/apis/apps/v1/namespaces/{namespace}/deployments"

    def deploy_checkout(self, **environment: str) -> None:
        manifest = yaml.safe_load(MANIFEST.read_text())
        container = manifest["spec"]["template"]["spec"]["containers"][0]
        kept = [one for one in container["env"] if one["name"] not in environment]
        added = [{"name": name, "value": value} for name, value in environment.items()]
        container["env"] = kept + added
        self.kube.call("POST", self.deployments_path, manifest)

    def deploy_played(self, name: str, replicas: int, image: str = "example.com/web:1") -> None:
        labels = {"app": name}
        template = {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "web", "image": image}]},
        }
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        self.kube.call("POST", self.deployments_path, {"metadata": {"name": name}, "spec": spec})

    def change(self, deployment: str, spec: Mapping[str, Any]) -> None:
        path = f"{self.deployments_path}/{deployment}"
        self.kube.call("PATCH", path, {"spec": spec}, content_type=MERGE)

    def create_pod(
        self,
        name: str = "one",
        *,
        image: str = SAMPLE,
        annotations: Mapping[str, str] | None = None,
        spec: Mapping[str, Any] | None = None,
        **container: Any,
    ) -> None:
        """A single pod of one container."""
        contained = {"name": "app", "image": image, **container}
        metadata = {"name": name, "labels": {"app": name}, "annotations": dict(annotations or {})}
        grace = {"terminationGracePeriodSeconds": 2}
        body = {"metadata": metadata, "spec": {**grace, "containers": [contained], **(spec or {})}}
        self.kube.call("POST", self.pods_path, body)

    def pod(self, name: str = "one") -> dict[str, Any]:
        """Empty when it is gone."""
        return self.kube.call("GET", f"{self.pods_path}/{name}", ok=(404,)) or {}

    def annotate(self, name: str, **annotations: str | None) -> None:
        patch = {"metadata": {"annotations": annotations}}
        self.kube.call("PATCH", f"{self.pods_path}/{name}", patch, content_type=MERGE)

    def delete_pod(self, name: str = "one", grace: int | None = None) -> None:
        options = {} if grace is None else {"gracePeriodSeconds": grace}
        self.kube.call("DELETE", f"{self.pods_path}/{name}", options)

    def pods(self, app: str) -> list[dict[str, Any]]:
        listed = self.kube.call("GET", f"{self.pods_path}?labelSelector=app%3D{app}")
        return list(listed["items"])

    def ready(self, app: str) -> list[dict[str, Any]]:
        """Ready pods that are not on their way out."""
        return [
            pod
            for pod in self.pods(app)
            if condition(pod, "Ready") == "True" and "deletionTimestamp" not in pod["metadata"]
        ]

    def addresses(self, app: str) -> list[str]:
        return [pod["status"]["podIP"] for pod in self.ready(app)]

    def wait_for_ready(self, app: str, number: int) -> list[str]:
        """Wait for exactly so many, and return their addresses."""
        assert soon(lambda: len(self.ready(app)) == number == len(self.pods(app))), (
            f"{len(self.ready(app))} of {len(self.pods(app))} pods are ready, not {number}"
        )
        return self.addresses(app)

    def container(self, name: str = "one") -> dict[str, Any]:
        """What is said of the pod's only container."""
        said = (self.pod(name).get("status") or {}).get("containerStatuses") or [{}]
        return dict(said[0])

    def waits_with(self, reason: str, name: str = "one") -> bool:
        state = self.container(name).get("state") or {}
        return (state.get("waiting") or {}).get("reason") == reason

    def is_ready(self, name: str = "one") -> bool:
        return condition(self.pod(name), "Ready") == "True"


def answer(address: str, path: str = "/", port: int = 8080) -> tuple[int, str] | None:
    """Status and text, None when nobody listens there."""
    connection = http.client.HTTPConnection(address, port, timeout=10)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    except OSError:
        return None
    finally:
        connection.close()

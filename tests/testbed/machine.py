"""One node without a machine: registered, kept alive, and ready whatever happened before.

Owns what a kubelet says of itself: the Node object's status and its Lease. It knows no pod.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from testbed.api import Kube
from testbed.pods import is_said

MERGE = "application/merge-patch+json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"

HOST = "127.0.0.1"
"""Where the API server looks for a kubelet when asked for logs: here, where none listens, so that
it says so at once."""

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"

_ROOM = {"cpu": "64", "memory": "512Gi", "pods": "2000", "ephemeral-storage": "1Ti"}
_HEALTH = {
    "Ready": "True",
    "MemoryPressure": "False",
    "DiskPressure": "False",
    "PIDPressure": "False",
}
_NODE_STATUS: dict[str, Any] = {
    "capacity": _ROOM,
    "allocatable": _ROOM,
    "conditions": [
        {"type": kind, "status": value, "reason": "PlayedByTheTestBed"}
        for kind, value in _HEALTH.items()
    ],
    "addresses": [{"type": "InternalIP", "address": HOST}],
    "daemonEndpoints": {"kubeletEndpoint": {"Port": 1}},
    "nodeInfo": {"kubeletVersion": "testbed", "operatingSystem": "linux", "architecture": "amd64"},
}


class Machine:
    """One node: registered, and renewed with every beat."""

    def __init__(self, kube: Kube, name: str) -> None:
        self.name = name
        self._kube = kube
        self._path = f"/api/v1/nodes/{self.name}"

    def beat(self) -> None:
        """Say that it is there, whatever the API server believed of it before."""
        node = self._kube.call("GET", self._path, ok=(404,))
        if node is None:
            node = self._kube.call("POST", "/api/v1/nodes", self._manifest(), ok=(409,)) or {}
        # Its lease alone would not do: a controller that missed it for long calls the node unready.
        if not is_said(node.get("status"), _NODE_STATUS):
            self._write_status()
        self._renew_lease()

    def _write_status(self) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        dated = {"lastHeartbeatTime": now, "lastTransitionTime": now, "message": ""}
        conditions = [{**condition, **dated} for condition in _NODE_STATUS["conditions"]]
        patch = {"status": {**_NODE_STATUS, "conditions": conditions}}
        self._kube.call("PATCH", f"{self._path}/status", patch, content_type=STRATEGIC_MERGE)

    def _manifest(self) -> dict[str, Any]:
        labels = {
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
        }
        return {"metadata": {"name": self.name, "labels": labels}}

    def _renew_lease(self) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": now}
        path = f"{_LEASES}/{self.name}"
        renewed = self._kube.call("PATCH", path, {"spec": spec}, content_type=MERGE, ok=(404,))
        if renewed is None:
            body = {"metadata": {"name": self.name}, "spec": spec}
            # 404: the API server makes the namespace for leases a moment after its own start.
            self._kube.call("POST", _LEASES, body, ok=(404, 409))

"""A Deployment behind a gate, on a real API server: for the tests of the admission policies.

The operator does not run in these tests. Its part, the GateRecord, is written here in its own way:
from a template as the core compares it, with the labels that its adapter writes, applied by one
manager.
"""

from __future__ import annotations

import fcntl
import json
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.api.gate_record import record_labels
from penstock.domain.template import pod_template
from testbed.api import ApiError, Kube
from testbed.bed import Bed

ROOT = Path(__file__).parents[2]
ADMISSION = ROOT / "deploy" / "admission"
STRICT = ROOT / "deploy" / "admission-strict"
CRDS = ROOT / "deploy" / "crds"

SENTENCE = "Closed since 14:02 UTC: checkout-availability has -3.1% of its error budget left"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

# The API server may look for a new kind only every 30 s; the rest is for a loaded machine.
PATIENCE = 90.0

_COUNTERS = re.compile(
    r"^apiserver_(?:validating_admission_policy_check_total\{enforcement_action=\"allow\""
    r"|admission_match_condition_evaluation_errors_total\{).*penstock\.dev.* (\S+)$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Server:
    """An API server, and kubectl for it."""

    bed: Bed

    @property
    def kube(self) -> Kube:
        return self.bed.kube

    def kubectl(self, *arguments: str, user: str = "") -> subprocess.CompletedProcess[str]:
        """What kubectl says; `user` is impersonated, so that the user's own rights decide."""
        return self.bed.kubectl(*([f"--as={user}"] if user else []), *arguments)

    def do(self, *arguments: str) -> str:
        """Standard output of a kubectl that must succeed."""
        done = self.kubectl(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def evaluation_errors(self) -> float:
        """How often an expression of ours failed; `failurePolicy: Ignore` hides each of these."""
        return sum(map(float, _COUNTERS.findall(self.kube.call("GET", "/metrics"))))


@dataclass(frozen=True)
class Workload:
    """One Deployment, its GateRecord, and what is tried with them."""

    server: Server
    namespace: str
    name: str = "checkout"

    @property
    def path(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{self.name}"

    @property
    def records(self) -> str:
        return f"/apis/penstock.dev/v1alpha1/namespaces/{self.namespace}/gaterecords"

    def create(self, body: Mapping[str, Any] | None = None) -> None:
        collection, _, _ = self.path.rpartition("/")
        self.server.kube.call("POST", collection, body or deployment(self.name))

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = self.server.kube.call("GET", self.path)
        return found

    def template(self) -> dict[str, Any]:
        found: dict[str, Any] = self.read()["spec"]["template"]
        return found

    def patch(self, body: object, content_type: str = STRATEGIC, query: str = "") -> dict[str, Any]:
        done: dict[str, Any] = self.server.kube.call(
            "PATCH", f"{self.path}?{query}", body, content_type=content_type
        )
        return done

    def refusal(self, body: object | None = None, content_type: str = STRATEGIC) -> ApiError | None:
        """What the server would say to this change; without one, to a release. Nothing changes."""
        try:
            self.patch(body or release(), content_type, "dryRun=All")
        except ApiError as error:
            return error
        return None

    def refuses(self) -> bool:
        return self.refusal() is not None

    def kubectl(self, *arguments: str, user: str = "") -> subprocess.CompletedProcess[str]:
        return self.server.kubectl(f"--namespace={self.namespace}", *arguments, user=user)

    def write_record(self, data: Mapping[str, Any], name: str = "") -> None:
        """As the operator does; without waiting for an effect."""
        body = {
            "apiVersion": "penstock.dev/v1alpha1",
            "kind": "GateRecord",
            "metadata": {"name": name or self.name, "labels": record_labels(data)},
            "data": data,
        }
        path = f"{self.records}/{name or self.name}?fieldManager=penstock&force=true"
        self.server.kube.call("PATCH", path, body, content_type=APPLY)

    def close(self, **more: Any) -> None:
        """Close the gate, and wait until it is."""
        self.write_record(closed(self.name, **more))
        until(self.refuses)

    def open(self) -> None:
        """Open the gate, and wait until it is."""
        self.write_record(closed(self.name) | {"admits": True})
        until(lambda: not self.refuses())


def deployment(name: str, image: str = "shop/checkout:1", **spec: Any) -> dict[str, Any]:
    """A small Deployment without pods."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": {"checksum/config": "1"}},
                "spec": {"containers": [{"name": "app", "image": image}]},
            },
            **spec,
        },
    }


def release(image: str = "shop/checkout:next") -> dict[str, Any]:
    """A change of the image."""
    return in_template(spec={"containers": [{"name": "app", "image": image}]})


def in_template(**parts: Any) -> dict[str, Any]:
    """A change of the pod template."""
    return {"spec": {"template": parts}}


def closed(name: str, *, kind: str = "Deployment", group: str = "apps", **more: Any) -> Any:
    """The data of a record whose gate is closed."""
    return {
        "workload": {"apiVersion": f"{group}/v1", "kind": kind, "name": name},
        "admits": False,
        "admission": "Deny",
        "message": SENTENCE,
        **more,
    }


def stable(*bodies: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Stable templates as the operator records them."""
    known = [pod_template(body) for body in bodies]
    return [{"hash": template.hash, "template": dict(template.body)} for template in known]


def with_policies(bed: Bed) -> Server:
    """The bed's API server with the policies of deploy/admission, in effect.

    Whichever process of a test run asks first applies them; the others find them.
    """
    server, done = Server(bed), bed.folder / "policies-are-in-effect"
    with (bed.folder / "policies.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            _apply_policies(server)
            done.touch()
    return server


def _apply_policies(server: Server) -> None:
    server.do("apply", "-k", str(ADMISSION))
    namespace = f"policies-{secrets.token_hex(4)}"
    server.do("create", "namespace", namespace)
    trial = Workload(server, namespace)
    trial.create()
    trial.write_record(closed(trial.name))
    until(trial.refuses)
    server.do("delete", "namespace", namespace, "--wait=false")


def until(holds: Callable[[], bool], patience: float = PATIENCE) -> float:
    """Seconds that it took."""
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() - begin < patience, f"not within {patience:.0f} s"
        time.sleep(0.02)
    return time.monotonic() - begin


def percentiles(seconds: Sequence[float]) -> str:
    """Half and nearly all of them, for people."""
    ordered = sorted(1_000 * one for one in seconds)
    nearly_all = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"p50 {ordered[len(ordered) // 2]:.1f} ms, p99 {nearly_all:.1f} ms"


def manifest(folder: Path, body: Mapping[str, Any]) -> str:
    """A file for kubectl; JSON is YAML."""
    file = folder / f"{body['metadata']['name']}.yaml"
    file.write_text(json.dumps(body))
    return str(file)

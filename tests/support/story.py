"""One namespace with a workload, an SLO and a Rollout, and what a test does and sees there.

It acts as people do, with kubectl and the API server, and it reads nothing but what they can read.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import yaml

from support.admission_fixture import APPLY, MERGE
from support.operator_process import PATIENCE, Operator, wait_for
from support.played import IMAGE, NAME, Object, played
from support.traffic import STEADY, Traffic
from testbed.api import ApiError
from testbed.bed import Bed
from testbed.workloads import is_complete

API_VERSION = "penstock.dev/v1alpha1"
JSON_PATCH = "application/json-patch+json"
READY_AFTER = "penstock.test/ready-after"

# Short enough for a test; still four scrapes in the short look.
PAIRS = [{"long": "10s", "short": "5s", "factor": "2", "minimumBadEvents": 3}]
RESUME = {"calm": "2s", "margin": "1%"}


class Story:
    """Given, when and then of one namespace."""

    def __init__(self, bed: Bed, namespace: str, operator: Operator, traffic: Traffic) -> None:
        self.bed, self.namespace = bed, namespace
        self.operator, self.traffic = operator, traffic
        self.kube = bed.kube
        self._together: list[Object] | None = None

    # What is there.

    def source(self, name: str = "default", url: str = "") -> None:
        """A MetricsSource."""
        self.apply("MetricsSource", name, {"url": url or self.bed.prometheus_url, "timeout": "5s"})

    def slo(
        self,
        name: str = NAME,
        *,
        service: str = STEADY,
        objective: str = "90%",
        indicator: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """An SLO about one of the services under load, or by an indicator of its own."""
        measured = indicator or self.traffic.indicator(service)
        window = {"rolling": "1m"}
        self.apply(
            "SLO", name, {"objective": objective, "window": window, "indicator": measured, **more}
        )

    def rollout(
        self,
        name: str = NAME,
        *,
        workload: str = NAME,
        slos: tuple[str, ...] = (NAME,),
        policy: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """A Rollout with a policy that suits a test's patience."""
        ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload}
        written = {"burn": PAIRS, "resume": RESUME, **(policy or {})}
        named = [{"name": slo} for slo in slos]
        self.apply("Rollout", name, {"workloadRef": ref, "slos": named, "policy": written, **more})

    def deploy(self, manifest: Mapping[str, Any]) -> None:
        """Create a Deployment and wait until it is complete."""
        self.kube.call("POST", self.path("deployments"), manifest)
        self.wait_complete(manifest["metadata"]["name"])

    def guarded(self, replicas: int = 10, **spec: Any) -> None:
        """A played Deployment at rest behind an open gate."""
        self.kube.call("POST", self.path("deployments"), played(replicas=replicas, **spec))
        with self.at_once():
            self.source()
            self.slo()
        self.wait_measured()
        self.wait_complete()
        self.rollout()
        self.wait_gate("Open", "BudgetHealthy")
        self.wait("its template is known as stable", lambda it: it["status"].get("stable"))

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What is applied inside is applied at the end, by one kubectl."""
        self._together = []
        yield
        bodies, self._together = self._together, None
        self.do("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, bodies)))

    def apply(self, kind: str, name: str, spec: Mapping[str, Any]) -> None:
        """Apply one object of ours with kubectl, as its author."""
        body = {
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": spec,
        }
        if self._together is None:
            self.do("apply", "-f", "-", stdin=json.dumps(body))
        else:
            self._together.append(body)

    # What happens.

    def kubectl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """kubectl in this namespace; its failure is the caller's to judge."""
        return self.bed.kubectl("--namespace", self.namespace, *arguments, stdin=stdin)

    def do(self, *arguments: str, stdin: str = "") -> str:
        """Standard output of a kubectl that must succeed."""
        done = self.kubectl(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def patch(self, resource: str, name: str, body: object, content_type: str = MERGE) -> Object:
        """Patch an object, as an administrator."""
        path = f"{self.path(resource)}/{name}"
        found: Object = self.kube.call("PATCH", path, body, content_type=content_type)
        return found

    def apply_as(self, manager: str, body: Mapping[str, Any], *, force: bool = False) -> Object:
        """Server-side apply to the Deployment, as GitOps does it."""
        name = body["metadata"]["name"]
        query = f"fieldManager={manager}&force={str(force).lower()}"
        path = f"{self.path('deployments')}/{name}?{query}"
        found: Object = self.kube.call("PATCH", path, body, content_type=APPLY)
        return found

    def hold(self, reason: str = "a person's wish", name: str = NAME) -> None:
        """A person's own hold, in the Rollout's spec."""
        self.patch("rollouts", name, {"spec": {"hold": {"reason": reason}}})

    def unhold(self, name: str = NAME) -> None:
        """End it."""
        self.patch("rollouts", name, {"spec": {"hold": None}})

    def change(self, *, ready_after: str = "0", image: str = f"{IMAGE}:2", **spec: Any) -> None:
        """Release another image, whose pods get ready so late or never."""
        template = {
            "metadata": {"annotations": {READY_AFTER: ready_after}},
            "spec": {"containers": [{"name": "web", "image": image}]},
        }
        self.patch("deployments", NAME, {"spec": {"template": template, **spec}})

    def go_back(self) -> None:
        """Release the first template again, as applying the former manifest does."""
        template = played()["spec"]["template"]
        body = [{"op": "replace", "path": "/spec/template", "value": template}]
        self.patch("deployments", NAME, body, JSON_PATCH)

    def let_pods_go(self) -> None:
        """Take all finalizers off the pods."""
        for pod in self.kube.call("GET", self.path("pods"))["items"]:
            patch = {"metadata": {"finalizers": None}}
            path = f"{self.path('pods')}/{pod['metadata']['name']}"
            self.kube.call("PATCH", path, patch, content_type=MERGE, ok=(404,))

    def refusal(self, image: str = f"{IMAGE}:never", name: str = NAME) -> ApiError | None:
        """What the API server would say to a release; nothing changes."""
        body = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}]
        path = f"{self.path('deployments')}/{name}?dryRun=All"
        try:
            self.kube.call("PATCH", path, body, content_type=JSON_PATCH)
        except ApiError as error:
            return error
        return None

    def wait_refused(self, name: str = NAME) -> ApiError:
        """Wait until the API server refuses releases."""
        found = wait_for("releases are refused", lambda: self.refusal(name=name))
        assert found is not None
        return found

    def wait_admitted(self, name: str = NAME) -> None:
        """Wait until the API server lets releases pass."""
        wait_for("releases pass", lambda: self.refusal(name=name), lambda error: error is None)

    # What is seen.

    def read(self, resource: str, name: str = NAME) -> Object:
        """An object; empty when it is not there."""
        found = self.kube.call("GET", f"{self.path(resource)}/{name}", ok=(404,))
        return found or {}

    def deployment(self, name: str = NAME) -> Object:
        return self.read("deployments", name)

    def status(self, name: str = NAME) -> Object:
        """The status of the Rollout; empty while it has none."""
        found: Object = self.read("rollouts", name).get("status") or {}
        return found

    def gate(self, name: str = NAME) -> Object:
        """Where its gate stands."""
        found: Object = self.status(name).get("gate") or {}
        return found

    def condition(self, kind: str, name: str = NAME, resource: str = "rollouts") -> Object:
        """One condition of an object of ours."""
        status = self.read(resource, name).get("status") or {}
        found = [one for one in status.get("conditions") or () if one["type"] == kind]
        return found[0] if found else {}

    def events(self, name: str = NAME) -> list[Object]:
        """Events about the Rollout, oldest first."""
        query = f"fieldSelector=involvedObject.name={name},involvedObject.kind=Rollout"
        listed = self.kube.call("GET", f"/api/v1/namespaces/{self.namespace}/events?{query}")
        found: list[Object] = listed["items"]
        return sorted(found, key=lambda one: int(one["metadata"]["resourceVersion"]))

    def reasons(self, name: str = NAME) -> list[str]:
        """The reasons of those events."""
        return [event["reason"] for event in self.events(name)]

    def replicas(self, name: str = NAME) -> dict[str, int]:
        """Pods wanted of each image, by its tag; old ReplicaSets of none are left out."""
        sets = self.kube.call("GET", self.path("replicasets"))["items"]
        owned = [one for one in sets if one["metadata"]["ownerReferences"][0]["name"] == name]
        found: dict[str, int] = {}
        for one in owned:
            image = one["spec"]["template"]["spec"]["containers"][0]["image"]
            tag, count = image.rpartition(":")[2], one["spec"]["replicas"]
            if count:
                found[tag] = found.get(tag, 0) + count
        return found

    def pausers(self, name: str = NAME) -> list[str]:
        """Field managers that own `spec.paused`."""
        return [
            entry["manager"]
            for entry in self.deployment(name)["metadata"]["managedFields"]
            if "f:paused" in (entry.get("fieldsV1") or {}).get("f:spec", {})
        ]

    # What is waited for.

    def wait(
        self,
        what: str,
        is_so: Callable[[Object], object],
        *,
        name: str = NAME,
        resource: str = "rollouts",
        seconds: float = PATIENCE,
    ) -> Object:
        """Wait for something that an object says."""

        def safely(seen: Object) -> object:
            return bool(seen) and "status" in seen and is_so(seen)

        return wait_for(what, lambda: self.read(resource, name), safely, seconds)

    def wait_measured(self, name: str = NAME) -> None:
        """Wait until an SLO's status has what was measured first."""
        self.wait(
            "it is measured",
            lambda it: it["status"]["conditions"][0]["status"] == "True",
            resource="slos",
            name=name,
        )

    def wait_gate(
        self, state: str, reason: str = "", *, name: str = NAME, seconds: float = PATIENCE
    ) -> Object:
        """Wait until the gate stands so; returns the gate."""
        return wait_for(
            f"the gate is {state} {reason}",
            lambda: self.gate(name),
            lambda gate: gate.get("state") == state and reason in ("", gate.get("reason")),
            seconds,
        )

    def wait_held(self, effective: str = "", name: str = NAME) -> Object:
        """Wait until a hold is told and in force; returns the status."""
        status: Object = self.wait(
            "it is held",
            lambda it: (
                it["status"]["hold"]["active"]
                and effective in ("", it["status"]["hold"]["effective"])
            ),
            name=name,
        )["status"]
        assert self.deployment(name)["spec"].get("paused") is True
        return status

    def wait_released(self, name: str = NAME) -> None:
        """Wait until nothing of ours holds it and the status says so."""
        self.wait("it is not held", lambda it: not it["status"]["hold"]["active"], name=name)
        ours = lambda: [one for one in self.pausers(name) if one.startswith("penstock")]  # noqa: E731
        wait_for("our pause is gone", ours, lambda found: not found)

    def wait_complete(self, name: str = NAME, tag: str = "") -> None:
        """Wait until the Deployment has finished what it was told."""
        self.wait(
            f"{name} is complete",
            lambda it: is_complete(it, tag),
            resource="deployments",
            name=name,
        )

    def wait_replicas(self, name: str = NAME, **tags: int) -> None:
        """Wait for exactly so many wanted pods of each image's tag (`v1=8` is tag "1")."""
        wanted = {tag.removeprefix("v"): count for tag, count in tags.items()}
        wait_for(
            f"pods wanted are {wanted}",
            lambda: self.replicas(name),
            lambda found: found == wanted,
        )

    def wait_condition(
        self, kind: str, status: str, reason: str = "", name: str = NAME, resource: str = "rollouts"
    ) -> Object:
        """Wait for a condition; returns it."""
        return wait_for(
            f"condition {kind} is {status} {reason}",
            lambda: self.condition(kind, name, resource),
            lambda one: one.get("status") == status and reason in ("", one.get("reason")),
        )

    def describe(self) -> str:
        """All that helps to understand a failure."""
        kinds = "slos.penstock.dev,rollouts.penstock.dev,gaterecords.penstock.dev,deployments"
        shown = self.kubectl("get", f"{kinds},replicasets,events", "-o", "wide").stdout
        listed = self.kube.call("GET", self.path("rollouts"))["items"]
        for one in listed:
            one["metadata"].pop("managedFields", None)
        return f"{shown}\n{yaml.safe_dump_all(listed, sort_keys=False)}"

    def path(self, resource: str) -> str:
        """The collection of a kind in this namespace."""
        roots = {
            "deployments": "apis/apps/v1",
            "replicasets": "apis/apps/v1",
            "pods": "api/v1",
        }
        root = roots.get(resource, f"apis/{API_VERSION}")
        return f"/{root}/namespaces/{self.namespace}/{resource}"

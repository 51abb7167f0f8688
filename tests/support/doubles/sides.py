"""Both sides of a port's contract: a double upon its store, and the adapter on a real API server.

Each can do what people do around the port, so that one test function judges both.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

from penstock.adapters.custom_resources import CustomResources
from penstock.adapters.kube_client import KubeClient
from penstock.adapters.lease import LeaderElector
from penstock.adapters.ledger_store import LedgerStore
from penstock.adapters.workloads.registry import WorkloadRegistry
from penstock.domain.cached_object import Resource
from penstock.domain.refs import WorkloadRef
from penstock.engine.ports import Snapshots, StatusApi, Workloads
from support.admission_fixture import APPLY, MERGE
from support.clocks import MovedClock, SimulatedLoop
from support.doubles.connection import Connection, Connections
from support.doubles.deployments import Deployment, image
from support.doubles.measures import Leadership, StoredLease
from support.doubles.ports import StoredObjects, StoredSnapshots, StoredWorkloads
from support.doubles.store import Store
from support.operator_process import wait_for
from support.story import API_VERSION, JSON_PATCH, READY_AFTER, played
from testbed.bed import Bed
from testbed.workloads import is_complete

Body = dict[str, Any]
T = TypeVar("T")

NAME = "web"
REF = WorkloadRef("apps/v1", "Deployment", NAME)
REPLICAS = 4
KINDS = {Resource.SLO: "SLO", Resource.ROLLOUT: "Rollout", Resource.METRICS_SOURCE: "MetricsSource"}


class ALease(Protocol):
    """The port, and what the application does with it."""

    @property
    def held(self) -> bool:
        """Whether we lead now."""

    async def acquire(self) -> None:
        """Wait until we lead."""

    async def renew(self) -> None:
        """Renew until it is lost."""

    async def release(self) -> None:
        """Let the next one in at once."""


class Side(Protocol):
    """What a contract test needs besides the port itself."""

    namespace: str

    def play(self, story: Coroutine[Any, Any, T]) -> T:
        """Run a test function."""

    def cluster(self) -> StatusApi:
        """Our objects, as a client of its own sees them."""

    def workloads(self) -> Workloads:
        """Deployments."""

    def snapshots(self) -> Snapshots:
        """Ledgers, as a process of its own keeps them."""

    def lease(self, identity: str) -> ALease:
        """The Lease, as one replica competes for it."""

    def pass_time(self, seconds: float) -> None:
        """Let seconds pass for those who hold or watch a Lease."""

    def put(self, resource: Resource, name: str, spec: Mapping[str, Any]) -> None:
        """An author creates an object, or changes its spec."""

    def read(self, plural: str, name: str) -> Body:
        """An object; empty when it is not there."""

    def delete(self, resource: Resource, name: str) -> None:
        """An author deletes it."""

    def falsify(self, name: str, status: Body) -> None:
        """Somebody else writes a Rollout's status."""

    def give_record(self, name: str, owner: str) -> None:
        """A GateRecord is made to belong to another Rollout."""

    def deploy(self, *, paused: bool = False, ran: bool = True) -> None:
        """A Deployment, complete unless nothing of it ever ran."""

    def undeploy(self) -> None:
        """It is deleted."""

    def release(self, tag: str) -> None:
        """Another image, whose pods never get ready."""

    def pause(self, *, value: bool = True, manager: str = "a-person") -> None:
        """Another manager declares ``spec.paused`` by apply."""

    def resume(self) -> None:
        """A person takes the pause away, whoever made it."""

    def label(self, value: str) -> None:
        """A person's hold by label."""

    def workload_version(self) -> object:
        """It differs after any write to the Deployment's spec or metadata."""

    async def settles(self, is_so: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        """Wait for what a controller does."""


class DoubleSide:
    """The double."""

    namespace = "shop"

    def __init__(self) -> None:
        self._loop = SimulatedLoop()
        self._store = Store(self._loop.now)
        self._connections, self._leadership = Connections(), Leadership()

    def play(self, story: Coroutine[Any, Any, T]) -> T:
        return self._loop.play(story)

    def _connection(self) -> Connection:
        return Connection(self._connections)

    def cluster(self) -> StatusApi:
        return StoredObjects(self._store, self._connection())

    def workloads(self) -> Workloads:
        return StoredWorkloads(self._store, self._connection())

    def snapshots(self) -> Snapshots:
        return StoredSnapshots(self._store, self._connection())

    def lease(self, identity: str) -> ALease:
        return StoredLease(self._leadership, identity, self._loop)

    def pass_time(self, seconds: float) -> None:
        self._loop.leap(seconds)

    def put(self, resource: Resource, name: str, spec: Mapping[str, Any]) -> None:
        self._store.put(resource, self.namespace, name, spec)

    def read(self, plural: str, name: str) -> Body:
        return self._store.read(plural, self.namespace, name)

    def delete(self, resource: Resource, name: str) -> None:
        self._store.delete(str(resource), self.namespace, name)

    def falsify(self, name: str, status: Body) -> None:
        self._store.falsify(str(Resource.ROLLOUT), self.namespace, name, "status", status)

    def give_record(self, name: str, owner: str) -> None:
        metadata = self.read("gaterecords", name)["metadata"]
        uid = self.read(str(Resource.ROLLOUT), owner)["metadata"]["uid"]
        owners = [{"kind": "Rollout", "name": owner, "uid": uid}]
        self._store.falsify(
            "gaterecords", self.namespace, name, "metadata", {**metadata, "ownerReferences": owners}
        )

    def deploy(self, *, paused: bool = False, ran: bool = True) -> None:
        uid = f"deployment-{self._store.next_version()}"
        made = Deployment(self.namespace, NAME, uid, image("1"), REPLICAS)
        if paused:
            made.pausers["creator"] = True
        if ran:
            made.begin()
        else:
            made.first_release(None)
        self._store.deployments[self.namespace, NAME] = made

    def undeploy(self) -> None:
        del self._store.deployments[self.namespace, NAME]

    def _workload(self) -> Deployment:
        return self._store.deployments[self.namespace, NAME]

    def release(self, tag: str) -> None:
        self._workload().release_again(tag)

    def pause(self, *, value: bool = True, manager: str = "a-person") -> None:
        self._workload().pausers[manager] = value

    def resume(self) -> None:
        self._workload().resume()

    def label(self, value: str) -> None:
        self._workload().set_label(value)

    def workload_version(self) -> object:
        return self._workload().version

    async def settles(self, is_so: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        assert await is_so()


class RealSide:
    """The adapter, on the API server of a test bed."""

    def __init__(self, bed: Bed, namespace: str) -> None:
        self.namespace = namespace
        self._bed, self._clock = bed, MovedClock()
        self._deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self._open: list[KubeClient] = []
        self._configuration = Configuration()

    def play(self, story: Coroutine[Any, Any, T]) -> T:
        async def played_here() -> T:
            # The client reads KUBECONFIG when it is imported, which may be before the bed is there.
            path = str(self._bed.kubeconfig)
            await load_kube_config(path, client_configuration=self._configuration)
            try:
                return await story
            finally:
                for kube in self._open:
                    await kube.close()

        return asyncio.run(played_here())

    def _server(self) -> KubeClient:
        kube = KubeClient.from_configuration(self._configuration)
        self._open.append(kube)
        return kube

    def cluster(self) -> StatusApi:
        return CustomResources(self._server(), [self.namespace])

    def workloads(self) -> Workloads:
        return WorkloadRegistry.of(self._server(), [self.namespace])

    def snapshots(self) -> Snapshots:
        return LedgerStore(self._server(), self.namespace)

    def lease(self, identity: str) -> ALease:
        return LeaderElector(self._server(), self.namespace, identity, self._clock)

    def pass_time(self, seconds: float) -> None:
        self._clock.move(seconds)

    def put(self, resource: Resource, name: str, spec: Mapping[str, Any]) -> None:
        body = {
            "apiVersion": API_VERSION,
            "kind": KINDS[resource],
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": spec,
        }
        arguments = ("--namespace", self.namespace, "apply", "-f", "-")
        done = self._bed.kubectl(*arguments, stdin=json.dumps(body))
        assert done.returncode == 0, done.stderr

    def _path(self, plural: str, name: str) -> str:
        return f"/apis/{API_VERSION}/namespaces/{self.namespace}/{plural}/{name}"

    def read(self, plural: str, name: str) -> Body:
        found: Body | None = self._bed.kube.call("GET", self._path(plural, name), ok=(404,))
        return found or {}

    def delete(self, resource: Resource, name: str) -> None:
        self._bed.kube.call("DELETE", self._path(str(resource), name))
        wait_for("it is gone", lambda: not self.read(str(resource), name))

    def falsify(self, name: str, status: Body) -> None:
        path = f"{self._path('rollouts', name)}/status"
        self._bed.kube.call("PATCH", path, {"status": status}, content_type=MERGE)

    def give_record(self, name: str, owner: str) -> None:
        uid = self.read("rollouts", owner)["metadata"]["uid"]
        reference = {
            "apiVersion": API_VERSION,
            "kind": "Rollout",
            "name": owner,
            "uid": uid,
            "controller": True,
        }
        body = {"metadata": {"ownerReferences": [reference]}}
        self._bed.kube.call("PATCH", self._path("gaterecords", name), body, content_type=MERGE)

    def deploy(self, *, paused: bool = False, ran: bool = True) -> None:
        manifest = played(replicas=REPLICAS, **({"paused": True} if paused else {}))
        if not ran and not paused:
            notes = {READY_AFTER: "never"}
            manifest["spec"]["template"]["metadata"]["annotations"] = notes
        self._bed.kube.call("POST", f"{self._deployments}?fieldManager=creator", manifest)
        if ran:
            wait_for("it is complete", self._workload, is_complete)

    def undeploy(self) -> None:
        self._bed.kube.call("DELETE", f"{self._deployments}/{NAME}")
        path = f"{self._deployments}/{NAME}"
        wait_for("it is gone", lambda: self._bed.kube.call("GET", path, ok=(404,)) is None)

    def _workload(self) -> Body:
        found: Body = self._bed.kube.call("GET", f"{self._deployments}/{NAME}")
        return found

    def _patch(self, body: object, content_type: str = MERGE, query: str = "") -> None:
        path = f"{self._deployments}/{NAME}{query}"
        self._bed.kube.call("PATCH", path, body, content_type=content_type)

    def release(self, tag: str) -> None:
        container = {"name": NAME, "image": f"example.com/{NAME}:{tag}"}
        template = {
            "metadata": {"annotations": {READY_AFTER: "never"}},
            "spec": {"containers": [container]},
        }
        self._patch({"spec": {"template": template}})

    def pause(self, *, value: bool = True, manager: str = "a-person") -> None:
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": NAME},
            "spec": {"paused": value},
        }
        self._patch(body, APPLY, f"?fieldManager={manager}")

    def resume(self) -> None:
        self._patch([{"op": "remove", "path": "/spec/paused"}], JSON_PATCH)

    def label(self, value: str) -> None:
        self._patch({"metadata": {"labels": {"penstock.dev/hold": value}}})

    def workload_version(self) -> object:
        metadata = dict(self._workload()["metadata"])
        managers = {one["manager"] for one in metadata["managedFields"]}
        return metadata["generation"], metadata.get("labels"), managers

    async def settles(self, is_so: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        async with asyncio.timeout(60):
            while not await is_so():  # noqa: ASYNC110 - a controller of others tells nobody
                await asyncio.sleep(0.1)

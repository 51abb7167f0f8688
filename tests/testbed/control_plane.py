"""A real Kubernetes control plane on 127.0.0.1: etcd, API server, controller-manager, scheduler.

Owns these four processes, their settings, keys and data, all in one folder. It has no node and runs
no pod. etcd does not wait for the disk: what it holds is worth nothing once the bed is gone.

That an answer comes from our own server and not from one that was given the same port meanwhile is
checked: the API server's certificate is of our own authority, and etcd is asked for its name.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
import urllib.request
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from testbed.api import Kube
from testbed.pki import Pki
from testbed.servers import BedError, PortTaken, Server, on_free_ports

_SERVICES = "10.96.0.0/16"
_API_SERVER_NAMES = (
    "127.0.0.1",
    "10.96.0.1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
)
_MASTERS = "system:masters"
_CLIENTS = {
    "admin": ("admin", _MASTERS),
    "controller-manager": ("system:kube-controller-manager", None),
    "scheduler": ("system:kube-scheduler", None),
    # One process plays every kubelet and Prometheus' discovery: they may do what all may.
    "node": ("system:node-agent", _MASTERS),
}

# What a release needs. The rest (clouds, volumes, certificates, ...) would only cost time.
_CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "garbage-collector-controller",
    "horizontal-pod-autoscaler-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
    "taint-eviction-controller",
    "ttl-after-finished-controller",
    "validatingadmissionpolicy-status-controller",
)

_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"], "omitManagedFields": True},
        {"level": "None"},
    ],
}
_RESTART_SECONDS = 30.0
_GRACE_SECONDS = 2.0  # the API server would wait a whole minute for watches to end


class ControlPlane:
    """The four processes; the API server can be stopped and started again on its own."""

    def __init__(
        self,
        folder: Path,
        binaries: Mapping[str, Path],
        *,
        scheduler: bool = True,
        audit: bool = False,
    ) -> None:
        self.folder = folder
        self.pki = Pki(folder / "pki")
        self.audit_log = folder / "logs" / "audit.log"
        self._binaries = binaries
        self._with_scheduler = scheduler
        self._with_audit = audit
        self._servers: dict[str, Server] = {}
        self._issue_certificates()

    @property
    def server(self) -> str:
        """The API server's address."""
        return f"https://127.0.0.1:{self.port}"

    def start_etcd(self) -> None:
        on_free_ports(2, self._start_etcd)

    def start_api_server(self) -> None:
        """Start it on a free port, the first time; afterwards on the same port as before."""
        if hasattr(self, "port"):
            self._start_again()
        else:
            on_free_ports(1, self._start_api_server)

    def stop_api_server(self) -> None:
        """Its data stays; the others go on knocking until it is back."""
        self._stop("kube-apiserver")

    def start_controllers(self) -> None:
        """Start what acts on objects, without waiting for it."""
        self._start(
            "kube-controller-manager",
            f"--kubeconfig={self.folder}/controller-manager.kubeconfig",
            f"--controllers={','.join(_CONTROLLERS)}",
            f"--service-account-private-key-file={self.pki.folder}/sa.key",
            f"--root-ca-file={self.pki.ca_file}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--secure-port=0",
            "--profiling=false",
            "--node-monitor-grace-period=2m",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        )
        if self._with_scheduler:
            self._start(
                "kube-scheduler",
                f"--kubeconfig={self.folder}/scheduler.kubeconfig",
                "--leader-elect=false",
                "--secure-port=0",
                "--profiling=false",
            )

    def wait_for_controllers(self, kube: Kube) -> None:
        """They work once they have made what every namespace gets from them."""
        controllers = self._servers["kube-controller-manager"]
        for thing in ("serviceaccounts/default", "configmaps/kube-root-ca.crt"):
            ask = partial(kube.call, "GET", f"/api/v1/namespaces/default/{thing}")
            controllers.wait_until(thing, ask)
        self.must_run()

    def must_run(self) -> None:
        for server in self._servers.values():
            server.must_run()

    def stop(self) -> None:
        """Last started first: the API server needs etcd to leave in good order."""
        for name in reversed(list(self._servers)):
            self._stop(name)

    def _issue_certificates(self) -> None:
        self.pki.issue("apiserver", "kube-apiserver", sans=_API_SERVER_NAMES)
        for name, (user, group) in _CLIENTS.items():
            self.pki.issue(name, user, group)

    def _start(self, name: str, *flags: str) -> Server:
        self._servers[name] = Server(name, [self._binaries[name], *flags], self.folder)
        return self._servers[name]

    def _stop(self, name: str) -> None:
        server = self._servers.pop(name, None)
        if server is not None:
            server.stop(_GRACE_SECONDS)

    def _start_etcd(self, client_port: int, peer_port: int) -> None:
        own_name = f"bed-{secrets.token_hex(4)}"
        data = self.folder / "etcd"
        shutil.rmtree(data, ignore_errors=True)
        self._etcd = f"http://127.0.0.1:{client_port}"
        peer = f"http://127.0.0.1:{peer_port}"
        etcd = self._start(
            "etcd",
            f"--name={own_name}",
            f"--data-dir={data}",
            f"--listen-client-urls={self._etcd}",
            f"--advertise-client-urls={self._etcd}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={own_name}={peer}",
            "--unsafe-no-fsync",
            "--log-level=error",
        )
        etcd.wait_until("answer", lambda: own_name in self._ask_etcd_for_members())

    def _ask_etcd_for_members(self) -> str:
        ask = urllib.request.Request(f"{self._etcd}/v3/cluster/member/list", data=b"{}")
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(ask, timeout=2) as answer:
            return str(answer.read())

    def _start_api_server(self, port: int) -> None:
        for client in _CLIENTS:
            config = self.folder / f"{client}.kubeconfig"
            self.pki.kubeconfig(config, f"https://127.0.0.1:{port}", client)
        keys = self.pki.folder
        server = self._start(
            "kube-apiserver",
            f"--etcd-servers={self._etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={port}",
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={keys}/apiserver.crt",
            f"--tls-private-key-file={keys}/apiserver.key",
            f"--client-ca-file={self.pki.ca_file}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={keys}/sa.pub",
            f"--service-account-signing-key-file={keys}/sa.key",
            f"--service-cluster-ip-range={_SERVICES}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--profiling=false",
            *self._audit_flags(),
        )
        kube = Kube(self.folder / "admin.kubeconfig")
        server.wait_until("readiness", lambda: kube.call("GET", "/readyz", timeout=2) == "ok")
        self.port = port

    def _start_again(self) -> None:
        """Others know the port: when somebody has taken it meanwhile, all we can do is wait."""
        end = time.monotonic() + _RESTART_SECONDS
        while True:
            try:
                return self._start_api_server(self.port)
            except PortTaken as error:
                if time.monotonic() > end:
                    raise BedError(f"{error} It needs {self.server} to come back.") from error
                time.sleep(0.5)

    def _audit_flags(self) -> list[str]:
        if not self._with_audit:
            return []
        policy = self.folder / "audit-policy.json"
        policy.write_text(json.dumps(_AUDIT_POLICY))
        return [
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-mode=blocking",
        ]

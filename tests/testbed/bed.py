"""The whole test bed in one folder: control plane, nodes and Prometheus, started in a few seconds.

Owns the order in which they start and end, and what a user of them needs to know. Everything it
writes lies in its folder, everything it starts ends with the process that started it. It gets no
binaries unless it is given none, and it removes nothing: the folder belongs to the caller, who may
want to read the logs.

    with Bed.start(folder) as bed:
        bed.kube.call("GET", "/api/v1/nodes")
        bed.kubectl("get", "nodes").stdout
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from testbed import third_party_crds
from testbed.api import Kube
from testbed.binaries import ensure
from testbed.control_plane import ControlPlane
from testbed.pki import Pki
from testbed.prometheus import Prometheus
from testbed.servers import BedError, Server
from testbed.versions import SERVERS

TESTS = Path(__file__).parents[1]
CRDS = TESTS.parent / "crds"
NODES = 2

Say = Callable[[str], None]


def _quietly(_: str) -> None:
    """Nobody listens."""


class Bed:
    """A running test bed; made by `Bed.start`, ended by `stop` or by leaving the `with` block."""

    control_plane: ControlPlane
    kube: Kube
    """Speaks to the API server as an administrator."""
    prometheus: Prometheus | None = None

    def __init__(self, folder: Path, binaries: Mapping[str, Path]) -> None:
        self.folder = folder
        self.bin = dict(binaries)
        self.kubeconfig = folder / "admin.kubeconfig"
        self.times: dict[str, float] = {}
        """How long each phase of the start took, in seconds."""
        self._node: Server | None = None
        self._open = contextlib.ExitStack()

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        audit: bool = False,
        node: bool = True,
        prometheus: bool = True,
        scheduler: bool = True,
        crds: bool = True,
        scrape_interval: str = "1s",
        binaries: Mapping[str, Path] | None = None,
        say: Say = _quietly,
    ) -> Self:
        """Start all in `folder`, which must be absent or empty, and wait until it works."""
        bed = cls(_empty(folder), binaries or ensure(SERVERS))
        try:
            bed._link_binaries()
            bed._start_control_plane(audit=audit, scheduler=scheduler, say=say)
            if node:
                bed._start_node()
            if prometheus:
                bed._start_prometheus(scrape_interval, say)
            if crds:
                bed._apply_crds(say)
            bed._wait_for_all(say)
        except BaseException:
            bed.stop()
            raise
        say(bed.summary)
        return bed

    @property
    def server(self) -> str:
        """The API server's address, `https://127.0.0.1:PORT`."""
        return self.control_plane.server

    @property
    def pki(self) -> Pki:
        return self.control_plane.pki

    @property
    def ca_file(self) -> Path:
        return self.control_plane.pki.ca_file

    @property
    def audit_log(self) -> Path:
        return self.control_plane.audit_log

    @property
    def prometheus_url(self) -> str:
        if self.prometheus is None:
            raise BedError("This test bed was started without Prometheus.")
        return self.prometheus.url

    @property
    def env(self) -> dict[str, str]:
        """What a program needs to find it; the pinned kubectl comes first on PATH.

        kubectl keeps what it learns of a server under the server's address. Ports come back with
        other servers behind them, so each bed has a folder of its own for that.
        """
        found = {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "KUBECACHEDIR": str(self.folder / "kubectl"),
            "KUBECONFIG": str(self.kubeconfig),
        }
        if self.prometheus is not None:
            found["PROMETHEUS_URL"] = self.prometheus.url
        return found

    @property
    def summary(self) -> str:
        phases = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.times.items())
        return f"test bed ready in {sum(self.times.values()):.1f} s ({phases})"

    def kubectl(
        self, *arguments: str, stdin: str = "", timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run the pinned kubectl as an administrator; its failure is the caller's to judge."""
        return subprocess.run(
            [self.bin["kubectl"], *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, **self.env, "KUBERC": "off"},
        )

    def must_run(self) -> None:
        """Nothing if all servers run, else `BedError` about the first that does not."""
        self.control_plane.must_run()
        if self._node is not None:
            self._node.must_run()
        if self.prometheus is not None:
            self.prometheus.must_run()

    def stop(self) -> None:
        """End all of it, in good order."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _link_binaries(self) -> None:
        folder = self.folder / "bin"
        folder.mkdir()
        for name, path in self.bin.items():
            (folder / name).symlink_to(path.resolve())

    def _start_control_plane(self, *, audit: bool, scheduler: bool, say: Say) -> None:
        with self._phase("keys", say):
            self.control_plane = ControlPlane(
                self.folder, self.bin, audit=audit, scheduler=scheduler
            )
            self._open.callback(self.control_plane.stop)
        with self._phase("etcd", say):
            self.control_plane.start_etcd()
        with self._phase("API server", say):
            self.control_plane.start_api_server()
        self.kube = Kube(self.kubeconfig)
        self._open.callback(self.kube.close)
        self.control_plane.start_controllers()

    def _start_node(self) -> None:
        self._node = Server(
            "node",
            [
                *(sys.executable, "-P", "-m", "testbed.node"),
                f"--kubeconfig={self.folder}/node.kubeconfig",
                f"--nodes={NODES}",
                f"--folder={self.folder}/pods",
            ],
            self.folder,
            {"PYTHONPATH": str(TESTS)},
        )
        self._open.callback(self._node.stop)

    def _start_prometheus(self, scrape_interval: str, say: Say) -> None:
        with self._phase("Prometheus", say):
            self.prometheus = Prometheus(
                self.folder,
                self.bin["prometheus"],
                self.folder / "node.kubeconfig",
                scrape_interval=scrape_interval,
            )
            self._open.callback(self.prometheus.stop)
            self.prometheus.start()

    def _apply_crds(self, say: Say) -> None:
        documents = [
            document
            for file in sorted(CRDS.glob("*.yaml"))
            for document in yaml.safe_load_all(file.read_bytes())
            if document
        ]
        with self._phase("CRDs", say):
            third_party_crds.install(self.kube, documents)

    def _wait_for_all(self, say: Say) -> None:
        with self._phase("controllers", say):
            self.control_plane.wait_for_controllers(self.kube)
        if self._node is not None:
            with self._phase("nodes", say):
                self._node.wait_until("ready nodes", lambda: self._ready_nodes() == NODES)
        self.must_run()

    def _ready_nodes(self) -> int:
        nodes = self.kube.call("GET", "/api/v1/nodes")["items"]
        return sum(
            condition["type"] == "Ready" and condition["status"] == "True"
            for node in nodes
            for condition in node["status"].get("conditions") or ()
        )

    @contextlib.contextmanager
    def _phase(self, name: str, say: Say) -> Iterator[None]:
        say(f"starting the test bed: {name} ...")
        begun = time.monotonic()
        yield
        self.times[name] = time.monotonic() - begun


def _empty(folder: Path) -> Path:
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BedError(f"{folder} is not empty: a test bed needs a folder of its own.")
    return folder

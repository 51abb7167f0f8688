"""One bed for all workers of a parallel test run: the first that needs it has it started.

Owns how a worker finds the bed and comes to use it. The bed belongs to a keeper (`testbed.daemon`),
which ends with the process that leads the run, however that one ends. No worker ends it, and each
issues certificates in a folder of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from testbed import cluster
from testbed.api import Kube
from testbed.bed import Bed
from testbed.daemon import BED
from testbed.lockfile import Record
from testbed.pki import Pki
from testbed.servers import BedError


class SharedBed(Bed):
    """A bed in `folder` that somebody else keeps; `own` is where this process may write."""

    def __init__(
        self, folder: Path, own: Path, prometheus_url: str, binaries: Mapping[str, Path]
    ) -> None:
        super().__init__(folder, binaries)
        config = json.loads(self.kubeconfig.read_text())
        self._server = str(config["clusters"][0]["cluster"]["server"])
        self._prometheus_url = prometheus_url
        self._pki = Pki(own / "pki", authority=folder / "pki")
        self.kube = Kube(self.kubeconfig)
        self._open.callback(self.kube.close)

    @property
    def server(self) -> str:
        return self._server

    @property
    def pki(self) -> Pki:
        return self._pki

    @property
    def ca_file(self) -> Path:
        return self._pki.ca_file

    @property
    def audit_log(self) -> Path:
        return self.folder / "logs" / "audit.log"

    @property
    def prometheus_url(self) -> str:
        return self._prometheus_url

    def must_run(self) -> None:
        """Nothing: the keeper looks after the servers."""


def attach(folder: Path, own: Path, owner: int, binaries: Mapping[str, Path]) -> SharedBed:
    """The bed of `folder` with its audit log, started if nobody has; it ends with `owner`."""
    cluster.have(folder, audit=True, owner=owner)
    record = Record.load(folder)
    if record is None or not record.ready:
        raise BedError(f"The test bed in {folder} has ended.")
    return SharedBed(folder / BED, own, record.env["PROMETHEUS_URL"], binaries)

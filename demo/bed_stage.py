"""The story on the test bed: processes on loopback addresses, without Docker."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from demo import processes
from demo.kubectl_runner import StoryError, kubectl, must_kubectl
from demo.stage import NAMESPACE, ROOT, Wanted
from testbed import cluster
from testbed.lockfile import Record

FOLDER = ROOT / ".demo"
DEPLOY = ROOT / "deploy"


class BedStage:
    """A test bed in a folder of its own, with the operator as a process behind it."""

    def __init__(self, folder: Path, *, admission: bool = True, interval: float = 1.0) -> None:
        """A test leaves parts out and sees steps fail: admission, or nearly all evaluations."""
        self.folder = folder
        self._admission, self._interval = admission, interval
        self._wanted = Wanted()

    @property
    def env(self) -> Mapping[str, str]:
        """The pinned kubectl comes first on PATH."""
        return {**os.environ, **self._record().env}

    @property
    def prometheus_url(self) -> str:
        """On loopback, where the operator's process is too."""
        return self._record().env["PROMETHEUS_URL"]

    def begin(self) -> None:
        """Everything ends with the process that is behind it: `backstage.Backstage`."""
        cluster.have(self.folder, module="demo")

    def install(self) -> None:
        """The bed has the CRDs; the operator's Deployment is played by a process."""
        for name in ("namespace", "service-account", "rbac"):
            must_kubectl(self.env, "apply", "-f", str(DEPLOY / "base" / f"{name}.yaml"))
        if self._admission:
            must_kubectl(self.env, "apply", "-k", str(DEPLOY / "admission"))
        kubectl(self.env, "create", "namespace", NAMESPACE)

    def want(self, wanted: Wanted) -> None:
        """By the process behind the stage."""
        self._wanted = wanted
        processes.want(self.folder, wanted, self._interval)

    def kill_operator(self) -> str:
        """By SIGKILL."""
        os.kill(processes.now(self.folder).operator, signal.SIGKILL)
        self.want(replace(self._wanted, operator=False))
        return "kill -9; nothing of Penstock runs any more."

    def _record(self) -> Record:
        record = Record.load(self.folder)
        if record is None or not record.ready:
            raise StoryError("the test bed is not there")
        return record

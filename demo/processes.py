"""What runs behind the story on the test bed: bed, operator and load, kept by one process.

The story asks for guests in one file and reads in another who runs, so that it can kill the
operator and stop Prometheus like anybody could, while everything still ends with the stage.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from demo.stage import NAMESPACE, Wanted
from testbed import shipped
from testbed.bed import Bed
from testbed.child_process import ChildProcess
from testbed.daemon import Daemon
from testbed.load import Load
from testbed.servers import free_ports

LOAD_RATE, LOAD_SECONDS = 40.0, 1_800.0
_LOOK_SECONDS = 0.1
_WANTED, _RUNNING = "wanted.json", "running.json"


@dataclass(frozen=True)
class Request(Wanted):
    """Who is to run, and the seconds between evaluations of an operator that is started."""

    interval: float = 1.0


@dataclass(frozen=True)
class Running:
    """Who runs: the operator's process, 0 without one, and what the story needs to know."""

    operator: int = 0
    load: bool = False
    prometheus: bool = True


def want(folder: Path, wanted: Wanted, interval: float) -> None:
    """Ask who stays behind the story, and wait until it is so."""
    _save(folder / _WANTED, asdict(Request(**asdict(wanted), interval=interval)))
    end = time.monotonic() + 60
    while time.monotonic() < end:
        running = now(folder)
        if (bool(running.operator), running.load, running.prometheus) == (
            wanted.operator,
            wanted.load,
            wanted.prometheus,
        ):
            return
        time.sleep(_LOOK_SECONDS)
    raise TimeoutError(f"what was asked for did not come to be within a minute: {wanted}")


def now(folder: Path) -> Running:
    """Who runs."""
    try:
        return Running(**json.loads((folder / _RUNNING).read_text()))
    except (OSError, ValueError):
        return Running()


class Processes(Daemon):
    """Keeps the bed, and its guests."""

    def _stay(self, bed: Bed) -> None:
        self._bed = bed
        self._operator: ChildProcess | None = None
        self._load: Load | None = None
        self._prometheus = True
        try:
            while not self._asked:
                bed.must_run()
                self._serve(self._wanted())
                time.sleep(_LOOK_SECONDS)
        finally:
            self._serve(Request())

    def _wanted(self) -> Request:
        try:
            return Request(**json.loads((self._lockfile.folder / _WANTED).read_text()))
        except (OSError, ValueError):
            return Request()

    def _serve(self, wanted: Request) -> None:
        if self._operator is not None and self._operator.poll() is not None:
            self._operator = None
        if wanted.operator and self._operator is None:
            self._operator = self._start_operator(wanted.interval)
        elif not wanted.operator and self._operator is not None:
            self._operator.stop()
            self._operator = None
        self._serve_load(wanted.load)
        self._serve_prometheus(wanted.prometheus)
        told = Running(
            self._operator.pid if self._operator else 0, self._load is not None, self._prometheus
        )
        if told != now(self._lockfile.folder):
            _save(self._lockfile.folder / _RUNNING, asdict(told))

    def _serve_load(self, wanted: bool) -> None:
        if self._load is not None and not self._load.is_running:
            self._load = None
        if wanted and self._load is None:
            self._load = Load(
                self._bed.kube, NAMESPACE, "app=checkout", rate=LOAD_RATE, seconds=LOAD_SECONDS
            )
            self._load.start()
        elif not wanted and self._load is not None:
            self._load.stop()
            self._load = None

    def _serve_prometheus(self, wanted: bool) -> None:
        prometheus = self._bed.prometheus
        if prometheus is None or wanted == self._prometheus:
            return
        if wanted:
            prometheus.start()
        else:
            prometheus.stop()
        self._prometheus = wanted

    def _start_operator(self, interval: float) -> ChildProcess:
        """With the service account's own token, so that the rights we ship are what decides."""
        folder = self._lockfile.folder
        return shipped.start(
            shipped.kubeconfig(self._bed, folder / "operator.kubeconfig"),
            folder / "operator.log",
            listen=f"127.0.0.1:{free_ports(1)[0]}",
            interval=str(interval),
            hot_interval=str(interval),
            scrape_interval="1",
            log_format="text",
        )


def _save(path: Path, what: dict[str, object]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(what))
    new.replace(path)

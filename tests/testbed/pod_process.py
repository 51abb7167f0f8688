"""A pod of the sample application, run: a real process on a loopback address of its own.

Owns one pod's process: its command and environment, its readiness, its restarts and its end. It
never speaks to the API server, so that a server that is away changes nothing about what runs; the
node reads `standing` and writes it when it can.

What a container image would bring is played: Python for `python3`, this repository's `app.py` for
`/app/app.py`, VERSION as the image's tag. So is the pod's own network: BIND is always the pod's
address, or every pod would listen on all of this machine. Pods are restarted always; liveness and
startup probes are not played.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from testbed.addresses import Addresses, NoAddress
from testbed.child_process import ChildProcess
from testbed.pods import (
    CRASHING,
    WRONG_CONFIG,
    PodState,
    image_tag,
    running,
    sample_container,
    waiting,
)
from testbed.probe import NotPlayed, Probe, Readiness
from testbed.servers import MARK

APP = Path(__file__).parents[2] / "demo" / "app" / "app.py"
APP_IN_IMAGE = "/app/app.py"
ENTRYPOINT = ("python3", "-I", "-S", APP_IN_IMAGE)
PORT = 8080
"""What the sample listens on unless its environment says otherwise."""

_TICK = 0.2
_BACK_OFF = (1.0, 30.0)
"""Seconds before the second restart, doubled with each up to the second number."""
_STEADY = 60.0
"""A process that ran so long has its earlier crashes forgotten."""
_RETRY_ADDRESS = 2.0


def timestamp() -> str:
    """The time as the API server writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class PodProcess:
    """One pod that is run. `changed` is called, from a thread of its own, after each change."""

    def __init__(
        self,
        pod: Mapping[str, Any],
        addresses: Addresses,
        changed: Callable[[], None],
        log: Path | None = None,
    ) -> None:
        self.address: str | None = None
        self.ended = False
        self.standing = waiting("ContainerCreating", "")
        self._pod, self._addresses, self._changed, self._log = pod, addresses, changed, log
        self._process: ChildProcess | None = None
        self._restarts = _restarts_so_far(pod)
        self._last_state: Mapping[str, Any] = {}
        self._grace = 0.0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"run-{pod['metadata']['name']}")
        self._thread.daemon = True
        self._thread.start()

    def end(self, grace: float) -> None:
        """Begin to end it: politely for `grace` seconds, at once with 0, also when ending."""
        self._grace = grace
        self._ending.set()
        process = self._process
        if grace <= 0 and process is not None:
            process.kill()

    def join(self, seconds: float) -> None:
        """Wait until it has ended."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._prepare_and_live()
        except (NotPlayed, OSError) as problem:
            self._stand(waiting(WRONG_CONFIG, str(problem), restarts=self._restarts))
            self._ending.wait()
        finally:
            if self.address:
                self._addresses.release(self.address)
            self.ended = True
            self._changed()

    def _prepare_and_live(self) -> None:
        container = sample_container(self._pod)
        assert container is not None
        probe = Probe.of(container)
        self.address = self._take_address(container)
        if self.address is None:
            return
        argv, env = command(container), environment(self._pod, container, self.address)
        back_off = 0.0
        while not self._ending.is_set():
            begun = time.monotonic()
            self._live_once(argv, env, probe)
            if time.monotonic() - begun > _STEADY:
                back_off = 0.0
            self._wait_to_restart(back_off)
            back_off = min(max(back_off * 2, _BACK_OFF[0]), _BACK_OFF[1])

    def _take_address(self, container: Mapping[str, Any]) -> str | None:
        ports = [port["containerPort"] for port in container.get("ports") or []] or [PORT]
        wish = (self._pod.get("status") or {}).get("podIP")
        while not self._ending.is_set():
            try:
                return self._addresses.take(ports, wish)
            except NoAddress as problem:
                self._stand(waiting(WRONG_CONFIG, str(problem)))
                self._ending.wait(_RETRY_ADDRESS)
        return None

    def _live_once(self, argv: list[str], env: dict[str, str], probe: Probe | None) -> None:
        since = timestamp()
        with ChildProcess(argv, env=env, log=self._log) as process:
            self._process = process
            self._attend(process, Readiness(probe, time.monotonic()), since)
            code = process.stop(self._grace) if self._ending.is_set() else process.wait()
            self._process = None
        reason = "Completed" if code == 0 else "Error"
        exit_code = 128 - code if code < 0 else code
        self._last_state = {
            "terminated": {
                "exitCode": exit_code,
                "reason": reason,
                "startedAt": since,
                "finishedAt": timestamp(),
            }
        }

    def _attend(self, process: ChildProcess, readiness: Readiness, since: str) -> None:
        """Stay with the process until it ends by itself or is to end."""
        self._stand_running(since, readiness.ready)
        while process.poll() is None:
            if self._ending.wait(min(_TICK, max(0.01, readiness.due - time.monotonic()))):
                return
            assert self.address is not None
            if readiness.ask(self.address, time.monotonic()):
                self._stand_running(since, readiness.ready)

    def _wait_to_restart(self, seconds: float) -> None:
        if self._ending.is_set():
            return
        if seconds:
            message = f"back-off {seconds:.0f}s restarting failed container"
            self._stand(
                waiting(CRASHING, message, restarts=self._restarts, last_state=self._last_state)
            )
            self._ending.wait(seconds)
        self._restarts += 1

    def _stand_running(self, since: str, ready: bool) -> None:
        self._stand(
            running(since, ready=ready, restarts=self._restarts, last_state=self._last_state)
        )

    def _stand(self, standing: PodState) -> None:
        self.standing = standing
        self._changed()


def _restarts_so_far(pod: Mapping[str, Any]) -> int:
    """A pod that has run already ran in a node process that has ended, and its process with it."""
    said = ((pod.get("status") or {}).get("containerStatuses") or [{}])[0]
    has_run = "running" in (said.get("state") or {})
    return int(said.get("restartCount") or 0) + has_run


def command(container: Mapping[str, Any]) -> list[str]:
    """What to start: the container's command, or the image's own."""
    argv = [*(container.get("command") or ENTRYPOINT), *(container.get("args") or ())]
    if argv[0] in ("python", "python3"):
        argv[0] = sys.executable
    return [str(APP) if part == APP_IN_IMAGE else part for part in argv]


def environment(
    pod: Mapping[str, Any], container: Mapping[str, Any], address: str
) -> dict[str, str]:
    """The container's environment, and what its image and its network would add."""
    env = {"VERSION": image_tag(container["image"]), "HOSTNAME": pod["metadata"]["name"]}
    if MARK in os.environ:
        env[MARK] = os.environ[MARK]
    for variable in container.get("env") or []:
        env[variable["name"]] = _value(pod, variable, address)
    if container.get("envFrom"):
        raise NotPlayed("the node of the test bed reads env, not envFrom")
    return {**env, "BIND": address}


def _value(pod: Mapping[str, Any], variable: Mapping[str, Any], address: str) -> str:
    source = variable.get("valueFrom")
    if source is None:
        return str(variable.get("value") or "")
    path = (source.get("fieldRef") or {}).get("fieldPath", "")
    if path == "status.podIP":
        return address
    if match := re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path):
        return str((pod["metadata"].get(match[1]) or {}).get(match[2], ""))
    if path in ("metadata.name", "metadata.namespace", "metadata.uid"):
        return str(pod["metadata"][path.rpartition(".")[2]])
    raise NotPlayed(
        f"environment variable {variable['name']}: the node of the test bed reads `value` and "
        "`fieldRef` of metadata.name, .namespace, .uid, .labels, .annotations and status.podIP"
    )

"""Plays the kubelets of a cluster without machines: nodes that are ready, pods that live and end.

    python -m testbed.node --kubeconfig FILE --nodes 2 [--folder DIR]

Owns what the API server hears from nodes: registration, heartbeats, the status of pods and their
final deletion. Most pods are only said to be Ready; those of the sample application are run
(`testbed.pods` says which, `testbed.pod_process` how). It never creates a pod and never decides
where one runs.

Each pod is looked at again after every event and whenever something is due, and what differs is
written. So it does not matter which events were lost while the API server was away, restarted or
paused: the next look puts it right. All processes it started end with it, `kill -9` included.
"""

from __future__ import annotations

import argparse
import functools
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from testbed.addresses import Addresses
from testbed.api import Kube
from testbed.arguments import add_kubeconfig, whole_number
from testbed.list_watch import TROUBLE, ListWatch
from testbed.machine import HOST, STRATEGIC_MERGE, Machine
from testbed.pod_process import PodProcess, timestamp
from testbed.pods import PodState, is_run, is_said, played, status
from testbed.work_queue import WorkQueue

BEAT_SECONDS = 10.0
WORKERS = 4
RETRY_SECONDS = 1.0
LAST_GRACE = 2.0
"""How long processes may take to end when the node itself is told to."""

SCHEDULED_PODS = "/api/v1/pods?fieldSelector=spec.nodeName!="


class Node:
    """All nodes of one process, and the pods that are bound to them."""

    def __init__(self, kube: Kube, nodes: int, folder: Path | None = None) -> None:
        self._kube, self._folder = kube, folder
        self._machines = [Machine(kube, f"node-{number}") for number in range(nodes)]
        self._names = {machine.name for machine in self._machines}
        self._addresses = Addresses()
        self._agenda = WorkQueue()
        self._pods: dict[str, Mapping[str, Any]] = {}
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()
        self._runs: dict[str, PodProcess] = {}
        self._made_up = MadeUpAddresses()
        self._stopped = threading.Event()
        self._follower = ListWatch(
            kube, SCHEDULED_PODS, changed=self._on_changed, gone=self._on_gone
        )

    def start(self) -> None:
        """Begin, in threads of its own."""
        tasks = [self._beat, self._follower.run, *[self._work] * WORKERS]
        for task in tasks:
            threading.Thread(target=task, daemon=True).start()

    def stop(self) -> None:
        """End all processes; the pods stay as the API server last heard of them."""
        self._stopped.set()
        self._follower.stop()
        self._agenda.close()
        for run in list(self._runs.values()):
            run.end(LAST_GRACE)
        for run in list(self._runs.values()):
            run.join(LAST_GRACE * 2)
        self._addresses.close()

    def _beat(self) -> None:
        pause = 0.0
        while not self._stopped.wait(pause):
            pause = BEAT_SECONDS
            for machine in self._machines:
                try:
                    machine.beat()
                except TROUBLE as trouble:
                    _complain(f"heartbeat of {machine.name}", trouble)
                    pause = RETRY_SECONDS

    def _on_changed(self, pod: Mapping[str, Any]) -> None:
        if pod["spec"].get("nodeName") not in self._names:
            return
        uid = pod["metadata"]["uid"]
        with self._lock:
            self._seen.setdefault(uid, time.monotonic())
            self._keep_newer(self._pods.get(uid), pod)
        self._agenda.add(uid)

    def _on_gone(self, uid: str) -> None:
        with self._lock:
            gone = self._pods.pop(uid, None)
        if gone is not None:
            self._agenda.add(uid)

    def _on_written(self, pod: Mapping[str, Any]) -> None:
        with self._lock:
            if present := self._pods.get(pod["metadata"]["uid"]):
                self._keep_newer(present, pod)

    def _keep_newer(self, present: Mapping[str, Any] | None, pod: Mapping[str, Any]) -> None:
        """The answer to a write and the event about a deletion may come in either order."""
        if present is None or _version(pod) > _version(present):
            self._pods[pod["metadata"]["uid"]] = pod

    def _work(self) -> None:
        while (uid := self._agenda.get()) is not None:
            try:
                self._look_at(uid)
            except TROUBLE as trouble:
                _complain(f"pod {uid}", trouble)
                self._agenda.add(uid, RETRY_SECONDS)
            except Exception:  # noqa: BLE001  one pod must not take the node away from all others
                traceback.print_exc()
            finally:
                self._agenda.done(uid)

    def _look_at(self, uid: str) -> None:
        pod = self._pods.get(uid)
        if pod is None:
            self._forget(uid)
        elif "deletionTimestamp" in pod["metadata"]:
            self._end(uid, pod)
        elif is_run(pod):
            self._write(uid, pod, *self._run(uid, pod))
        else:
            state, pause = played(pod, time.monotonic() - self._seen[uid], timestamp())
            if pause is not None:
                self._agenda.add(uid, pause)
            self._write(uid, pod, state, self._made_up.of(pod))

    def _run(self, uid: str, pod: Mapping[str, Any]) -> tuple[PodState, str | None]:
        run = self._runs.get(uid)
        if run is None:
            changed = functools.partial(self._agenda.add, uid)
            run = PodProcess(pod, self._addresses, changed, self._log_of(pod))
            self._runs[uid] = run
        return run.standing, run.address

    def _write(
        self, uid: str, pod: Mapping[str, Any], standing: PodState, address: str | None
    ) -> None:
        wanted = status(pod, standing, address, HOST, timestamp())
        if is_said(pod.get("status"), wanted):
            return
        # With its uid: a pod of the same name may have come in its place meanwhile.
        patch = {"metadata": {"uid": uid}, "status": wanted}
        path = f"{_path(pod)}/status"
        written = self._kube.call("PATCH", path, patch, content_type=STRATEGIC_MERGE, ok=(404, 409))
        if written is not None:
            self._on_written(written)

    def _end(self, uid: str, pod: Mapping[str, Any]) -> None:
        run = self._runs.get(uid)
        grace = pod["metadata"].get("deletionGracePeriodSeconds") or 0
        if run is not None and not run.ended:
            run.end(grace)
            return
        if grace == 0:
            return
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
        self._kube.call("DELETE", _path(pod), options, ok=(404, 409))

    def _forget(self, uid: str) -> None:
        run = self._runs.pop(uid, None)
        if run is not None:
            run.end(0)
        self._seen.pop(uid, None)
        self._made_up.forget(uid)

    def _log_of(self, pod: Mapping[str, Any]) -> Path | None:
        if self._folder is None:
            return None
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{pod['metadata']['namespace']}_{pod['metadata']['name']}.log"


class MadeUpAddresses:
    """Addresses for pods that are not run; nobody may send anything to them."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._number = 0
        self._lock = threading.Lock()

    def of(self, pod: Mapping[str, Any]) -> str:
        """The address of a pod: the one it already has, or the next."""
        uid = pod["metadata"]["uid"]
        with self._lock:
            if uid not in self._given:
                present = (pod.get("status") or {}).get("podIP", "")
                self._given[uid] = present if present.startswith("10.244.") else self._following()
            return self._given[uid]

    def forget(self, uid: str) -> None:
        with self._lock:
            self._given.pop(uid, None)

    def _following(self) -> str:
        while True:
            self._number += 1
            address = f"10.244.{self._number // 250 % 250}.{self._number % 250 + 1}"
            if address not in self._given.values():
                return address


def _path(pod: Mapping[str, Any]) -> str:
    metadata = pod["metadata"]
    return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"


def _version(pod: Mapping[str, Any]) -> int:
    return int(pod["metadata"]["resourceVersion"])


def _complain(what: str, trouble: Exception) -> None:
    print(f"{timestamp()} {what}: {trouble}; trying again", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="testbed.node", description="Plays kubelets.")
    add_kubeconfig(parser)
    parser.add_argument("--nodes", type=whole_number(100), default=1, help="how many")
    parser.add_argument("--folder", type=Path, help="logs of the pods that are run")
    options = parser.parse_args(arguments)
    asked_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_stop.set())
    node = Node(options.kubeconfig, options.nodes, options.folder)
    node.start()
    asked_to_stop.wait()
    node.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())

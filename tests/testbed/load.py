"""Sends requests to the ready pods of an application, at a fixed rate in total.

    python -m testbed.load --kubeconfig FILE --namespace shop --selector app=checkout --rate 20

Owns the choice of targets, since pods on loopback addresses have no Service: it follows the ready
pods through the API server and takes turns. It is bounded on purpose: it sends to addresses of this
machine only, at most 200 requests a second, and ends by itself after two hours at the latest.

The rate does not depend on the answers: a pod that has become slow gets as many requests as before,
as from real users. Nothing is sent in place of a request that could not be sent in time.
"""

from __future__ import annotations

import argparse
import http.client
import signal
import sys
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from testbed.addresses import loopback
from testbed.api import Kube
from testbed.arguments import add_kubeconfig
from testbed.list_watch import ListWatch
from testbed.pods import condition
from testbed.probe import container_port

MOST_PER_SECOND = 200.0
MOST_SECONDS = 7200.0  # longer than a run of all tests
MOST_UNDER_WAY = 64
ANSWER_SECONDS = 5.0

NO_ANSWER = "none"
"""Counted where the code would be when no whole answer came."""
UNSENT = "unsent"
"""Counted when no pod was ready, or too many requests were waiting for their answers."""

_WATCH_SECONDS = 2
"""Short, because `stop` waits for the watch to end."""
_LATE_SECONDS = 1.0
"""What was missed longer ago than this is not made good by a burst."""
_TELL_SECONDS = 10.0


@dataclass(frozen=True, order=True)
class Target:
    """A pod that takes requests."""

    pod: str
    address: str
    port: int

    def __post_init__(self) -> None:
        loopback(self.address)


class Load:
    """A load that runs from `start`, or entering the context, until `stop` or its own end."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        selector: str,
        *,
        rate: float = 20.0,
        seconds: float = 600.0,
    ) -> None:
        """Raise `ValueError` for a rate or a duration that is out of bounds."""
        self._rate = _bounded("rate", rate, MOST_PER_SECOND, "requests a second")
        self._seconds = _bounded("duration", seconds, MOST_SECONDS, "seconds")
        query = urllib.parse.urlencode({"labelSelector": selector})
        self._follower = ListWatch(
            kube,
            f"/api/v1/namespaces/{namespace}/pods?{query}",
            changed=self._on_changed,
            gone=self._on_gone,
            period=_WATCH_SECONDS,
        )
        self._targets: dict[str, Target] = {}
        self._refused: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._under_way = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=task, daemon=True)
            for task in (self._follower.run, self._send_all)
        ]

    @property
    def counts(self) -> Counter[str]:
        """How many requests had which answer, by status code or `NO_ANSWER` or `UNSENT`."""
        with self._lock:
            return Counter(self._counts)

    @property
    def targets(self) -> list[Target]:
        """The pods that take turns now."""
        with self._lock:
            return sorted(self._targets.values())

    @property
    def refused(self) -> set[str]:
        """Ready pods that get nothing, because their addresses are not of this machine."""
        with self._lock:
            return set(self._refused)

    @property
    def is_running(self) -> bool:
        return self._threads[1].is_alive()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended by itself; whether it has."""
        self._threads[1].join(seconds)
        return not self.is_running

    def stop(self) -> None:
        """End it, and wait for answers to what is in progress."""
        self._stopped.set()
        self._follower.stop()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Load:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _on_changed(self, pod: Mapping[str, Any]) -> None:
        uid = pod["metadata"]["uid"]
        with self._lock:
            self._targets.pop(uid, None)
            if "deletionTimestamp" in pod["metadata"] or condition(pod, "Ready") != "True":
                return
            try:
                self._targets[uid] = target(pod)
            except ValueError:
                self._refused.add(pod["metadata"]["name"])

    def _on_gone(self, uid: str) -> None:
        with self._lock:
            self._targets.pop(uid, None)

    def _send_all(self) -> None:
        due = begun = time.monotonic()
        with ThreadPoolExecutor(MOST_UNDER_WAY) as senders:
            turn = 0
            while due < begun + self._seconds:
                if self._stopped.wait(max(0.0, due - time.monotonic())):
                    break
                if (chosen := self._choose(turn)) is not None:
                    senders.submit(self._send, chosen)
                    turn += 1
                due = max(due + 1 / self._rate, time.monotonic() - _LATE_SECONDS)
        self._follower.stop()

    def _choose(self, turn: int) -> Target | None:
        with self._lock:
            if not self._targets or self._under_way >= MOST_UNDER_WAY:
                self._counts[UNSENT] += 1
                return None
            self._under_way += 1
            # In order of arrival: sorting by name would favour nobody, but cost a sort each time.
            return list(self._targets.values())[turn % len(self._targets)]

    def _send(self, chosen: Target) -> None:
        code = _get(chosen)
        with self._lock:
            self._under_way -= 1
            self._counts[code] += 1


def target(pod: Mapping[str, Any]) -> Target:
    """Where a pod takes requests; `ValueError` for one that is not on this machine alone."""
    container = pod["spec"]["containers"][0]
    ports = container.get("ports") or []
    first = int(ports[0]["containerPort"]) if ports else 80
    port = container_port(container, "http") or container_port(container, "metrics") or first
    return Target(pod["metadata"]["name"], pod["status"]["podIP"], port)


def _bounded(what: str, value: float, most: float, unit: str) -> float:
    if not 0 < value <= most:
        raise ValueError(f"the {what} is {value:g}: use more than 0 and at most {most:g} {unit}")
    return value


def _get(chosen: Target) -> str:
    address = loopback(chosen.address)
    connection = http.client.HTTPConnection(address, chosen.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        response = connection.getresponse()
        response.read()
        return str(response.status)
    except (OSError, http.client.HTTPException):
        return NO_ANSWER
    finally:
        connection.close()


def _sentence(counts: Mapping[str, int]) -> str:
    parts = [f"{counts[code]} x {code}" for code in sorted(counts)]
    return ", ".join(parts) or "nothing sent yet"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="testbed.load", description="Sends GET / to ready pods on loopback addresses."
    )
    add_kubeconfig(parser)
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--selector", required=True, help="of pods, for instance app=checkout")
    parser.add_argument(
        "--rate", type=float, default=20, help=f"requests a second, at most {MOST_PER_SECOND:g}"
    )
    parser.add_argument("--seconds", type=float, default=600, help=f"at most {MOST_SECONDS:g}")
    options = parser.parse_args(arguments)
    try:
        load = Load(
            options.kubeconfig,
            options.namespace,
            options.selector,
            rate=options.rate,
            seconds=options.seconds,
        )
    except ValueError as error:
        parser.error(str(error))
    for number in (signal.SIGTERM, signal.SIGINT):
        # Raising ends the wait below at once, wherever it is.
        signal.signal(number, lambda *_: sys.exit(0))
    with load:
        try:
            while not load.wait(_TELL_SECONDS):
                print(_sentence(load.counts), flush=True)
        finally:
            print(f"{_sentence(load.counts)} in all", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

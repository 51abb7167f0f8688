"""The readiness probe of a pod that is run: asks it over HTTP as a kubelet would.

Owns the reading of `readinessProbe` and the counting of answers. It refuses what the test bed does
not play (exec, gRPC, HTTPS) with a sentence that ends up in the pod's status, and addresses that
are not of this machine.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from testbed.addresses import loopback

_EAGER_SECONDS = 10.0
_EAGER_PERIOD = 0.1


class NotPlayed(Exception):
    """A manifest asks for something that the node does not do; says what it does instead."""


@dataclass(frozen=True)
class Probe:
    """What to ask, how often, and how many answers count."""

    path: str
    port: int
    initial_delay: float
    period: float
    timeout: float
    successes: int
    failures: int

    @classmethod
    def of(cls, container: Mapping[str, Any]) -> Probe | None:
        """The probe of a container, None when it has none and is ready as soon as it runs."""
        spec = container.get("readinessProbe")
        if spec is None:
            return None
        get = spec.get("httpGet")
        if get is None or get.get("scheme", "HTTP") != "HTTP":
            raise NotPlayed("the node of the test bed probes readiness by httpGet over HTTP only")
        return cls(
            path=get.get("path") or "/",
            port=_port(container, get["port"]),
            initial_delay=spec.get("initialDelaySeconds") or 0,
            period=spec.get("periodSeconds") or 10,
            timeout=spec.get("timeoutSeconds") or 1,
            successes=spec.get("successThreshold") or 1,
            failures=spec.get("failureThreshold") or 3,
        )

    def ask(self, address: str) -> int | None:
        """The status code of the answer, None when there was none."""
        connection = http.client.HTTPConnection(loopback(address), self.port, timeout=self.timeout)
        try:
            connection.request("GET", self.path, headers={"Connection": "close"})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


class Readiness:
    """Whether one life of a process is ready, by the answers it gave so far."""

    def __init__(self, probe: Probe | None, now: float) -> None:
        self.ready = probe is None
        self.due = float("inf") if probe is None else now + probe.initial_delay
        self._probe, self._begun = probe, now
        self._answered = False
        self._run = 0

    def ask(self, address: str, now: float) -> bool:
        """Ask when it is time; return whether `ready` has changed."""
        if self._probe is None or now < self.due:
            return False
        code = self._probe.ask(address)
        self._answered = self._answered or code is not None
        self.due = now + self._pause(self._probe, now)
        return self._count(self._probe, code is not None and 200 <= code < 400)

    def _pause(self, probe: Probe, now: float) -> float:
        # A process needs a moment to listen. A kubelet would come back after a whole period; a test
        # should not have to wait for that.
        if not self._answered and now < self._begun + probe.initial_delay + _EAGER_SECONDS:
            return min(probe.period, _EAGER_PERIOD)
        return probe.period

    def _count(self, probe: Probe, well: bool) -> bool:
        self._run = self._run + 1 if well != self.ready else 0
        if self._run < (probe.successes if well else probe.failures):
            return False
        self.ready, self._run = well, 0
        return True


def container_port(container: Mapping[str, Any], name: str) -> int | None:
    """The number of a container's port by its name."""
    for port in container.get("ports") or []:
        if port.get("name") == name:
            return int(port["containerPort"])
    return None


def _port(container: Mapping[str, Any], port: int | str) -> int:
    if isinstance(port, int):
        return port
    number = container_port(container, port)
    if number is None:
        raise NotPlayed(f"the readiness probe names port {port}, which the container does not have")
    return number

"""The operator as a process of its own, started as people start it, on a port of its own.

Owns the process, its log and the questions to its HTTP port. It never reaches into the operator:
what a test learns, it learns from the API server, from this port or from the log.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from testbed import shipped
from testbed.bed import Bed
from testbed.child_process import ChildProcess
from testbed.servers import free_ports

T = TypeVar("T")

# A loaded machine of two cores may take this long for what takes a second elsewhere.
PATIENCE = 90.0
LOG_LINES_SHOWN = 80
# What comes soon is seen soon; what takes long is not asked for ten times a second.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.03, 0.25

# Evidence is stale once three evaluations at rest are missed, which a second each would make likely
# on a loaded machine; while a release is in progress it is evaluated each second all the same.
QUICK = {"interval": "3", "hot_interval": "1"}


def wait_for(
    what: str,
    look: Callable[[], T],
    is_so: Callable[[T], object] = bool,
    seconds: float = PATIENCE,
) -> T:
    """Look until it is so and return what was seen; the failure says what was seen last."""
    end, pause = time.monotonic() + seconds, SHORTEST_PAUSE
    while not is_so(seen := look()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; seen last: {seen}")
        time.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 1.2)
    return seen


class Operator:
    """One `penstock run`, from entering the context to leaving it; it may be ended and begun again.

    `settings` are flags by their names with underscores, on top of the quick intervals. `module` is
    run instead of `penstock` where a test assembles an operator of its own.
    """

    def __init__(
        self,
        bed: Bed,
        log: Path,
        *,
        kubeconfig: Path | None = None,
        module: str = "penstock",
        **settings: str,
    ) -> None:
        self._bed, self.log = bed, log
        self._kubeconfig = kubeconfig or bed.kubeconfig
        self._settings, self._module = {**QUICK, **settings}, module
        self._process: ChildProcess | None = None

    def start(self) -> None:
        """Begin, and wait until it is ready."""
        self.begin()
        wait_for("the operator is ready", self.is_ready)

    def begin(self) -> None:
        """Begin, and wait for nothing."""
        (self.port,) = free_ports(1)
        settings = {"listen": f"127.0.0.1:{self.port}", "log_format": "text", **self._settings}
        self._process = shipped.start(self._kubeconfig, self.log, module=self._module, **settings)

    def is_ready(self) -> bool:
        """Whether it says so; an operator that has ended is a failure at once."""
        return self.readiness()[0] == http.HTTPStatus.OK

    def readiness(self) -> tuple[int, str]:
        """Status and text of /readyz; 0 while nobody listens there."""
        code = self._running().poll()
        assert code is None, f"the operator ended with {code}:\n{self.last_words()}"
        with suppress(OSError, http.client.HTTPException):
            return self._ask("/readyz")
        return 0, ""

    def health(self) -> tuple[int, str]:
        """Status and text of /healthz."""
        return self._ask("/healthz")

    def metrics(self) -> str:
        """What it tells Prometheus."""
        return self._ask("/metrics")[1]

    def stop(self, grace: float = 10.0) -> int:
        """End it politely; its exit code."""
        process, self._process = self._running(), None
        return process.stop(grace)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        process, self._process = self._running(), None
        process.kill()
        process.wait()

    @property
    def is_running(self) -> bool:
        """Whether it was begun and has not been ended by us."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Of the process itself, for signals."""
        return self._running().pid

    def wait_end(self, seconds: float = PATIENCE) -> int:
        """Wait until it has ended by itself; its exit code."""
        process = self._running()
        code = wait_for("the operator ends", process.poll, lambda it: it is not None, seconds)
        assert code is not None
        self._process = None
        return code

    def last_words(self) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-LOG_LINES_SHOWN:])

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self.stop()

    def _running(self) -> ChildProcess:
        assert self._process is not None, "the operator was not started"
        return self._process

    def _ask(self, path: str) -> tuple[int, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

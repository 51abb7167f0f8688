"""One server process of the bed: its ports, its log, the wait until it answers, its last words.

Owns what all servers have in common and knows none of them. It restarts nothing: a server that ends
by itself is an error that says why, in the server's own words.

Nobody can reserve a port for another program. So a free one is chosen, and a server that finds it
taken all the same ends with `PortTaken`, whereupon its owner chooses again.
"""

from __future__ import annotations

import os
import random
import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from testbed.api import ApiError
from testbed.child_process import ChildProcess

T = TypeVar("T")

MARK = "PENSTOCK_BED"
"""In the environment of every process of a bed: its folder, so that people can tell whose it is."""

_PORTS = range(10_000, 30_000)
_SLICES = 16
_ATTEMPTS = 5
_PATIENCE = 90.0
_TAKEN = "address already in use"
_FULL = re.compile(r"no space left on device|file too large|disk quota exceeded", re.IGNORECASE)
_TROUBLE = re.compile(r"^[EF]\d{4} |error|fatal|panic|cannot|refused", re.IGNORECASE)


class BedError(Exception):
    """The bed cannot do what was asked; the text is one sentence, with the way out if any."""


class PortTaken(BedError):
    """Somebody else listens where the server was told to."""


class Server:
    """A running server, which ends with the process that started it."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        logs = folder / "logs"
        logs.mkdir(exist_ok=True)
        self.name = name
        self.log = logs / f"{name}.log"
        self._begin = self.log.stat().st_size if self.log.exists() else 0
        self._process = ChildProcess(
            [str(word) for word in argv],
            log=self.log,
            env={**os.environ, **(environment or {}), MARK: str(folder)},
            cwd=folder,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self, grace: float = 5.0) -> None:
        """End it politely, and by force when `grace` seconds were not enough."""
        self._process.stop(grace)

    def wait_until(self, what: str, is_so: Callable[[], object]) -> None:
        """Ask until it is so; an unreachable or unready server only means: not yet."""
        end = time.monotonic() + _PATIENCE
        while True:
            self.must_run()
            trouble = ""
            try:
                if is_so():
                    return
            except (OSError, ApiError) as error:
                trouble = f" ({error})"
            if time.monotonic() > end:
                raise BedError(f"{self.name}: no {what} within {_PATIENCE:g} s{trouble}.")
            time.sleep(0.05)

    def must_run(self) -> None:
        """Nothing if the server runs; else the error that tells how it ended."""
        code = self._process.poll()
        if code is None:
            return
        text = self._log_of_this_run()
        if _TAKEN in text:
            raise PortTaken(f"{self.name} found its port taken by another process.")
        ending = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise BedError(f"{self.name} {ending}{_reason(text)}.")

    def _log_of_this_run(self) -> str:
        with self.log.open("rb") as file:
            file.seek(self._begin)
            return file.read().decode(errors="replace")


def on_free_ports(count: int, start: Callable[..., T]) -> T:
    """Call `start` with so many free ports, and again with others while one proves taken."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return start(*free_ports(count))
        except PortTaken:
            continue
    return start(*free_ports(count))


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens at the moment.

    They lie below those that the system hands out to clients: a client that knocks again and again
    at a server which is being restarted could be given the server's own number, and keep it out.
    Each worker of a parallel test run chooses from a slice of its own.
    """
    own = _ports_of(os.environ.get("PYTEST_XDIST_WORKER", ""))
    candidates = iter(random.SystemRandom().sample(own, len(own)))
    ports: list[int] = []
    while len(ports) < count:
        port = next(candidates, None)
        if port is None:
            raise BedError("No port from 10000 to 29999 on 127.0.0.1 is free.")
        if _is_free(port):
            ports.append(port)
    return ports


def _ports_of(worker: str) -> range:
    """A slice for each of some workers, named `gw0` and so on; all for who is none."""
    number = worker.removeprefix("gw")
    if not number.isdigit():
        return _PORTS
    return _PORTS[int(number) % _SLICES :: _SLICES]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _reason(log: str) -> str:
    """The line that most likely tells why, and what helps where that is known."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if _TROUBLE.search(line)]
    if any(_FULL.search(line) for line in lines):
        return ": there is no room left for its data; free some space or use another folder"
    return f": {(telling or lines)[-1][:300]}" if lines else " without a word"

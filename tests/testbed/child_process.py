"""Starts processes that cannot outlive the process that started them.

Owns the one mechanism for it: a guard between starter and command. The guard is this very file, run
as a script. It puts the command into a process group of its own and kills that group when its
standard input ends, which the kernel brings about however the starter ended, `kill -9` included, on
Linux and macOS alike. (A parent-death signal alone exists on Linux only, spares grandchildren, and
fires when the starting *thread* ends.) It restarts nothing and knows nothing of what it runs.

The guard lives in a session of its own: ctrl-C in a terminal reaches the starter alone, which then
decides in which order its processes stop.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_TERMINATE = b"T"
_KILL = b"K"


class ChildProcess:
    """A running command that ends, with all of its process group, when its starter ends."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Start `argv`; its output is appended to `log`, or dropped when there is none."""
        with contextlib.ExitStack() as opened:
            output = opened.enter_context(log.open("ab")) if log else subprocess.DEVNULL
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, *argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=env,
                cwd=cwd,
                start_new_session=True,
                bufsize=0,
            )
        self._lock = threading.Lock()
        self._code: int | None = None
        self.pid = self._started_pid(argv[0])

    def poll(self) -> int | None:
        """The exit code (minus the signal's number for a killed command), None while it runs."""
        return None if self._guard.poll() is None else self._finish()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code, or raise `subprocess.TimeoutExpired`."""
        self._guard.wait(timeout)
        return self._finish()

    def stop(self, grace: float = 5.0) -> int:
        """End the whole group politely, and by force when `grace` seconds were not enough."""
        self._tell(_TERMINATE)
        try:
            return self.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.wait()

    def kill(self) -> None:
        """End the whole group at once."""
        self._tell(_KILL)

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _started_pid(self, command: str) -> int:
        word, number = self._report()
        if word == "started":
            return number
        self._guard.wait()
        self._close()
        if word == "refused":
            raise OSError(number, os.strerror(number), command)
        raise OSError(
            f"{command} was not started: the guard process ended with {self._guard.poll()}"
        )

    def _report(self) -> tuple[str, int]:
        assert self._guard.stdout is not None
        line = b""
        while not line.endswith(b"\n") and (byte := self._guard.stdout.read(1)):
            line += byte
        word, _, number = line.decode().partition(" ")
        return (word, int(number)) if number else ("", 0)

    def _tell(self, order: bytes) -> None:
        with self._lock:
            if self._code is None and self._guard.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    self._guard.stdin.write(order)

    def _finish(self) -> int:
        with self._lock:
            if self._code is None:
                word, number = self._report()
                if word != "ended":  # somebody killed the guard itself: nothing else ends the group
                    _signal_group(self.pid, signal.SIGKILL)
                    number = -signal.SIGKILL
                self._close()
                self._code = number
            return self._code

    def _close(self) -> None:
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe is not None:
                pipe.close()


def _signal_group(group: int, number: int) -> None:
    # macOS answers EPERM for a group of which only a zombie is left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _guard_main(argv: list[str]) -> None:
    """What the guard process does: start, obey orders from its input, report the end.

    Single-threaded on purpose: the command is reaped only here, so its group's number cannot have
    been given to anybody else when a signal is sent to it.
    """
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            process_group=0,
            preexec_fn=_die_with_parent(),
        )
    except OSError as error:
        _say(f"refused {error.errno}")
        return
    _say(f"started {child.pid}")
    while child.poll() is None:
        ready, _, _ = select.select([sys.stdin.fileno(), wake_read], [], [])
        if wake_read in ready and signal.SIGTERM in os.read(wake_read, 64):
            _signal_group(child.pid, signal.SIGKILL)
        if sys.stdin.fileno() in ready:
            order = os.read(sys.stdin.fileno(), 1)
            _signal_group(child.pid, signal.SIGTERM if order == _TERMINATE else signal.SIGKILL)
            if not order:
                child.wait()
    _signal_group(child.pid, signal.SIGKILL)
    _say(f"ended {child.returncode}")


def _say(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), f"{line}\n".encode())


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux the command also dies when the guard itself is killed, which no pipe can tell it."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    guard = os.getpid()

    def ask_kernel() -> None:
        pr_set_pdeathsig = 1
        prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(1)

    return ask_kernel


if __name__ == "__main__":
    _guard_main(sys.argv[1:])

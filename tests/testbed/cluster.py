"""`up`, `down` and `env`: one bed per folder, whoever asks, however often.

Owns what these commands do and say; the bed itself belongs to a keeper (`testbed.daemon`). What is
meant for scripts goes to standard output, and only that; what is meant for people goes to standard
error.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from testbed.api import ApiError, Kube
from testbed.bed import TESTS
from testbed.binaries import ensure
from testbed.daemon import ENV, exports
from testbed.existing import USE, existing_cluster, is_true
from testbed.lockfile import (
    VERSION,
    Lockfile,
    Record,
    birth,
    is_held,
    leftovers,
    must_be_ours,
    why_stale,
)
from testbed.progress import Pace, console
from testbed.servers import BedError
from testbed.versions import SERVERS

FOLDER = TESTS.parent / ".cluster"

_ANSWER_SECONDS = 10.0
_START_SECONDS = 300.0
_END_SECONDS = 30.0


def up(folder: Path, *, audit: bool = False) -> None:
    """Have a bed in `folder`, started or found, and print what to export."""
    if is_true(USE):
        _use_existing()
        return
    have(folder, audit=audit)
    sys.stdout.write((folder / ENV).read_text())


def have(folder: Path, *, audit: bool = False, owner: int = 0, module: str = "testbed") -> None:
    """Have a bed in `folder`, started or found.

    `owner` is the process with which a bed ends that is started here; 0: it stays until `down`.
    `module` is the one whose `keep` stays with it.
    """
    must_be_ours(folder)
    options = [f"--owner={owner}"] if owner else []
    options += ["--audit"] if audit else []
    while not (_found_running(folder) or _started(folder, options, module)):
        time.sleep(0.1)


def down(folder: Path) -> None:
    """End what `up` started in `folder`, and nothing else."""
    lockfile = Lockfile.take(folder, create=False)
    if lockfile is not None:
        reason = why_stale(folder)
        lockfile.remove()
        console(f"No test bed runs in {folder}: {reason}. What it left was removed.")
    elif is_held(folder):
        _end_daemon(folder)
        console(f"The test bed in {folder} has ended.")
    else:
        console(f"No test bed runs in {folder}.")


def end(folder: Path) -> None:
    """End the bed of `folder`, if there is one, without a word."""
    if is_held(folder):
        _end_daemon(folder)


def env(folder: Path) -> None:
    """Print once more what to export."""
    record = Record.load(folder)
    if record is None or not record.ready or not is_held(folder):
        raise BedError(f"No test bed runs in {folder}: `make cluster-up` starts one.")
    sys.stdout.write(exports(record.env))


def _use_existing() -> None:
    found = {"KUBECONFIG": existing_cluster(), "PATH": os.environ.get("PATH", "")}
    if "PROMETHEUS_URL" in os.environ:
        found["PROMETHEUS_URL"] = os.environ["PROMETHEUS_URL"]
    else:
        console(f"{USE} is set: no Prometheus is started, set PROMETHEUS_URL if there is one.")
    sys.stdout.writelines(f"{line}\n" for line in exports(found).splitlines()[1:])


def _found_running(folder: Path) -> bool:
    """Whether a bed runs and answers; one that is just being started is waited for."""
    record = _wait_until_ready(folder)
    if record is None:
        return False
    reason = _why_useless(record)
    if reason is None:
        console(f"The test bed in {folder} is running.")
        return True
    console(f"The test bed in {folder} is replaced: {reason}.")
    _end_daemon(folder)
    return False


def _wait_until_ready(folder: Path) -> Record | None:
    """The record of a living keeper, or None when there is none."""
    intervals, end = Pace(), time.monotonic() + _START_SECONDS
    while is_held(folder):
        record = Record.load(folder)
        if record is not None and (record.ready or record.version != VERSION):
            return record
        if time.monotonic() > end:
            raise BedError(f"Somebody has begun to start a test bed in {folder}, but it hangs.")
        if intervals.due():
            console(f"waiting for another process that starts the test bed in {folder} ...")
        time.sleep(0.1)
    return None


def _why_useless(record: Record) -> str | None:
    """Why a running bed cannot be used; None when it can."""
    if record.version != VERSION:
        return "it was made by another version of the test bed"
    end = time.monotonic() + _ANSWER_SECONDS
    while True:
        try:
            Kube(Path(record.env["KUBECONFIG"])).call("GET", "/readyz", timeout=_ANSWER_SECONDS)
            _ask_prometheus(record.env["PROMETHEUS_URL"])
        except (OSError, ApiError) as error:
            if time.monotonic() > end:
                return f"it does not answer ({error})"
            time.sleep(0.2)
        else:
            return None


def _ask_prometheus(url: str) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    direct.open(f"{url}/-/ready", timeout=_ANSWER_SECONDS).close()


def _started(folder: Path, options: list[str], module: str) -> bool:
    """Whether we started it; not if somebody else was quicker."""
    ensure(SERVERS)
    lockfile = Lockfile.take(folder, create=True)
    if lockfile is None:
        return False
    if leftovers(folder):
        console(f"The test bed in {folder} is replaced: {why_stale(folder)}.")
        lockfile.clear()
    try:
        keeper = _spawn_daemon(lockfile, options, module)
    except BaseException:
        lockfile.remove()
        raise
    lockfile.release()  # the keeper has it now
    try:
        _follow(keeper)
    except BaseException:
        _remove_leftovers(folder)
        raise
    return True


def _spawn_daemon(lockfile: Lockfile, options: list[str], module: str) -> subprocess.Popen[bytes]:
    command = ["keep", f"--dir={lockfile.folder}", f"--claim={lockfile.descriptor}", *options]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[lockfile.descriptor],
        start_new_session=True,
        cwd=lockfile.folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
    )


def _follow(keeper: subprocess.Popen[bytes]) -> None:
    """Pass on what the keeper says until it is ready; if we are interrupted, so is it."""
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    try:
        for line in keeper.stdout:
            said = json.loads(line)
            if "failed" in said:
                raise BedError(said["failed"])
            if "ready" in said:
                keeper.returncode = 0  # it stays, and is nobody's child to wait for
                return
            console(said["say"])
        raise BedError("The test bed was ended before it was ready.")
    except BaseException:
        keeper.stdin.close()
        keeper.wait()
        raise
    finally:
        keeper.stdin.close()
        keeper.stdout.close()


def _end_daemon(folder: Path) -> None:
    """Ask it to end and wait until it has; by force when it does not."""
    _signal_daemon(folder, signal.SIGTERM)
    if not _wait_until_gone(folder):
        _signal_daemon(folder, signal.SIGKILL)
        if not _wait_until_gone(folder):
            raise BedError(f"The test bed in {folder} does not end: process {_pid(folder)}.")
    _remove_leftovers(folder)


def _remove_leftovers(folder: Path) -> None:
    """Of a keeper that was killed before it could tidy up."""
    lockfile = Lockfile.take(folder, create=False)
    if lockfile is not None:
        lockfile.remove()


def _signal_daemon(folder: Path, number: signal.Signals) -> None:
    """Only to a living keeper: while the lock is held, the record is its own."""
    end = time.monotonic() + _END_SECONDS
    while is_held(folder) and time.monotonic() < end:
        record = Record.load(folder)
        if record is not None and birth(record.pid) == record.birth:
            os.kill(record.pid, number)
            return
        time.sleep(0.05)


def _wait_until_gone(folder: Path) -> bool:
    end = time.monotonic() + _END_SECONDS
    while is_held(folder):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _pid(folder: Path) -> int | None:
    record = Record.load(folder)
    return record.pid if record else None

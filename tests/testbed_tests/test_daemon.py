"""`up` and `down`: one bed per folder, found again, replaced when stale, nothing half-made."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from support import draws
from testbed.bed import TESTS
from testbed.daemon import Daemon
from testbed.lockfile import Lockfile, Record, birth, boot, is_held
from testbed_tests.processes import is_running, until
from testbed_tests.traces import NO_LARGE_FILES, needs_proc, ports_of, processes_of

PATIENCE = 120

pytestmark = needs_proc


class Shell:
    """Runs the command line with a folder of the test's own; what is left in the end is ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": str(TESTS)}
        self.environment.pop("USE_EXISTING_CLUSTER", None)

    def argv(self, command: str, *more: str) -> list[str]:
        return [sys.executable, "-m", "testbed", command, f"--dir={self.folder}", *more]

    def run(
        self, command: str, *, before: Sequence[str] = (), **variables: str
    ) -> subprocess.CompletedProcess[str]:
        answer = subprocess.run(
            [*before, *self.argv(command)],
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert "Traceback" not in answer.stderr, answer.stderr
        return answer

    def begin(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.argv(command),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def is_gone(self) -> bool:
        return not self.folder.exists() and not processes_of(self.folder)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path / "cluster")
    yield shell
    if is_held(shell.folder):
        shell.run("down")


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Of a keeper that just ended, in a folder that nobody holds."""
    folder = tmp_path / "cluster"
    claim = Lockfile.take(folder, create=True)
    assert claim is not None
    ended = subprocess.Popen(["true"])
    ended.wait()
    record = Record(pid=ended.pid, birth="1", boot=boot())
    record.save(folder)
    claim.release()
    return record


def with_servers(function: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.servers(pytest.mark.slow(function))


@with_servers
def test_up_starts_one_bed_however_often_it_is_called_and_down_ends_it(shell: Shell):
    with shell.begin("up") as first, shell.begin("up") as second:
        said = [first.communicate(timeout=PATIENCE), second.communicate(timeout=PATIENCE)]
    assert [first.returncode, second.returncode] == [0, 0], said
    begun = time.monotonic()
    third = shell.run("up")
    print(f"found running in {time.monotonic() - begun:.1f} s")
    assert "is running" in third.stderr
    outputs = {said[0][0], said[1][0], third.stdout, shell.run("env").stdout}
    assert outputs == {(shell.folder / "env").read_text()}
    assert [line.partition("=")[0] for line in third.stdout.splitlines()[-2:]] == [
        "export KUBECONFIG",
        "export PROMETHEUS_URL",
    ]
    keepers = [line for line in processes_of(shell.folder).values() if " -m testbed keep " in line]
    assert len(keepers) == 1

    script = f". {shell.folder}/env; command -v kubectl; kubectl get --raw /readyz"
    answer = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout == f"{shell.folder}/bed/bin/kubectl\nok"

    ended = shell.run("down")
    assert (ended.returncode, shell.is_gone()) == (0, True), ended.stderr
    again = shell.run("down")
    assert (again.returncode, again.stderr) == (0, f"No test bed runs in {shell.folder}.\n")


@with_servers
def test_two_folders_have_two_beds(shell: Shell, tmp_path: Path):
    other = Shell(tmp_path / "cluster2")
    try:
        with shell.begin("up") as one, other.begin("up") as two:
            outputs = [one.communicate(timeout=PATIENCE), two.communicate(timeout=PATIENCE)]
        assert [one.returncode, two.returncode] == [0, 0], outputs
        assert not ports_of(shell.folder) & ports_of(other.folder)
        assert shell.run("down").returncode == 0
        assert shell.is_gone()
        assert "is running" in other.run("up").stderr
    finally:
        other.run("down")


def kill_keeper(folder: Path) -> str:
    keeper = the_record(folder).pid
    os.kill(keeper, signal.SIGKILL)
    return f"its keeper, process {keeper}, is gone"


def kill_etcd(folder: Path) -> str:
    running = processes_of(folder)
    (etcd,) = [pid for pid, line in running.items() if re.match(r"\S+/etcd ", line)]
    os.kill(etcd, signal.SIGKILL)
    return "it ended by itself, since etcd was ended by signal 9"


def the_record(folder: Path) -> Record:
    record = Record.load(folder)
    assert record is not None
    return record


@with_servers
def test_a_bed_that_ended_takes_all_its_processes_along_and_is_replaced_with_the_reason(
    shell: Shell,
):
    assert shell.run("up").returncode == 0
    for harm in (kill_keeper, kill_etcd):
        old = the_record(shell.folder).pid
        reason = harm(shell.folder)
        assert until(lambda: not processes_of(shell.folder))
        assert shell.run("env").stderr.startswith("No test bed runs in")
        answer = shell.run("up")
        assert answer.returncode == 0, answer.stderr
        assert f"is replaced: {reason}" in answer.stderr
        assert the_record(shell.folder).pid != old


@with_servers
def test_a_running_bed_of_another_version_is_replaced(shell: Shell):
    assert shell.run("up").returncode == 0
    old = the_record(shell.folder)
    old.version = "0"
    old.save(shell.folder)
    answer = shell.run("up")
    assert "is replaced: it was made by another version of the test bed." in answer.stderr
    assert answer.returncode == 0
    assert not is_running(old.pid)


@with_servers
@pytest.mark.parametrize("number", range(5))
def test_ctrl_c_before_it_is_ready_leaves_nothing(shell: Shell, number: int):
    # What strikes before our first line is shown by Python itself, as a traceback.
    moment = random.Random(f"{draws.seed()}/{number}").uniform(number or 0.2, number + 1)
    print(f"interrupted after {moment:.2f} s")
    with shell.begin("up") as starting:
        time.sleep(moment)
        starting.send_signal(signal.SIGINT)
        _, said = starting.communicate(timeout=PATIENCE)
    if starting.returncode == 0:
        return  # the machine was so quick that it was ready before
    assert (starting.returncode, "Traceback" in said) == (130, False), said
    assert shell.is_gone()


def test_a_daemon_that_is_asked_to_end_as_soon_as_it_listens_ends_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    claim = Lockfile.take(tmp_path / "cluster", create=True)
    assert claim is not None
    former = {
        number: signal.getsignal(number)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    }
    monkeypatch.setattr(threading.Thread, "start", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    try:
        assert Daemon(claim, audit=False).run() == 0
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    assert not claim.folder.exists()


@with_servers
@pytest.mark.parametrize("moment", [1.0, 3.0])
def test_a_killed_up_leaves_nothing(shell: Shell, moment: float):
    with shell.begin("up") as starting:
        time.sleep(moment)
        starting.kill()
        starting.communicate(timeout=PATIENCE)
    assert until(shell.is_gone, PATIENCE)


@with_servers
def test_down_ends_a_start_in_progress(shell: Shell):
    with shell.begin("up") as starting:
        assert until(lambda: Record.load(shell.folder))
        assert shell.run("down").returncode == 0
        _, said = starting.communicate(timeout=PATIENCE)
    assert starting.returncode == 1
    assert said.endswith("The test bed was ended before it was ready.\n")
    assert shell.is_gone()


@pytest.mark.servers
def test_a_full_disk_is_one_sentence_and_leaves_nothing(shell: Shell):
    answer = shell.run("up", before=NO_LARGE_FILES)
    assert answer.returncode == 1
    assert "there is no room left" in answer.stderr.splitlines()[-1]
    assert shell.is_gone()


def test_missing_binaries_are_reported_with_the_ways_out_and_leave_nothing(
    shell: Shell, tmp_path: Path
):
    nothing = {
        "PATH": str(tmp_path / "empty"),
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "KUBEBUILDER_ASSETS": "",
        "PENSTOCK_MIRROR": "off",
        "UV_OFFLINE": "1",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "",
    }
    answer = shell.run("up", **nothing)
    assert answer.returncode == 1
    assert "Missing: etcd" in answer.stderr
    assert "KUBEBUILDER_ASSETS" in answer.stderr
    assert shell.is_gone()


def as_it_is(_: Record) -> str:
    return "its keeper, process {pid}, is gone"


def of_a_reused_number(record: Record) -> str:
    record.pid = os.getpid()
    return "its keeper is gone, process {pid} is another program by now"


def of_this_very_process(record: Record) -> str:
    record.pid, record.birth = os.getpid(), birth(os.getpid()) or ""
    return "its keeper, process {pid}, has lost its lock"


def before_a_restart(record: Record) -> str:
    record.boot = "another one"
    return "this machine was restarted since"


def of_another_version(record: Record) -> str:
    record.version = "0"
    return "it was made by another version of the test bed"


def that_ended_by_itself(record: Record) -> str:
    record.trouble = "etcd was ended by signal 9."
    return "it ended by itself, since etcd was ended by signal 9"


@pytest.mark.parametrize(
    "change",
    [
        as_it_is,
        of_a_reused_number,
        of_this_very_process,
        before_a_restart,
        of_another_version,
        that_ended_by_itself,
    ],
)
def test_what_an_earlier_bed_left_is_removed_with_the_reason(
    shell: Shell, record: Record, change: Callable[[Record], str]
):
    reason = change(record).format(pid=record.pid)
    record.save(shell.folder)
    (shell.folder / "bed").mkdir()
    answer = shell.run("down")
    said = f"No test bed runs in {shell.folder}: {reason}. What it left was removed.\n"
    assert (answer.returncode, answer.stderr) == (0, said)
    assert not shell.folder.exists()


@pytest.mark.parametrize("content", ["", "[]", '{"pid": 1}', "\x00garbage"])
def test_a_record_that_cannot_be_read_is_of_a_start_that_was_never_finished(
    shell: Shell, record: Record, content: str
):
    (shell.folder / "testbed.json").write_text(content)
    answer = shell.run("down")
    assert answer.returncode == 0
    assert "its start was never finished" in answer.stderr
    assert not shell.folder.exists()


@pytest.mark.parametrize("command", ["up", "down"])
def test_a_folder_of_somebody_else_is_never_touched(shell: Shell, command: str):
    shell.folder.mkdir()
    (shell.folder / "thesis.txt").write_text("precious")
    answer = shell.run(command)
    assert answer.returncode == 1
    assert answer.stderr.endswith("not of the test bed: choose another one with --dir.\n")
    assert [path.name for path in shell.folder.iterdir()] == ["thesis.txt"]


def test_a_file_in_place_of_the_folder_is_refused(shell: Shell):
    shell.folder.touch()
    answer = shell.run("down")
    assert (answer.returncode, "is not a folder" in answer.stderr) == (1, True)


def test_without_a_bed_env_says_how_to_get_one(shell: Shell):
    answer = shell.run("env")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.endswith("`make cluster-up` starts one.\n")


@pytest.mark.parametrize("arguments", [[], ["up", "--fast"], ["sideways"], ["fetch", "docker"]])
def test_wrong_usage_ends_with_2(arguments: list[str]):
    answer = subprocess.run(
        [sys.executable, "-m", "testbed", *arguments],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.returncode, answer.stdout) == (2, "")


def test_the_lock_of_a_folder_is_one_for_all(tmp_path: Path):
    folder = tmp_path / "cluster"
    claim = Lockfile.take(folder, create=True)
    assert claim is not None
    assert is_held(folder)
    assert Lockfile.take(folder, create=True) is None
    claim.remove()
    assert not is_held(folder)
    assert not folder.exists()


def test_a_lock_of_a_folder_that_was_removed_meanwhile_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whoever opened the lock before it was removed must not take the old one for the new."""
    import fcntl

    folder = tmp_path / "cluster"
    first = Lockfile.take(folder, create=True)
    assert first is not None
    first.release()
    flock = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        monkeypatch.undo()
        holder = Lockfile.take(folder, create=False)
        assert holder is not None
        holder.remove()
        flock(descriptor, operation)

    monkeypatch.setattr("testbed.lockfile.fcntl.flock", late)
    assert Lockfile.take(folder, create=False) is None

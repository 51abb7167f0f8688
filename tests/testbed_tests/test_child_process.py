"""A tethered command ends with its starter, however that one ends."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from testbed.child_process import ChildProcess
from testbed_tests.processes import is_running, until

FAMILY = "sleep 300 & echo $! $$; wait"
"""A shell with a child; tells the process ids of both."""

STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.1; done"


def pids_in(log: Path) -> list[int]:
    assert until(lambda: log.exists() and log.read_text().endswith("\n"))
    return [int(word) for word in log.read_text().split()]


def start_family_in_another_process(log: Path) -> subprocess.Popen[bytes]:
    # Whoever runs the tests in the background has them, and so the starter, ignore SIGINT.
    program = textwrap.dedent(f"""
        import signal
        import time
        from pathlib import Path
        from testbed.child_process import ChildProcess
        signal.signal(signal.SIGINT, signal.default_int_handler)
        family = ChildProcess(["sh", "-c", {FAMILY!r}], log=Path({str(log)!r}))
        time.sleep(300)
    """)
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": paths})


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_end_of_the_starter_leaves_neither_the_command_nor_its_children(
    tmp_path: Path, end: signal.Signals
):
    with start_family_in_another_process(tmp_path / "log") as starter:
        pids = pids_in(tmp_path / "log")
        assert all(is_running(pid) for pid in pids)
        starter.send_signal(end)
    assert until(lambda: not any(is_running(pid) for pid in pids))


def test_a_killed_guard_leaves_neither_the_command_nor_its_children(tmp_path: Path):
    family = ChildProcess(["sh", "-c", FAMILY], log=tmp_path / "log")
    pids = pids_in(tmp_path / "log")
    os.kill(family._guard.pid, signal.SIGKILL)
    assert family.wait(30) == -signal.SIGKILL
    assert until(lambda: not any(is_running(pid) for pid in pids))


def test_children_do_not_outlive_a_command_that_ends_by_itself(tmp_path: Path):
    family = ChildProcess(["sh", "-c", "sleep 300 & echo $!"], log=tmp_path / "log")
    assert family.wait(30) == 0
    (child,) = pids_in(tmp_path / "log")
    assert until(lambda: not is_running(child))


@pytest.mark.parametrize("code", [0, 1, 77])
def test_wait_and_poll_give_the_exit_code(code: int):
    command = ChildProcess(["sh", "-c", f"exit {code}"])
    assert command.wait(30) == code
    assert command.poll() == code


def test_a_command_ended_by_a_signal_has_its_negative_number_as_code():
    command = ChildProcess(["sleep", "300"])
    assert command.poll() is None
    os.kill(command.pid, signal.SIGKILL)
    assert command.wait(30) == -signal.SIGKILL


def test_wait_gives_up_after_its_time_and_the_command_continues():
    with ChildProcess(["sleep", "300"]) as command:
        with pytest.raises(subprocess.TimeoutExpired):
            command.wait(0.05)
        assert command.poll() is None


def test_stop_lets_a_command_end_in_good_order(tmp_path: Path):
    script = "trap 'echo in good order; exit 4' TERM; echo ready; while :; do sleep 0.1; done"
    command = ChildProcess(["sh", "-c", script], log=tmp_path / "log")
    assert until(lambda: "ready" in (tmp_path / "log").read_text())
    assert command.stop(grace=30) == 4
    assert "in good order" in (tmp_path / "log").read_text()


def test_stop_ends_a_command_that_does_not_listen(tmp_path: Path):
    command = ChildProcess(["sh", "-c", STUBBORN], log=tmp_path / "log")
    assert until(lambda: "ready" in (tmp_path / "log").read_text())
    assert command.stop(grace=0.2) == -signal.SIGKILL
    assert not is_running(command.pid)


def test_stopping_twice_or_after_the_end_changes_nothing():
    command = ChildProcess(["true"])
    assert command.wait(30) == 0
    assert command.stop() == 0
    command.kill()
    assert command.stop() == 0


def test_the_log_gets_output_and_errors_after_what_it_already_holds(tmp_path: Path):
    (tmp_path / "log").write_text("before\n")
    assert ChildProcess(["sh", "-c", "echo out; echo err >&2"], log=tmp_path / "log").wait(30) == 0
    assert (tmp_path / "log").read_text() == "before\nout\nerr\n"


def test_environment_and_folder_are_those_given(tmp_path: Path):
    env = {"PATH": os.environ["PATH"], "ONLY": "this"}
    command = ChildProcess(
        ["sh", "-c", "echo $ONLY; pwd"], log=tmp_path / "l", env=env, cwd=tmp_path
    )
    assert command.wait(30) == 0
    assert (tmp_path / "l").read_text() == f"this\n{tmp_path.resolve()}\n"


def test_a_command_that_does_not_exist_is_an_error_at_once():
    with pytest.raises(FileNotFoundError, match="no-such-command"):
        ChildProcess(["no-such-command"])


def test_the_terminals_ctrl_c_does_not_reach_the_command():
    with ChildProcess(["sleep", "300"]) as command:
        assert os.getpgid(command.pid) == command.pid
        assert os.getsid(command.pid) != os.getsid(0)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
def test_no_descriptor_is_left_open_here_and_none_is_handed_to_the_command(tmp_path: Path):
    def open_here() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    gc.collect()  # what other tests of this process have left open is not ours to count
    before = open_here()
    with (tmp_path / "ours").open("w"):
        command = ChildProcess(["sh", "-c", "ls /proc/self/fd"], log=tmp_path / "log")
        assert command.wait(30) == 0
    # 0, 1, 2 and the one with which `ls` reads the folder
    assert (tmp_path / "log").read_text().split() == ["0", "1", "2", "3"]
    for _ in range(3):
        ChildProcess(["true"]).wait(30)
        ChildProcess(["sleep", "300"]).stop()
        with pytest.raises(FileNotFoundError):
            ChildProcess(["no-such-command"])
    assert open_here() <= before

"""Where the minutes of a run went is told at its end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.minutes import Durations
from testbed.bed import TESTS

SLEEPERS = {
    "tests/quick/test_it.py": "def test_it(): pass\ndef test_more(): pass\n",
    "tests/slow/deep/test_it.py": "import time\ndef test_it(): time.sleep(3.3)\n",
}


@pytest.mark.parametrize("processes", [[], ["--numprocesses=2"]], ids=["alone", "two processes"])
def test_a_run_ends_with_the_minutes_of_each_folder_and_the_slowest_tests(
    tmp_path: Path, processes: list[str]
) -> None:
    for name, text in SLEEPERS.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "support.minutes", "-p", "no:cacheprovider"),
            *("--import-mode=importlib", "--rootdir=.", "--minutes", *processes, "tests"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert re.search(
        r"minutes  tests  folder\n    0\.1      1  tests/slow\n    0\.0      2  tests/quick\n"
        r"    0\.1      3  all\n"
        r"seconds  slowest tests\n    3\.\d  tests/slow/deep/test_it\.py::test_it\n",
        answer.stdout,
    ), answer.stdout


def test_without_the_option_nothing_is_reported(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n")
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "support.minutes", tmp_path],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout
    assert "minutes" not in answer.stdout


def test_set_up_call_and_end_of_a_test_are_one_sum() -> None:
    durations = Durations()
    for seconds in (30, 60, 6):
        durations.add("tests/unit/domain/test_gate.py::test_it", seconds)
    assert durations.lines()[1:3] == ["    1.6      1  tests/unit", "    1.6      1  all"]
    assert durations.lines()[-1] == "   96.0  tests/unit/domain/test_gate.py::test_it"


def test_twenty_tests_are_shown() -> None:
    durations = Durations()
    for number in range(30):
        durations.add(f"tests/unit/test_it.py::test_{number}", number)
    shown = durations.lines()[4:]
    assert len(shown) == 20
    assert shown[0].endswith("::test_29")
    assert shown[-1].endswith("::test_10")

"""How a parallel run is shared out, and in which order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from support.parallel import LONGEST_FIRST
from testbed.bed import TESTS

A_FILE = """
import os, pytest, time
@pytest.mark.parametrize("number", range(6))
def test_it(number):
    time.sleep(0.1)
    print("ran", __name__, os.environ["PYTEST_XDIST_WORKER"])
"""
GROUPED = "import pytest\npytestmark = pytest.mark.xdist_group('together')\n" + A_FILE


def places(folder: Path) -> dict[str, set[str]]:
    """In which processes the tests of each file ran."""
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "support.parallel", "-p", "no:cacheprovider"),
            *("--import-mode=importlib", "--numprocesses=3", "--dist=loadfile", "-rP", folder),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    found: dict[str, set[str]] = {}
    for name, worker in re.findall(r"ran (\w+) (gw\d)", answer.stdout):
        found.setdefault(name, set()).add(worker)
    return found


def test_tests_of_one_file_or_one_group_run_in_one_process(tmp_path: Path) -> None:
    for name, text in {
        "test_one": A_FILE,
        "test_two": GROUPED,
        "test_three": GROUPED,
        "test_four": A_FILE,
    }.items():
        (tmp_path / f"{name}.py").write_text(text)

    found = places(tmp_path)

    assert {name: len(workers) for name, workers in found.items()} == dict.fromkeys(
        ("test_one", "test_two", "test_three", "test_four"), 1
    )
    assert found["test_two"] == found["test_three"]
    assert len(set.union(*found.values())) > 1


def test_what_is_to_begin_first_is_there() -> None:
    """A file that was renamed would begin last, and the run would wait for it."""
    groups = set(re.findall(r'xdist_group\("([^"]+)"\)', text_of_all_tests()))
    missing = [
        name for name in LONGEST_FIRST if name not in groups and not (TESTS.parent / name).is_file()
    ]
    assert missing == []


def text_of_all_tests() -> str:
    return "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))

"""Each planted fault is caught by the test that is named for it.

A fault is planted in a copy of the sources, and its test runs on this copy. A fault that no longer
fits the code fails here too.
"""

from __future__ import annotations

import compileall
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mutation import runner
from mutation.fault import Fault
from mutation.faults import FAULTS

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "operator" / "penstock"
PASSED, FAILED = 0, 1  # exit codes of pytest; 2 to 5 mean that a test did not run


class Runner:
    """A process that runs tests on copies of the sources."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, sources: Path, *tests: str) -> tuple[int, str]:
        """Pytest's exit code and the end of its output."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([str(sources), *tests]), file=self._process.stdin, flush=True)
        code, output = json.loads(self._process.stdout.readline())
        return code, output


@pytest.fixture(scope="module")
def tests() -> Iterator[Runner]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "COV_"))
    }
    with subprocess.Popen(
        [sys.executable, "-P", runner.__file__],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Runner(process)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `operator/`, compiled: what is not planted in need not be compiled each time."""
    copy = tmp_path_factory.mktemp("planted") / "operator"
    shutil.copytree(ROOT / "operator", copy, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(copy, quiet=1)
    return copy


@contextmanager
def planted(fault: Fault, sources: Path) -> Iterator[None]:
    path = sources / "penstock" / fault.file
    sound = path.read_text(encoding="utf-8")
    path.write_text(sound.replace(fault.code, fault.planted), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(sound, encoding="utf-8")


def test_each_fault_is_of_another_behaviour() -> None:
    behaviours = Counter(fault.behaviour for fault in FAULTS)
    assert [behaviour for behaviour, count in behaviours.items() if count > 1] == []
    assert len(FAULTS) >= 30


def test_each_fault_fits_the_code_at_one_place() -> None:
    files = {fault.file for fault in FAULTS}
    texts = {file: (PACKAGE / file).read_text(encoding="utf-8") for file in files}
    places = {fault.behaviour: texts[fault.file].count(fault.code) for fault in FAULTS}
    assert {behaviour: count for behaviour, count in places.items() if count != 1} == {}


@pytest.mark.slow
def test_without_a_fault_all_named_tests_pass(tests: Runner, sources: Path) -> None:
    code, output = tests.run(sources, *sorted({fault.caught_by for fault in FAULTS}))
    assert code == PASSED, output


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.behaviour)
def test_a_planted_fault_is_caught_by_its_test(fault: Fault, tests: Runner, sources: Path) -> None:
    with planted(fault, sources):
        code, output = tests.run(sources, "-x", fault.caught_by)
    assert code == FAILED, f"{fault.caught_by} did not catch it:\n{output}"

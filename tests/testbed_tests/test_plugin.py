"""Tests that need servers and find none: skipped so that nobody overlooks it, failures in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.bed import TESTS

NEEDS_SERVERS = """
import pytest

def test_alone():
    pass

@pytest.mark.servers
def test_marked():
    raise AssertionError("ran without servers")

@pytest.mark.servers
def test_with_a_bed(bed):
    raise AssertionError("ran without servers")
"""
FORGOT_THE_MARK = """
def test_not_marked(bed):
    pass
"""


@pytest.fixture
def run(tmp_path: Path):
    """Runs a file of tests on a machine without servers, network and Go."""

    def run(program: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_it.py").write_text(program)
        (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = servers\n")
        environment = {name: text for name, text in os.environ.items() if name != "CI"} | {
            "PYTHONPATH": str(TESTS),
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
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "testbed.plugin", "-q", *options, tmp_path],
            cwd=tmp_path,
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("options", [[], ["--numprocesses=2"]], ids=["alone", "two processes"])
def test_elsewhere_they_are_skipped_and_the_last_lines_say_so_in_capitals(run, options):
    answer = run(NEEDS_SERVERS, *options)
    assert answer.returncode == 0, answer.stdout
    assert "1 passed, 2 skipped" in answer.stdout
    assert "2 TESTS WERE SKIPPED: NO SERVERS. WHAT THEY TEST IS UNKNOWN." in answer.stdout
    assert "python -m testbed fetch" in answer.stdout


@pytest.mark.parametrize("options", [[], ["--numprocesses=2"]], ids=["alone", "two processes"])
def test_in_ci_they_fail_with_the_ways_out(run, options):
    answer = run(NEEDS_SERVERS, *options, CI="true")
    assert answer.returncode == 1
    assert "1 passed, 2 errors" in answer.stdout
    assert "Missing: etcd" in answer.stdout
    assert "KUBEBUILDER_ASSETS" in answer.stdout
    assert "Traceback" not in answer.stdout


def test_a_test_without_the_mark_fails_and_names_what_it_lacks(run):
    answer = run(FORGOT_THE_MARK)
    assert answer.returncode == 1
    assert "Is the test marked `servers`?" in answer.stdout

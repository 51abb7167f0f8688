"""Where `make setup` cannot go on, it says in a sentence why, and the way out."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("awk", "cat", "cksum", "dirname", "grep", "id", "rm", "sh")
TOO_OLD = '#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.10.13" && exit 0\nexit 1\n'
WITHOUT_VENV = '#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.12.1"\n[ "$1" != -m ]\n'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the set-up reads, and a PATH with little more on it than a shell."""
    for file in ("hack/setup", "requirements/dev.lock", "pyproject.toml"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        path = shutil.which(tool)
        assert path is not None, f"this machine has no {tool}"
        (tmp_path / "bin" / tool).symlink_to(path)
    return tmp_path


def set_up(clone: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    bare = {"PATH": str(clone / "bin"), "HOME": str(clone), "XDG_CACHE_HOME": str(clone / "cache")}
    return subprocess.run(
        [clone / "hack" / "setup"],
        env={**bare, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def add_python(clone: Path, script: str) -> Path:
    python = clone / "bin" / "python3"
    python.write_text(script)
    python.chmod(0o755)
    return python


def test_without_a_fitting_python_it_says_which_to_install_and_how_to_name_one(clone: Path) -> None:
    add_python(clone, TOO_OLD)
    result = set_up(clone)
    assert result.returncode == 1
    assert "no Python 3.11 to 3.14 found" in result.stderr
    assert "make PYTHON=/path/to/python3.12" in result.stderr
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize("named", ["too old", "not there"])
def test_a_python_that_was_named_and_does_not_fit_is_refused_and_not_replaced(
    clone: Path, named: str
) -> None:
    python = add_python(clone, TOO_OLD) if named == "too old" else clone / "gone"
    result = set_up(clone, PYTHON=str(python))
    assert result.returncode == 1
    assert f"PYTHON={python} does not run, or is no Python 3.11 to 3.14" in result.stderr


def test_a_python_without_venv_names_the_package_that_brings_it(clone: Path) -> None:
    add_python(clone, WITHOUT_VENV)
    result = set_up(clone)
    assert result.returncode == 1
    assert "apt-get install python3-venv" in result.stderr
    assert not (clone / ".venv").exists()


def test_an_unreachable_package_index_is_named_and_nothing_passes_for_complete(
    clone: Path,
) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0", "PYTHON": sys.executable}
    result = set_up(clone, **nowhere)
    assert result.returncode == 1
    assert "is a package index reachable?" in result.stderr
    assert not (clone / ".venv" / ".penstock-ready").exists()

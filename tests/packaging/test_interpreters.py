"""The unit tests pass on every Python that we promise and that this machine has, from the wheel.

A commit shares their files out: each runs on this Python and on one other. `make test-all` runs all
of them on all.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import draws

if TYPE_CHECKING:
    from conftest import Environment

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")
CLASSIFIER = re.compile(r"Programming Language :: Python :: (3\.\d+)$")
SAY_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"


def promised() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = (CLASSIFIER.match(classifier) for classifier in project["classifiers"])
    return [match[1] for match in found if match]


def candidates() -> Iterator[str]:
    """Interpreters by name on PATH, those of pyenv, and what uv knows of."""
    for version in promised():
        yield from filter(None, [shutil.which(f"python{version}")])
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from map(str, sorted(pyenv.glob("versions/3.*/bin/python3")))
    known = [UV, "python", "list", "--only-installed", "--offline", "--output-format", "json"]
    answer = subprocess.run(known, capture_output=True, text=True, check=False)
    if answer.returncode == 0:
        yield from (entry["path"] for entry in json.loads(answer.stdout))


@cache
def interpreters() -> dict[str, Path]:
    """The first that runs for each version; a pyenv shim may stand on PATH and run nothing."""
    found: dict[str, Path] = {}
    for path in dict.fromkeys(candidates()):
        answer = subprocess.run(
            [path, "-c", SAY_VERSION], capture_output=True, text=True, check=False
        )
        if answer.returncode == 0:
            found.setdefault(answer.stdout.strip(), Path(path))
    return found


def files_for(version: str) -> list[str]:
    """All unit tests in a full run; else a share, such that no file is left out."""
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests/unit").rglob("test_*.py"))
    others = sorted(interpreters().keys() & set(promised()) - {THIS})
    return files if draws.is_full() else files[others.index(version) :: len(others)]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", [version for version in promised() if version != THIS])
def test_the_unit_tests_pass_on_the_other_interpreters(
    version: str, make_environment: Callable[[Path], Environment], wheel: Path
) -> None:
    if version not in interpreters():
        others = ", ".join(sorted(interpreters()))
        pytest.skip(f"no Python {version} on PATH, in pyenv or known to uv; found: {others}")
    environment = make_environment(interpreters()[version])
    environment.install("--require-hashes", "--requirements", ROOT / "requirements" / "dev.lock")
    environment.install("--no-deps", wheel)
    environment.import_everything()
    chosen = ("-m", "not servers and not slow", "-p", "no:cacheprovider", *files_for(version))
    answer = environment.run(environment.python, "-m", "pytest", "--quiet", *chosen, cwd=ROOT)
    assert answer.returncode == 0, answer.stdout + answer.stderr

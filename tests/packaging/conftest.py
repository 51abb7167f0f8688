"""Environments as users make them: from the lock and the wheel, with nothing of the repository.

This folder must stay without `__init__.py`: `tests/` is on the path, and a package of this name
would stand before the library `packaging`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "penstock"

# As hack/setup does: nothing is written outside of the clone and our own cache.
os.environ.setdefault("UV_CACHE_DIR", str(CACHE / "uv"))


IMPORT_EVERYTHING = """
import importlib, pkgutil, penstock
for found in pkgutil.walk_packages(penstock.__path__, "penstock."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
print(penstock.__file__)
"""


@dataclass(frozen=True)
class Environment:
    """A virtual environment that was empty to begin with."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(
        self, *command: str | Path, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command outside of the repository, unless told where."""
        foreign = ("PYTHONPATH", "PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST", "VIRTUAL_ENV")
        return subprocess.run(
            command,
            cwd=cwd or self.folder,
            env={name: value for name, value in os.environ.items() if name not in foreign},
            capture_output=True,
            text=True,
            check=False,
        )

    def import_everything(self) -> None:
        """Every module of the installed package."""
        answer = self.run(self.python, "-c", IMPORT_EVERYTHING)
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.startswith(str(self.folder))

    def install(self, *arguments: str | Path) -> None:
        """From uv's cache if that is enough, else from the package index."""
        for way in (("--offline",), ()):
            command = (UV, "pip", "install", "--quiet", "--python", self.python, *way, *arguments)
            answer = self.run(*command)
            if answer.returncode == 0:
                return
        unavailable(f"neither uv's cache nor a package index has what is needed:\n{answer.stderr}")


def unavailable(reason: str) -> None:
    """A machine without network and caches may skip; in CI that would hide a broken package."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def make_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Environment]:
    """Makes an empty environment of the given interpreter."""

    def make(python: Path) -> Environment:
        environment = Environment(tmp_path_factory.mktemp("environment"))
        answer = environment.run(UV, "venv", "--quiet", "--clear", "--python", python, ".")
        assert answer.returncode == 0, answer.stderr
        return environment

    return make


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the tree by the build back end alone, so that no network is needed."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", str(folder)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    (built,) = folder.glob("*.whl")
    return built

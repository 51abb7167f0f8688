"""Each import rule of `.importlinter` is alive.

A violation planted into a copy breaks its contract; what the rooms are for keeps them all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("adapters", "engine", "handlers")

LAYERS = "The shell knows the core; the core knows nobody"
KOPF = "Only handlers know Kopf"
KUBERNETES = "Only adapters know the Kubernetes client"
METRICS = "Only adapters speak HTTP to a metrics source"
MODELS = "Only api knows pydantic: the core and its engine are given plain values"
PURE = "The core neither waits nor logs, reads nothing and starts nothing"

FORBIDDEN = [
    ("domain/planted.py", "import penstock.api.text", LAYERS),
    ("domain/planted.py", "import penstock.engine", LAYERS),
    ("api/planted.py", "import penstock.engine", LAYERS),
    ("engine/planted.py", "import penstock.api.text", LAYERS),
    ("engine/planted.py", "import penstock.adapters", LAYERS),
    ("adapters/planted.py", "import penstock.handlers", LAYERS),
    ("handlers/planted.py", "import penstock.adapters", LAYERS),
    ("handlers/planted.py", "import penstock.app", LAYERS),
    ("app.py", "import penstock.cli", LAYERS),
    ("placed_nowhere.py", "", LAYERS),
    ("engine/planted.py", "import kopf", KOPF),
    ("app.py", "from kopf import on", KOPF),
    ("handlers/planted.py", "from kubernetes import aio", KUBERNETES),
    ("cli/planted.py", "import kubernetes", KUBERNETES),
    ("engine/planted.py", "import requests", METRICS),
    ("handlers/planted.py", "import prometheus_api_client", METRICS),
    ("domain/planted.py", "import pydantic", MODELS),
    ("engine/planted.py", "from pydantic import BaseModel", MODELS),
    *(
        ("domain/planted.py", f"import {name}", PURE)
        for name in ("asyncio", "logging", "os", "random", "socket", "threading", "time")
    ),
]
ALLOWED = [
    ("handlers/planted.py", "import kopf"),
    ("handlers/planted.py", "import penstock.api.text"),
    ("adapters/planted.py", "from kubernetes import aio"),
    ("adapters/planted.py", "import requests, prometheus_api_client"),
    ("adapters/planted.py", "import penstock.engine"),
    ("api/planted.py", "import pydantic"),
    ("app.py", "import penstock.adapters, penstock.handlers, penstock.engine"),
    ("cli/planted.py", "import penstock.app"),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Our package with every room of the house, the ones still to be built left empty."""
    shutil.copy(ROOT / ".importlinter", tmp_path)
    package = tmp_path / "operator" / "penstock"
    shutil.copytree(
        ROOT / "operator" / "penstock", package, ignore=shutil.ignore_patterns("__pycache__")
    )
    for room in ROOMS:
        (package / room).mkdir(exist_ok=True)
        (package / room / "__init__.py").touch()
    (package / "app.py").touch()
    return tmp_path


def lint(copy: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy / "operator"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def plant(copy: Path, file: str, line: str) -> None:
    with (copy / "operator" / "penstock" / file).open("a") as target:
        target.write(f"{line}\n")


@pytest.mark.parametrize(("file", "line", "contract"), FORBIDDEN)
def test_a_planted_violation_breaks_its_contract(
    copy: Path, file: str, line: str, contract: str
) -> None:
    plant(copy, file, line)
    result = lint(copy)
    assert result.returncode == 1, result.stdout
    assert f"{contract} BROKEN" in result.stdout


def test_what_the_rooms_are_for_is_allowed(copy: Path) -> None:
    for file, line in ALLOWED:
        plant(copy, file, line)
    result = lint(copy)
    assert result.returncode == 0, result.stdout

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
ENGINE = "Data flows one way through the engine"
KOPF = "Only handlers know Kopf"
KUBERNETES = "Only adapters know the Kubernetes client"
METRICS = "Only adapters speak HTTP to a metrics source"
MODELS = "Only api and settings know pydantic: the others are given plain values"
PURE = "The core neither waits nor logs, reads nothing and starts nothing"

FORBIDDEN = {
    LAYERS: [
        ("domain/planted_1", "penstock.api.field_types"),
        ("domain/planted_2", "penstock.engine"),
        ("api/planted_1", "penstock.engine"),
        ("engine/planted_1", "penstock.api.field_types"),
        ("engine/planted_2", "penstock.adapters"),
        ("adapters/planted_1", "penstock.handlers"),
        ("adapters/planted_2", "penstock.settings"),
        ("handlers/planted_1", "penstock.adapters"),
        ("handlers/planted_2", "penstock.app"),
        ("app", "penstock.cli"),
    ],
    ENGINE: [
        ("engine/object_cache", "penstock.engine.informer"),
        ("engine/evidence_store", "penstock.engine.triggers"),
        ("engine/triggers", "penstock.engine.stores"),
        ("engine/status_writer", "penstock.engine.rollout_reconciler"),
        ("engine/actuator", "penstock.engine.status_writer"),
        ("engine/evaluator", "penstock.engine.rollout_reconciler"),
        ("engine/controller", "penstock.engine.wiring"),
    ],
    KOPF: [("engine/planted", "kopf"), ("adapters/planted", "kopf"), ("app", "kopf")],
    KUBERNETES: [("handlers/planted", "kubernetes"), ("cli/planted", "kubernetes")],
    METRICS: [("engine/planted", "requests"), ("handlers/planted", "prometheus_api_client")],
    MODELS: [("domain/planted", "pydantic"), ("engine/planted", "pydantic")],
    PURE: [
        (f"domain/planted_{name}", name)
        for name in ("asyncio", "logging", "os", "random", "socket", "threading", "time")
    ],
}
ALLOWED = [
    ("handlers/planted", "kopf"),
    ("handlers/planted", "penstock.api.field_types"),
    ("adapters/planted", "kubernetes"),
    ("adapters/planted", "requests"),
    ("adapters/planted", "prometheus_api_client"),
    ("adapters/planted", "penstock.engine"),
    ("api/planted", "pydantic"),
    ("settings", "pydantic"),
    ("app", "penstock.adapters"),
    ("app", "penstock.handlers"),
    ("app", "penstock.settings"),
    ("cli/planted", "penstock.app"),
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


def plant(copy: Path, module: str, imported: str) -> None:
    with (copy / "operator" / "penstock" / f"{module}.py").open("a") as target:
        target.write(f"\nimport {imported}\n")


@pytest.mark.parametrize("contract", FORBIDDEN)
def test_planted_violations_break_their_contract_and_are_named(copy: Path, contract: str) -> None:
    for module, imported in FORBIDDEN[contract]:
        plant(copy, module, imported)
    result = lint(copy)
    assert result.returncode == 1, result.stdout
    assert f"{contract} BROKEN" in result.stdout
    for module, imported in FORBIDDEN[contract]:
        assert f"penstock.{module.replace('/', '.')} -> {imported} (l." in result.stdout


def test_a_module_that_belongs_to_no_room_is_named(copy: Path) -> None:
    (copy / "operator" / "penstock" / "stray.py").touch()
    result = lint(copy)
    assert result.returncode == 1
    assert "- penstock.stray\n" in result.stdout


def test_what_the_rooms_are_for_is_allowed(copy: Path) -> None:
    for module, imported in ALLOWED:
        plant(copy, module, imported)
    result = lint(copy)
    assert result.returncode == 0, result.stdout

"""What a user installs: the wheel is our package alone and works with the locked dependencies."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock import __version__

if TYPE_CHECKING:
    from conftest import Environment

ROOT = Path(__file__).resolve().parents[2]
RUN_LOCK = ROOT / "requirements" / "run.lock"
METADATA = f"penstock-{__version__}.dist-info"


@pytest.fixture(scope="module")
def installed(make_environment: Callable[[Path], Environment], wheel: Path) -> Environment:
    environment = make_environment(Path(sys.executable))
    environment.install("--require-hashes", "--requirements", RUN_LOCK)
    environment.install("--no-deps", wheel)
    return environment


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_the_package_and_its_metadata_alone(wheel: Path) -> None:
    assert {name.split("/")[0] for name in names(wheel)} == {"penstock", METADATA}


def test_the_wheel_holds_every_source_file_the_type_marker_and_the_license(wheel: Path) -> None:
    source_root = ROOT / "operator"
    sources = {str(path.relative_to(source_root)) for path in source_root.rglob("*.py")}
    assert {name for name in names(wheel) if name.endswith(".py")} == sources
    assert {"penstock/py.typed", f"{METADATA}/licenses/LICENSE"} <= names(wheel)


def test_the_source_archive_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path), "--target"]
    subprocess.run([*build, "sdist"], cwd=ROOT, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(tmp_path)], check=True)
    unpacked = tmp_path / archive.name.removesuffix(".tar.gz")
    subprocess.run([*build, "wheel"], cwd=unpacked, check=True, capture_output=True)
    (rebuilt,) = tmp_path.glob("*.whl")
    assert names(rebuilt) == names(wheel)


def test_penstock_version_works_from_the_wheel_in_an_empty_environment(
    installed: Environment,
) -> None:
    script = installed.run(installed.folder / "bin" / "penstock", "version")
    module = installed.run(installed.python, "-m", "penstock", "version")
    assert (script.returncode, script.stdout) == (0, f"{__version__}\n"), script.stderr
    assert (module.returncode, module.stdout) == (0, f"{__version__}\n"), module.stderr


def test_the_script_hands_on_the_exit_code_of_wrong_usage(installed: Environment) -> None:
    assert installed.run(installed.folder / "bin" / "penstock", "publish").returncode == 64


def test_nothing_but_the_lock_and_penstock_is_installed(installed: Environment) -> None:
    listing = (
        "from importlib.metadata import distributions; "
        "print(*(found.metadata['Name'].lower().replace('_', '-') for found in distributions()))"
    )
    answer = installed.run(installed.python, "-c", listing)
    locked = set(re.findall(r"^([a-z0-9][a-z0-9.-]*)==", RUN_LOCK.read_text(), re.MULTILINE))
    assert set(answer.stdout.split()) <= locked | {"penstock"}, answer.stderr


def test_every_module_imports_with_what_the_lock_installs(installed: Environment) -> None:
    installed.import_everything()

"""The images, as far as they can be known without a container engine; with one: tests/e2e."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock import __version__
from support.dockerfile import Dockerfile

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
OPERATOR = Dockerfile.read(ROOT / "Dockerfile")
FILES = [
    pytest.param(OPERATOR, id="operator"),
    *(
        pytest.param(Dockerfile.read(path), id=str(path.parent.relative_to(ROOT)))
        for path in sorted((ROOT / "demo").rglob("Dockerfile"))
    ),
]


@pytest.mark.parametrize("file", FILES)
def test_the_base_is_the_builders_choice_in_every_stage(file: Dockerfile) -> None:
    assert file.instructions[0].word == "ARG"
    assert re.fullmatch(r"BASE=[a-z0-9./]*python:3\.\d+-(slim|alpine)", file.all("ARG")[0])
    assert {value.split()[0] for value in file.all("FROM")} == {"${BASE}"}


@pytest.mark.parametrize("file", FILES)
def test_it_runs_as_an_ordinary_user_by_number_so_that_runasnonroot_can_check(
    file: Dockerfile,
) -> None:
    (user,) = file.last_stage.all("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


@pytest.mark.parametrize("file", FILES)
def test_it_starts_without_a_shell_that_would_swallow_signals(file: Dockerfile) -> None:
    for value in (*file.all("ENTRYPOINT"), *file.all("CMD")):
        assert isinstance(json.loads(value), list)
    assert len(file.last_stage.all("ENTRYPOINT")) == 1


@pytest.mark.parametrize("file", FILES)
def test_it_copies_what_is_there_and_needs_no_newer_builder(
    file: Dockerfile, tmp_path: Path
) -> None:
    file.copy_context(tmp_path)
    for sources, _ in file.copied:
        for source in sources:
            assert (tmp_path / source).exists(), f"{source} is not there, or .dockerignore hides it"
    assert file.all("ADD") == []
    assert not [value for value in file.all("COPY") if re.match(r"--(?!from=)", value)]
    assert not [value for value in file.all("RUN") if value.startswith("--")]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_its_steps_make_a_penstock_that_runs_from_nothing_but_the_context(tmp_path: Path) -> None:
    """Replayed without an engine: the folders of the image are folders of this machine."""
    environment = replay(OPERATOR, tmp_path)
    command = [*json.loads(OPERATOR.all("ENTRYPOINT")[0]), "version"]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"{__version__}\n"), done.stderr
    assert json.loads(OPERATOR.all("CMD")[0]) == ["run"]


def replay(file: Dockerfile, folder: Path) -> Mapping[str, str]:
    """Do what the first stage says, with its folders under `folder`; the last stage's PATH."""
    context, inside = folder / "context", folder / "image"
    file.copy_context(context)
    (source,) = file.all("WORKDIR")
    work = inside / source.lstrip("/")
    for sources, to in file.copied:
        for one in sources:
            target = work / to / Path(one).name if to.endswith("/") else work / to
            target.parent.mkdir(parents=True, exist_ok=True)
            (context / one).rename(target)
    python = inside / "usr" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)

    foreign = ("PYTHONPATH", "VIRTUAL_ENV", "PENSTOCK_")
    own = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    own["PIP_NO_COMPILE"] = "1"  # a minute of one core that no assertion here needs
    own["PATH"] = f"{python.parent}{os.pathsep}{own['PATH']}"
    (steps,) = file.all("RUN")
    steps = steps.replace("/opt/", f"{inside / 'opt'}/")
    done = subprocess.run(
        ["sh", "-ec", steps], env=own, cwd=work, capture_output=True, text=True, check=False
    )
    if "No matching distribution found" in done.stdout + done.stderr:
        unavailable(f"no package index has what is needed:\n{done.stderr}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PATH=/opt/penstock/bin:$PATH" in file.last_stage.all("ENV")[0].split()
    return {**own, "PATH": f"{inside}/opt/penstock/bin{os.pathsep}{os.defpath}"}


def unavailable(reason: str) -> None:
    """As for the other packages: in CI a failure, elsewhere a skip that says why."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)

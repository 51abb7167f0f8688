"""The demonstration sees what it tells: with a part of Penstock missing, its steps fail.

Each test has a stage of its own, so that they can run at the same time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import cluster

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "demo"
    yield folder
    cluster.down(folder)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        env={**os.environ, "PYTHONPATH": PATHS},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )


CRIPPLED = """
import sys
from pathlib import Path
from demo.bed_stage import BedStage
from demo.story import Story, StoryError

stage = BedStage(Path(sys.argv[1]), **eval(sys.argv[2]))
stage.begin()
story = Story(stage)
story.set_up()
for number, step in enumerate(story.steps, 1):
    if number == 2:
        continue  # a good version, for which nothing is missing
    try:
        step()
    except StoryError as error:
        sys.exit(f"step {number} was not seen: {error}")
"""


@pytest.mark.xdist_group("demo: whole")
def test_all_eight_steps_are_seen_and_the_end_leaves_nothing(folder: Path) -> None:
    done = run("-m", "demo", "up", f"--dir={folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    for number in range(1, 9):
        assert f"\n{number}. " in done.stdout
    assert "All eight steps were seen" in done.stdout
    ended = run("-m", "demo", "down", f"--dir={folder}")
    assert ended.returncode == 0
    assert not folder.exists()


@pytest.mark.xdist_group("demo: without admission")
def test_without_the_admission_policies_step_4_fails(folder: Path) -> None:
    done = run("-c", CRIPPLED, str(folder), "{'admission': False}")
    assert "step 4 was not seen" in done.stderr, done.stdout + done.stderr


@pytest.mark.xdist_group("demo: without evaluations")
def test_without_evaluations_step_3_fails(folder: Path) -> None:
    done = run("-c", CRIPPLED, str(folder), "{'interval': 600.0}")
    assert "step 3 was not seen" in done.stderr, done.stdout + done.stderr

"""The demonstration sees what it tells: with a part of Penstock missing, its steps fail.

All of them run at the same time, each on a stage of its own: they wait far more than they work.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from testbed import cluster

Done = subprocess.CompletedProcess[str]

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(600)]


def run(*arguments: str) -> Done:
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
from demo.scenario import Scenario, StoryError

stage = BedStage(Path(sys.argv[1]), **eval(sys.argv[2]))
stage.begin()
story = Scenario(stage)
story.set_up()
for number, step in enumerate(story.steps, 1):
    if number == 2:
        continue  # a good version, for which nothing is missing
    try:
        step()
    except StoryError as error:
        sys.exit(f"step {number} was not seen: {error}")
"""


CRIPPLED_BY = {
    "without admission": "{'admission': False}",
    "without evaluations": "{'interval': 600.0}",
}


@pytest.fixture(scope="module", autouse=True)
def crippled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Future[Done]]]:
    """Demos that lack something, begun before the first test."""
    folders = {name: tmp_path_factory.mktemp("crippled") / "demo" for name in CRIPPLED_BY}
    with ThreadPoolExecutor() as pool:
        yield {
            name: pool.submit(run, "-c", CRIPPLED, str(folders[name]), lacking)
            for name, lacking in CRIPPLED_BY.items()
        }
    for folder in folders.values():
        cluster.down(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "demo"
    yield folder
    cluster.down(folder)


def test_all_eight_steps_are_seen_and_the_end_leaves_nothing(folder: Path) -> None:
    done = run("-m", "demo", "up", f"--dir={folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    for number in range(1, 9):
        assert f"\n{number}. " in done.stdout
    assert "All eight steps were seen" in done.stdout
    ended = run("-m", "demo", "down", f"--dir={folder}")
    assert ended.returncode == 0
    assert not folder.exists()


def test_without_the_admission_policies_step_4_fails(crippled: Mapping[str, Future[Done]]) -> None:
    done = crippled["without admission"].result()
    assert "step 4 was not seen" in done.stderr, done.stdout + done.stderr


def test_without_evaluations_step_3_fails(crippled: Mapping[str, Future[Done]]) -> None:
    done = crippled["without evaluations"].result()
    assert "step 3 was not seen" in done.stderr, done.stdout + done.stderr

"""`kill -9` of whoever runs a bed, at any moment, leaves no process, no port, nothing half-made."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import draws
from testbed.bed import TESTS
from testbed_tests.processes import until
from testbed_tests.traces import is_listened_on, needs_proc, ports_of, processes_of

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(600), needs_proc]

MOMENTS = draws.size(commit=6, full=20)
LONGEST_START, LONGEST_USE = 10.0, 5.0
AT_ONCE = 2

USER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from testbed.bed import TESTS, Bed

    sample = str(TESTS.parent / "demo" / "app" / "checkout.yaml")
    with Bed.start(Path(sys.argv[1])) as bed:
        print("in use", flush=True)
        while True:
            bed.kubectl("apply", "-f", sample)
            bed.kubectl("delete", "-f", sample, "--wait=false")
""")


@dataclass(frozen=True)
class Moment:
    """When a user is killed: so long after it began, or after its bed was ready."""

    number: int
    in_use: bool
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.number}: {self.seconds:.2f} s {'in use' if self.in_use else 'into the start'}"
        )


@pytest.fixture
def assets(servers: Mapping[str, Path], tmp_path: Path) -> Path:
    """The servers where envtest would put them, so that the cache may be one of our own."""
    folder = tmp_path / "assets"
    folder.mkdir()
    for name, path in servers.items():
        (folder / name).symlink_to(path)
    return folder


def moments() -> Iterator[Moment]:
    """Two of five in use; each in a part of its own of the longest time, so that few see it all."""
    draw = random.Random(draws.seed())
    in_use = [number % 5 in (1, 3) for number in range(MOMENTS)]
    for number, uses in enumerate(in_use):
        longest = LONGEST_USE if uses else LONGEST_START
        part = longest / in_use.count(uses)
        begin = part * in_use[:number].count(uses)
        yield Moment(number, uses, draw.uniform(begin, begin + part))


def what_is_left_after(moment: Moment, folder: Path, assets: Path) -> list[str]:
    """Complaints; none when all is well."""
    bed, cache = folder / "bed", folder / "cache"
    ports = _run_and_kill(moment, bed, _environment(assets, cache))
    gone = until(lambda: not processes_of(folder), seconds=60)
    complaints = [] if gone else [f"{moment}: {processes_of(folder)} live on"]
    complaints += [f"{moment}: port {p} is still listened on" for p in ports if is_listened_on(p)]
    complaints += [f"{moment}: {path} was left" for path in cache.rglob("*") if path.is_file()]
    return complaints


def _environment(assets: Path, cache: Path) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(TESTS),
        "KUBEBUILDER_ASSETS": str(assets),
        "XDG_CACHE_HOME": str(cache),
    }


def _run_and_kill(moment: Moment, bed: Path, environment: Mapping[str, str]) -> set[int]:
    """The ports in use when the user was killed."""
    argv = [sys.executable, "-c", USER, str(bed)]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        if moment.in_use:
            assert user.stdout.readline() == "in use\n", f"{moment}: the bed did not start"
        time.sleep(moment.seconds)
        ports = ports_of(bed)
        user.kill()
    return ports


def test_a_killed_user_leaves_nothing_whenever_it_was_killed(assets: Path, tmp_path: Path):
    planned = list(moments())
    assert sum(moment.in_use for moment in planned) >= MOMENTS * 2 // 5

    def run(moment: Moment) -> list[str]:
        return what_is_left_after(moment, tmp_path / f"run-{moment.number}-", assets)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        complaints = [line for found in pool.map(run, planned) for line in found]
    assert complaints == []

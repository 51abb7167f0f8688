"""What the tutorial tells people to type works as it stands, and what it says fails, fails."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.bed import Bed
from testbed.child_process import ChildProcess

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```sh(?P<fails> fails)?\n(?P<commands>.*?)^```$", re.MULTILINE | re.DOTALL)
# The test has a test bed of its own, so that a person's goes on.
OF_A_PERSON = re.compile(r"^(make cluster-up|make cluster-down|\. \.cluster/env)$", re.MULTILINE)
REFUSED = """
if said=$( {{ {commands} }} 2>&1 ); then echo "this was not refused"; exit 1; fi
echo "$said"
grep -q forbidden <<< "$said"
"""

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Bed]:
    with Bed.start(tmp_path / "bed") as bed:
        yield bed


def script() -> str:
    """All blocks of commands, one after the other, each line told before it runs."""
    parts = ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT", "set -x"]
    for block in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        commands = OF_A_PERSON.sub("", block["commands"])
        parts.append(REFUSED.format(commands=commands) if block["fails"] else commands)
    return "\n".join(parts)


def test_every_command_of_the_tutorial_does_what_it_says(own: Bed, tmp_path: Path) -> None:
    log = tmp_path / "tutorial.log"
    env = {**os.environ, **own.env, "TMPDIR": str(tmp_path)}
    shell = ChildProcess(["bash", "-c", script()], log=log, env=env, cwd=ROOT)
    try:
        code = shell.wait(timeout=800)
    except subprocess.TimeoutExpired:
        code = -1
    finally:
        shell.stop()
    assert code == 0, log.read_text()[-4_000:]

"""The command line as people and scripts meet it: output, exit codes, where words go."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest

from penstock import __version__
from penstock.cli import main


def test_version_prints_the_version_alone_so_that_scripts_can_read_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["publish"], "invalid choice: 'publish'"),
        (["version", "--loud"], "unrecognized arguments: --loud"),
    ],
)
def test_wrong_usage_exits_2_and_says_on_stderr_what_is_wrong(
    arguments: Sequence[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    said = capsys.readouterr()
    assert complaint in said.err
    assert said.out == ""


def test_python_m_penstock_is_the_same_command_and_hands_on_its_exit_code() -> None:
    right = subprocess.run(
        [sys.executable, "-m", "penstock", "version"], capture_output=True, text=True, check=False
    )
    wrong = subprocess.run(
        [sys.executable, "-m", "penstock"], capture_output=True, text=True, check=False
    )
    assert (right.returncode, right.stdout) == (0, f"{__version__}\n")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("usage: penstock ")

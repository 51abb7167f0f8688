"""The command line as people and scripts meet it: output, exit codes, where words go."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from penstock import __version__
from penstock.cli import COMMANDS, main, parser
from penstock.settings import Settings, from_arguments


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
        (["run", "--interval"], "argument --interval: expected one argument"),
        (["run", "--interval", "soon"], "penstock run: interval: Input should be a valid number"),
        (["release-all", "--log-level=loud"], "penstock release-all: log_level: String should"),
    ],
)
def test_wrong_usage_exits_64_and_says_on_stderr_what_is_wrong(
    arguments: Sequence[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 64
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
    assert wrong.returncode == 64
    assert wrong.stderr.startswith("usage: penstock ")


class Greet:
    """A command that only this test has."""

    NAME, HELP = "greet", "greet somebody"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("whom")
        parser.add_argument("--times", type=int, default=1)

    def run(self, arguments: argparse.Namespace) -> int:
        print("hello", arguments.whom, arguments.times)
        return 7


def test_a_command_that_is_added_is_listed_parsed_and_run_with_its_own_arguments(
    capsys: pytest.CaptureFixture[str],
) -> None:
    added = parser([*COMMANDS, Greet()])

    chosen = added.parse_args(["greet", "world", "--times", "2"])

    assert chosen.command.run(chosen) == 7
    assert capsys.readouterr().out == "hello world 2\n"
    assert "greet somebody" in added.format_help()


def test_a_setting_is_taken_from_its_flag_then_the_environment_then_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "penstock.yaml"
    file.write_text("interval: 11\nhot_interval: 12\nscrape_interval: 13\n")
    monkeypatch.setenv("PENSTOCK_INTERVAL", "21")
    monkeypatch.setenv("PENSTOCK_HOT_INTERVAL", "22")

    given = parser(COMMANDS).parse_args(["run", "--interval=31", f"--config={file}"])
    found = from_arguments(given)

    assert (found.interval, found.hot_interval, found.scrape_interval) == (31, 22, 13)
    assert found.config == file


def test_help_of_a_command_lists_each_setting_with_its_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["run", "--help"])
    assert left.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert " ".join(str(field.description).split()) in text
    assert "(default: 300.0)" in text

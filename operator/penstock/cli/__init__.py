"""The commands: parses the command line, calls what does the work, makes its outcome an exit code.

It decides nothing about releases and reads no cluster. `main` returns the exit code instead of
leaving the process, so that tests call it as people do; argparse alone leaves, with 2 on wrong
usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_settings import SettingsError

from penstock import __version__
from penstock.settings import load

WRONG_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; without `arguments` those of the process. Returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] in (["run"], ["release-all"]):
        return _operate(given[0], given[1:])
    _parser().parse_args(given)
    print(__version__)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="penstock",
        description="Holds a Kubernetes release while the error budget is spent.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    commands.add_parser("version", help="print the version and leave")
    commands.add_parser("run", help="run the operator; `penstock run --help` lists its settings")
    commands.add_parser("release-all", help="give back every hold of ours: before an uninstall")
    return parser


def _operate(command: str, arguments: list[str]) -> int:
    """The commands that talk to a cluster; they take the settings as flags."""
    try:
        settings = load(f"penstock {command}", arguments)
    except (ValidationError, SettingsError) as error:
        sys.stderr.write(f"penstock {command}: {_in_words(error)}\n")
        return WRONG_USAGE
    # Kopf and the Kubernetes client take a second to import; `penstock version` does without.
    from penstock import app

    return app.run(settings) if command == "run" else app.release_all(settings)


def _in_words(error: ValidationError | SettingsError) -> str:
    if isinstance(error, SettingsError):
        return str(error)
    return "; ".join(
        f"{'.'.join(map(str, one['loc'])) or 'settings'}: {one['msg']}" for one in error.errors()
    )

"""The commands: parses the command line, calls what does the work, makes its outcome an exit code.

It decides nothing about releases and reads no cluster. `main` returns the exit code instead of
leaving the process, so that tests call it as people do; argparse alone leaves, with 2 on wrong
usage.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from penstock import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; without `arguments` those of the process. Returns the exit code."""
    _parser().parse_args(arguments)
    print(__version__)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="penstock",
        description="Holds a Kubernetes release while the error budget is spent.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    commands.add_parser("version", help="print the version and leave")
    return parser

"""The command line: finds the command, runs it, and returns its exit code.

It decides nothing about releases and reads no cluster. `main` returns the exit code instead of
exiting, so that tests can call it as people do; only wrong usage exits, with 64.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from penstock.cli.command import Command, Parser
from penstock.cli.commands import release_all, run, version

COMMANDS: Sequence[Command] = (run, version, release_all)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; `arguments` default to those of the process. Returns the exit code."""
    chosen = parser(COMMANDS).parse_args(arguments)
    command: Command = chosen.command
    return command.run(chosen)


def parser(commands: Sequence[Command]) -> argparse.ArgumentParser:
    """A parser for these commands; its result has the chosen one as ``command``."""
    root = Parser(
        prog="penstock",
        description="Holds a Kubernetes release while the error budget is spent.",
    )
    typed = root.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in commands:
        own = typed.add_parser(command.NAME, help=command.HELP, description=command.HELP)
        command.add_arguments(own)
        own.set_defaults(command=command)
    return root

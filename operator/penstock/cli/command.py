"""What a command is, and how the program ends on wrong usage."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn, Protocol

from pydantic import ValidationError
from pydantic_settings import SettingsError

from penstock.settings import Settings, from_arguments

WRONG_USAGE = 64


class Command(Protocol):
    """One command of ``penstock``: a module of ``cli.commands`` with these four names.

    Attributes:
        NAME: what people type after ``penstock``.
        HELP: one line for ``penstock --help``.
    """

    NAME: str
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare its flags and arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Run it and return the exit code. Slow imports belong inside it."""


class Parser(argparse.ArgumentParser):
    """Exits with 64 on wrong usage; argparse's own 2 means "closed" to those who query a gate."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and what is wrong to stderr, and exit."""
        self.print_usage(sys.stderr)
        self.exit(WRONG_USAGE, f"{self.prog}: error: {message}\n")


def settings_of(command: str, arguments: argparse.Namespace) -> Settings:
    """The operator's settings for a command that takes them as flags.

    Raises:
        SystemExit: with 64, after naming a wrong setting on stderr.
    """
    try:
        return from_arguments(arguments)
    except (ValidationError, SettingsError) as error:
        sys.stderr.write(f"penstock {command}: {_validation_message(error)}\n")
        raise SystemExit(WRONG_USAGE) from error


def _validation_message(error: ValidationError | SettingsError) -> str:
    if isinstance(error, SettingsError):
        return str(error)
    return "; ".join(
        f"{'.'.join(map(str, one['loc'])) or 'settings'}: {one['msg']}" for one in error.errors()
    )

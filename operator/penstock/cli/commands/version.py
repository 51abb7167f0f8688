"""`penstock version`."""

from __future__ import annotations

import argparse

from penstock import __version__

NAME = "version"
HELP = "print the version"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none."""


def run(arguments: argparse.Namespace) -> int:
    """Print only the version, so that scripts can read it."""
    print(__version__)
    return 0

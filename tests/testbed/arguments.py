"""What the commands of the test bed have in common on their command lines."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from testbed.api import Kube


def add_kubeconfig(parser: argparse.ArgumentParser) -> None:
    """Take `--kubeconfig FILE`; the option's value is a client of the API server."""
    parser.add_argument(
        "--kubeconfig",
        type=_kube,
        required=True,
        metavar="FILE",
        help="one that the test bed wrote: JSON, with everything in it",
    )


def whole_number(most: int) -> Callable[[str], int]:
    """Read a number from 1 to `most`."""

    def read(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        if not 1 <= number <= most:
            raise argparse.ArgumentTypeError(f"use a whole number from 1 to {most}")
        return number

    return read


def _kube(text: str) -> Kube:
    try:
        return Kube(Path(text))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        problem = f"{text} is not a kubeconfig that the test bed wrote"
        raise argparse.ArgumentTypeError(problem) from error

"""`penstock run`."""

from __future__ import annotations

import argparse

from penstock import settings
from penstock.cli.command import settings_of

NAME = "run"
HELP = "run the operator"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All settings of the operator."""
    settings.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run until asked to stop: 0 asked to stop, 1 failure, 3 another replica leads now."""
    found = settings_of(NAME, arguments)
    # Kopf and the Kubernetes client take a second to import; `penstock version` needs neither.
    from penstock import app

    return app.run(found)

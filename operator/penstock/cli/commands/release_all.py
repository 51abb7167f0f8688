"""`penstock release-all`."""

from __future__ import annotations

import argparse

from penstock import settings
from penstock.cli.command import settings_of

NAME = "release-all"
HELP = "release every hold of Penstock, for instance before an uninstall"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All settings of the operator."""
    settings.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Release them all: 0 when none is left, 1 when one is."""
    found = settings_of(NAME, arguments)
    # Kopf and the Kubernetes client take a second to import; `penstock version` does without.
    from penstock import app

    return app.release_all(found)

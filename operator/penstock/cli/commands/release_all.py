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
    """Release all holds: 0 if none is left, 1 otherwise."""
    found = settings_of(NAME, arguments)
    # Kopf and the Kubernetes client take a second to import; `penstock version` needs neither.
    from penstock import app

    return app.release_all(found)

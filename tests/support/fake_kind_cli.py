"""`kind` and `docker` as commands on PATH whose only cluster is one that is there already.

A kind cluster needs an engine and an image of a node, which are not to be had everywhere. What is
played is the two commands; the API server behind the kubeconfig that `kind create` hands out is a
real one, or there is none.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

KIND = """#!/bin/sh
echo "kind $*" >> "$PLAYED/log"
for word; do
    case $word in --name=*) name=${word#*=} ;; --kubeconfig=*) config=${word#*=} ;; esac
done
case "$1 $2" in
"get clusters") cat "$PLAYED/clusters" ;;
"create cluster")
    [ -e "$PLAYED/kubeconfig" ] || { echo "failed to pull image" >&2; exit 1; }
    echo "$name" >> "$PLAYED/clusters"
    cp "$PLAYED/kubeconfig" "$config" ;;
"delete cluster")
    grep -vx -- "$name" "$PLAYED/clusters" > "$PLAYED/clusters.new"
    mv "$PLAYED/clusters.new" "$PLAYED/clusters" ;;
esac
"""
DOCKER = """#!/bin/sh
echo "docker $*" >> "$PLAYED/log"
"""


class FakeKind:
    """The two commands, and what they were asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir()
        (folder / "clusters").touch()
        (folder / "log").touch()
        for name, text in (("kind", KIND), ("docker", DOCKER)):
            path = folder / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)

    @property
    def env(self) -> dict[str, str]:
        """What makes them the ones that are found."""
        path = os.pathsep.join([str(self._folder / "bin"), os.environ["PATH"]])
        return {"PATH": path, "PLAYED": str(self._folder)}

    @property
    def asked(self) -> list[str]:
        """All calls, in order."""
        return (self._folder / "log").read_text().splitlines()

    def offer(self, kubeconfig: Path) -> None:
        """From now on a cluster can be made: this one."""
        shutil.copy(kubeconfig, self._folder / "kubeconfig")

    def somebodys(self, name: str) -> None:
        """A cluster that somebody else made."""
        with (self._folder / "clusters").open("a") as clusters:
            clusters.write(f"{name}\n")

    @property
    def clusters(self) -> list[str]:
        """Those that are there."""
        return (self._folder / "clusters").read_text().splitlines()

    def take_away(self, command: str) -> None:
        """As if it were not installed; whoever calls narrows PATH as well."""
        (self._folder / "bin" / command).unlink()

    def fail(self, command: str, says: str) -> None:
        """It is installed and does not work."""
        (self._folder / "bin" / command).write_text(f"#!/bin/sh\necho '{says}' >&2\nexit 1\n")

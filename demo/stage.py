"""Where the story happens: a cluster, and guests that come and go as the story asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[1]
NAMESPACE = "shop"
OPERATOR_NAMESPACE = "penstock-system"


@dataclass(frozen=True)
class Wanted:
    """Who is to run."""

    operator: bool = False
    load: bool = False
    prometheus: bool = True


class Stage(Protocol):
    """The story is the same on each; what differs is how things are started and ended."""

    @property
    def folder(self) -> Path:
        """Its own; `env` in it is what a shell reads to look around."""

    @property
    def env(self) -> Mapping[str, str]:
        """What kubectl needs to find the cluster."""

    @property
    def prometheus_url(self) -> str:
        """As the operator reaches it."""

    def begin(self) -> None:
        """Have the cluster, started or found."""

    def install(self) -> None:
        """What is not a guest: CRDs, RBAC, admission policies, the shop's namespace."""

    def want(self, wanted: Wanted) -> None:
        """Ask for guests, and wait until it is so."""

    def kill_operator(self) -> str:
        """End it at once, as a node's failure would, and keep it away; says how it was done."""

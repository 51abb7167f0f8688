"""One operator for all stories of a process, and the namespaces that it watches.

Several test processes share one control plane, and no operator may judge the namespaces of another
one's stories. So each operator watches namespaces of its own only, which are named before they are
made; when all of them were used, the next operator begins with others.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.operator_process import Operator
from testbed.bed import Bed
from testbed.plugin import namespace_of_name

# Each costs an operator four watches, each new operator some seconds.
NAMESPACES = 10


class Watched:
    """Gives out namespaces, each with an operator that watches it."""

    def __init__(self, bed: Bed, kubeconfig: Path, folder: Path) -> None:
        self._bed, self._kubeconfig, self._folder = bed, kubeconfig, folder
        self._operator: Operator | None = None
        self._unused: list[str] = []

    @contextmanager
    def namespace(self) -> Iterator[tuple[str, Operator]]:
        """A namespace for one story, and the operator that watches it."""
        operator = self._with_names_left()
        name = self._unused.pop()
        with namespace_of_name(self._bed.kube, name):
            yield name, operator

    def stop(self) -> None:
        """End the operator."""
        operator, self._operator = self._operator, None
        if operator is not None and operator.is_running:
            operator.stop()

    def _with_names_left(self) -> Operator:
        if self._operator is None or not self._unused:
            self.stop()
            self._operator = self._begun()
        return self._operator

    def _begun(self) -> Operator:
        pool = f"story-{secrets.token_hex(4)}"
        self._unused = [f"{pool}-{number}" for number in range(NAMESPACES)]
        operator = Operator(
            self._bed,
            self._folder / f"{pool}.log",
            kubeconfig=self._kubeconfig,
            namespaces=",".join(self._unused),
        )
        operator.__enter__()
        return operator

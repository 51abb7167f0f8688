"""A namespace of one benchmark's own, so that no figure counts what another left behind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from benchmarks.waiting import until
from testbed.api import Kube

PATIENCE = 120.0


@contextlib.contextmanager
def namespace(kube: Kube, name: str) -> Iterator[None]:
    """There from entering to leaving; whoever has left it knows that all in it is gone."""
    kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield
    kube.call("DELETE", f"/api/v1/namespaces/{name}")
    path = f"/api/v1/namespaces/{name}"
    until(f"{name} is gone", PATIENCE, lambda: kube.call("GET", path, ok=(404,)) is None)

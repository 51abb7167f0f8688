"""A namespace of one benchmark's own, so that no figure counts what another left behind."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from testbed.api import Kube

PATIENCE = 120.0


@contextlib.contextmanager
def namespace(kube: Kube, name: str) -> Iterator[None]:
    """There from entering to leaving; whoever has left it knows that all in it is gone."""
    kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield
    kube.call("DELETE", f"/api/v1/namespaces/{name}")
    end = time.monotonic() + PATIENCE
    while kube.call("GET", f"/api/v1/namespaces/{name}", ok=(404,)) is not None:
        if time.monotonic() > end:
            raise TimeoutError(f"namespace {name} is not gone within {PATIENCE:g} s")
        time.sleep(0.2)

"""A real VictoriaMetrics, single node, that takes what a test writes by remote write."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.scrapes import Scrapes
from testbed.binaries import ensure
from testbed.servers import Server, on_free_ports

NAME = "victoria-metrics"


@contextmanager
def victoria_metrics(folder: Path) -> Iterator[str]:
    """The address of one whose data lies in ``folder``."""
    program, data = ensure([NAME])[NAME], folder / "data"

    def start(port: int) -> tuple[Server, str]:
        url = f"http://127.0.0.1:{port}"
        flags = [f"-storageDataPath={data}", f"-httpListenAddr=127.0.0.1:{port}"]
        bounds = ["-retentionPeriod=200d", "-memory.allowedBytes=200MB", "-loggerLevel=WARN"]
        server = Server(NAME, [program, *flags, *bounds], folder)
        server.wait_until("readiness", lambda: str(data) in _get(f"{url}/flags"))
        return server, url

    server, url = on_free_ports(1, start)
    try:
        yield url
    finally:
        server.stop()


@contextmanager
def stored(scrapes: Scrapes, folder: Path) -> Iterator[str]:
    """The address of one that has stored this."""
    with victoria_metrics(folder) as url:
        scrapes.send(url)
        settle(url)
        yield url


def settle(url: str) -> None:
    """What was written is there to be read; by itself it takes a second or two."""
    _get(f"{url}/internal/force_flush")


def _get(address: str) -> str:
    """The answer; nothing while it is none of a server that is ready."""
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError:
        return ""

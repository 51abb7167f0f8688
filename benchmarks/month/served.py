"""A real Prometheus on loopback over the blocks of a month; it ends with whoever started it.

Owns its data folder (links to the month's own files, which it leaves as they are) and its process.
It scrapes nothing: the month is over.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.month.data import Month
from testbed.binaries import ensure
from testbed.servers import Server, on_free_ports

TICKS = os.sysconf("SC_CLK_TCK")


class Served:
    """One month's Prometheus; `url` stays the same over a restart."""

    def __init__(self, folder: Path, month: Month) -> None:
        self.folder = folder
        self._month = month
        self._data = folder / "data"
        self._data.mkdir()
        (folder / "prometheus.yml").write_text("{}", encoding="utf-8")
        self._link(month.folder / "blocks")
        on_free_ports(1, self._start)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    def arrive_late(self) -> None:
        """What an agent held back is there now."""
        self.add_blocks(self._month.folder / "late")

    def add_blocks(self, folder: Path) -> None:
        """Blocks that lie in a folder are served too; takes a restart."""
        self._link(folder)
        self.stop()
        self._start(self._port)

    def stop(self) -> None:
        """End it."""
        self._server.stop(grace=20)

    def cpu_seconds(self) -> float:
        """What its process has taken of the processors so far."""
        text = Path(f"/proc/{self._server.pid}/stat").read_text(encoding="utf-8")
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / TICKS

    def peak_mib(self) -> float:
        """The most memory that it ever held, blocks that are mapped included."""
        text = Path(f"/proc/{self._server.pid}/status").read_text(encoding="utf-8")
        line = next(line for line in text.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1_024

    def _link(self, blocks: Path) -> None:
        for block in blocks.iterdir() if blocks.exists() else ():
            shutil.copytree(block, self._data / block.name, copy_function=_link_or_copy)

    def _start(self, port: int) -> None:
        self._server = Server(
            "month",
            [
                ensure(["prometheus"])["prometheus"],
                f"--config.file={self.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._data}",
                "--storage.tsdb.retention.time=10y",
                # Nothing is merged while somebody measures.
                "--storage.tsdb.min-block-duration=2h",
                "--storage.tsdb.max-block-duration=2h",
                "--query.timeout=10m",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            self.folder,
            {"GOMEMLIMIT": "3GiB"},
        )
        self._port = port
        self._server.wait_until("readiness", self._is_ready)

    def _is_ready(self) -> bool:
        """Ready, and ours: another one might have been given the same port."""
        flags = urllib.request.urlopen(f"{self.url}/api/v1/status/flags", timeout=5).read().decode()
        return str(self._data) in flags and _answers(f"{self.url}/-/ready")


def _answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


@contextmanager
def served(month: Month, *, late: bool = True) -> Iterator[Served]:
    """A server of the month; without `late` samples until they are told to arrive."""
    # Beside the month, so that its files can be linked.
    with tempfile.TemporaryDirectory(dir=month.folder.parent, prefix="served-") as folder:
        server = Served(Path(folder), month)
        try:
            if late:
                server.arrive_late()
            yield server
        finally:
            server.stop()

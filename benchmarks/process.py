"""The operator as a process of its own, with the rights that we ship; what it tells of itself."""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path

from testbed import shipped
from testbed.bed import Bed
from testbed.servers import free_ports


class Operator:
    """`penstock run`, on one core if asked."""

    def __init__(self, bed: Bed, interval: float, *, one_core: bool = False) -> None:
        self._port = free_ports(1)[0]
        self._process = shipped.start(
            shipped.kubeconfig(bed, bed.folder / "bench.kubeconfig"),
            bed.folder / "bench.log",
            core=max(os.sched_getaffinity(0)) if one_core else None,
            interval=str(interval),
            hot_interval=str(interval),
            scrape_interval="1",
            listen=f"127.0.0.1:{self._port}",
            log_format="text",
        )

    def __enter__(self) -> Operator:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def is_ready(self) -> bool:
        """Whether all is listed."""
        return bool(self._answer("readyz"))

    def values(self, name: str) -> list[float]:
        """All series of one metric; none while it does not answer or has none."""
        lines = (line for line in self._answer("metrics").splitlines() if line.startswith(name))
        return [float(line.rsplit(" ", 1)[1]) for line in lines]

    def peak_mib(self) -> float:
        """The most resident memory that it ever had."""
        text = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        line = next(line for line in text.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1_024

    def core_seconds(self) -> float:
        """Time on a core so far."""
        text = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        user, system = text.rpartition(") ")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _answer(self, path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/{path}") as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

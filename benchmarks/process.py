"""The operator as a process of its own, with the rights that we ship; what it tells of itself."""

from __future__ import annotations

import os
import sys
import urllib.request
from pathlib import Path

from testbed import identities
from testbed.bed import Bed
from testbed.servers import free_ports
from testbed.tether import Tethered

ACCOUNT = identities.ServiceAccount("penstock-system", "penstock")


class Operator:
    """`penstock run`, on one core if asked."""

    def __init__(self, bed: Bed, interval: float, *, one_core: bool = False) -> None:
        self._bed = bed
        self._port = free_ports(1)[0]
        kubeconfig = identities.token_kubeconfig(
            bed.folder / "bench.kubeconfig",
            bed.server,
            bed.ca_file,
            identities.token(bed.kube, ACCOUNT),
        )
        command = [sys.executable, "-m", "penstock", "run", f"--interval={interval}"]
        command += [f"--hot-interval={interval}", f"--listen=127.0.0.1:{self._port}"]
        command += ["--log-format=text", "--scrape-interval=1"]
        if one_core:
            core = sorted(os.sched_getaffinity(0))[-1]
            pin = f"import os, sys; os.sched_setaffinity(0, [{core}]); "
            pin += "os.execv(sys.argv[1], sys.argv[1:])"
            command = [sys.executable, "-c", pin, *command]
        self._process = Tethered(
            command,
            log=bed.folder / "bench.log",
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        )

    def __enter__(self) -> Operator:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def is_ready(self) -> bool:
        """Whether all is listed."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz"):
                return True
        except OSError:
            return False

    def values(self, name: str) -> list[float]:
        """All series of one metric; one zero while it does not answer or has none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics") as answer:
                text = answer.read().decode()
        except OSError:
            return [0.0]
        lines = (line for line in text.splitlines() if line.startswith(name))
        return [float(line.rsplit(" ", 1)[1]) for line in lines] or [0.0]

    def memory_mib(self) -> float:
        """Resident memory now."""
        text = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        line = next(line for line in text.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1_024

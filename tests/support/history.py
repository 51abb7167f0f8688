"""A real Prometheus over a past that a test writes: every sample at the time that it says.

Counters are written as OpenMetrics text and turned into blocks by promtool, so a test waits for no
scrape and knows each sample. Evaluation times are the test's own.
"""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from testbed.binaries import ensure
from testbed.servers import Server, on_free_ports

STEP = 15
Samples = Iterable[tuple[float, float]]

# One for the whole run: far enough from now that no sample of these tests lies ahead of the server.
NOW = datetime.fromtimestamp(int(time.time()) // 60 * 60 - 600, UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


class History:
    """Series by name and labels, each with samples at seconds before or after ``NOW``."""

    def __init__(self) -> None:
        self._series: dict[str, list[tuple[float, float]]] = {}

    def add(self, name: str, labels: Mapping[str, str], samples: Samples) -> None:
        """One series; times are seconds relative to ``NOW``, negative ones lie before it."""
        written = ",".join(f'{label}="{value}"' for label, value in labels.items())
        self._series.setdefault(f"{name}{{{written}}}", []).extend(samples)

    def steady(
        self,
        name: str,
        labels: Mapping[str, str],
        *,
        step_up: float,
        start: float = -7_200,
        end: float = 0,
        first: float = 1_000,
    ) -> None:
        """A counter that grows by the same at each scrape."""
        times = [start + STEP * n for n in range(int((end - start) // STEP) + 1)]
        self.add(name, labels, [(at, first + step_up * n) for n, at in enumerate(times)])

    def text(self) -> str:
        """OpenMetrics: series of one metric together, each in order of time."""
        begin = NOW.timestamp()
        lines = [
            f"{series} {_number(value)} {begin + at:.3f}"
            for series in sorted(self._series)
            for at, value in sorted(self._series[series])
        ]
        return "\n".join([*lines, "# EOF", ""])

    def write(self, folder: Path) -> None:
        """Make the data folder of a Prometheus that is to run in ``folder``."""
        written = folder / "past.txt"
        written.write_text(self.text())
        tool, data = ensure(["promtool"])["promtool"], folder / "data"
        make = [tool, "tsdb", "create-blocks-from", "--max-block-duration=2400h", "openmetrics"]
        subprocess.run([*make, written, data], check=True, capture_output=True)

    @contextmanager
    def served(self, folder: Path) -> Iterator[str]:
        """The address of a Prometheus that holds this past."""
        self.write(folder)
        with prometheus(folder) as url:
            yield url


@dataclass(frozen=True)
class Guard:
    """How a Prometheus guards itself, as its web configuration says it, and how a test gets in."""

    web: Mapping[str, object]
    tls: ssl.SSLContext | None = None
    authorization: str = ""


@contextmanager
def prometheus(
    folder: Path,
    *flags: str,
    config: Mapping[str, object] | None = None,
    guard: Guard | None = None,
) -> Iterator[str]:
    """The address of a Prometheus with this configuration, on the data in ``folder``."""
    program = ensure(["prometheus"])["prometheus"]
    file, web = folder / "prometheus.yml", folder / "web.yml"
    file.write_text(json.dumps(dict(config or {})))
    scheme = "http"
    if guard is not None:
        web.write_text(json.dumps(dict(guard.web)))
        flags = (*flags, f"--web.config.file={web}")
        scheme = "https" if guard.tls else "http"

    def start(port: int) -> tuple[Server, str]:
        server = Server(
            "prometheus",
            [
                program,
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--storage.tsdb.retention.time=200d",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
                *flags,
            ],
            folder,
        )
        server.wait_until("readiness", lambda: _is_ours_and_ready(port, folder, guard))
        return server, f"{scheme}://127.0.0.1:{port}"

    server, url = on_free_ports(1, start)
    try:
        yield url
    finally:
        server.stop()


def _is_ours_and_ready(port: int, folder: Path, policy: Guard | None) -> bool:
    """Another Prometheus might have been given the same port; its data lies elsewhere."""
    ours = str(folder) in _get(port, "/api/v1/status/flags", policy)
    return ours and _get(port, "/-/ready", policy) != ""


def _get(port: int, path: str, policy: Guard | None) -> str:
    tls = policy.tls if policy else None
    shown = {"Authorization": policy.authorization} if policy and policy.authorization else {}
    made = (
        http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=tls)
        if tls
        else http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    )
    with closing(made) as connection:
        connection.request("GET", path, headers=shown)
        answer = connection.getresponse()
        text = answer.read().decode()
        return text if answer.status == http.HTTPStatus.OK else ""


def _number(value: float) -> str:
    return "NaN" if value != value else repr(float(value))

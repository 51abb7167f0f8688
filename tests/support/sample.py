"""The sample application as a process of its own, with a connection to it."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

APP = Path(__file__).parents[2] / "demo" / "app" / "app.py"
COMMAND = [sys.executable, "-I", "-S", str(APP)]


class Sample:
    """A running sample application and one kept-alive connection to it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.greeting = process.stdout.readline()
        self.port = int(self.greeting.rpartition(":")[2])
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        self.connection.request(method, path)
        response = self.connection.getresponse()
        return response.status, response.read().decode()

    def codes(self, number: int, path: str = "/") -> Counter[int]:
        return Counter(self.get(path)[0] for _ in range(number))

    def metrics(self) -> dict[str, float]:
        lines = self.get("/metrics")[1].splitlines()
        samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}


@contextmanager
def sample(**environment: str) -> Iterator[Sample]:
    process = subprocess.Popen(
        COMMAND,
        stdout=subprocess.PIPE,
        text=True,
        env={"BIND": "127.0.0.1", "PORT": "0", **environment},
    )
    with process:
        running = Sample(process)
        try:
            yield running
        finally:
            running.connection.close()
            process.kill()

"""A real Prometheus that finds the bed's pods by itself and scrapes them.

Owns its process, its configuration and its data. **A pod is scraped when one of its containers
declares a port named `metrics`**, at `/metrics` of that port; its series get the labels `namespace`
and `pod`, and the pod's own labels `app` and `version`. A label of the same name that the
application sets itself wins.

Only pods with an address in 127.0.0.0/8 are scraped: the others are not really run, and nothing may
ever send traffic to the addresses made up for them.
"""

from __future__ import annotations

import http.client
import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from testbed.servers import BedError, PortTaken, Server, on_free_ports

_RESTART_SECONDS = 30.0


class Prometheus:
    """One Prometheus; it can be stopped and started again with its data, on the same port."""

    def __init__(
        self, folder: Path, binary: Path, kubeconfig: Path, *, scrape_interval: str = "1s"
    ) -> None:
        self._folder = folder
        self._binary = binary
        self._data = folder / "prometheus"
        self._config = folder / "prometheus.yml"
        config = _configuration(kubeconfig, scrape_interval)
        self._config.write_text(json.dumps(config, indent=1))
        self._server: Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        if hasattr(self, "port"):
            self._start_again()
        else:
            on_free_ports(1, self._start)

    def stop(self) -> None:
        """Its data and its port stay the same."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def must_run(self) -> None:
        if self._server is not None:
            self._server.must_run()

    def _start(self, port: int) -> None:
        self._server = Server(
            "prometheus",
            [
                self._binary,
                f"--config.file={self._config}",
                f"--web.listen-address=127.0.0.1:{port}",
                f"--storage.tsdb.path={self._data}",
                "--storage.tsdb.retention.time=2d",
                "--log.level=warn",
            ],
            self._folder,
        )
        self._server.wait_until("readiness", lambda: self._is_ours_and_ready(port))
        self.port = port

    def _is_ours_and_ready(self, port: int) -> bool:
        """Another Prometheus might have been given the same port; its data lies elsewhere."""
        flags = _ask(port, "/api/v1/status/flags")
        return _ask(port, "/-/ready") is not None and str(self._data) in str(flags)

    def _start_again(self) -> None:
        """Clients know the port: when somebody has taken it meanwhile, all we can do is wait."""
        end = time.monotonic() + _RESTART_SECONDS
        while True:
            try:
                return self._start(self.port)
            except PortTaken as error:
                if time.monotonic() > end:
                    raise BedError(f"{error} It needs {self.url} to come back.") from error
                time.sleep(0.5)


def _ask(port: int, path: str) -> bytes | None:
    """The answer, or None when it is another one than 200."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=2)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        content = answer.read()
        return content if answer.status == http.HTTPStatus.OK else None


def _configuration(kubeconfig: Path, scrape_interval: str) -> dict[str, Any]:
    return {
        "global": {
            "scrape_interval": scrape_interval,
            "scrape_native_histograms": True,
            "always_scrape_classic_histograms": True,  # beside the native one of the same name
        },
        "scrape_configs": [
            {
                "job_name": "pods",
                "honor_labels": True,
                "scrape_timeout": scrape_interval,
                "kubernetes_sd_configs": [{"role": "pod", "kubeconfig_file": str(kubeconfig)}],
                "relabel_configs": [
                    _keep("pod_container_port_name", "metrics"),
                    _keep("pod_phase", "Running"),
                    _keep("pod_ip", r"127\..*"),
                    {"action": "labelmap", "regex": "__meta_kubernetes_(namespace)"},
                    {"action": "labelmap", "regex": "__meta_kubernetes_pod_label_(app|version)"},
                    _label("pod", "pod_name"),
                ],
            }
        ],
    }


def _keep(fact: str, regex: str) -> dict[str, Any]:
    return {"action": "keep", "source_labels": [f"__meta_kubernetes_{fact}"], "regex": regex}


def _label(name: str, fact: str) -> dict[str, Any]:
    return {"source_labels": [f"__meta_kubernetes_{fact}"], "target_label": name}

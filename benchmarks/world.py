"""The world of the scale benchmark: 2,000 SLOs, 500 Rollouts with workloads, a real Prometheus.

200 services count requests evenly; ten SLOs with windows of their own ask about each. A workload
has no pods, because a node's work is not what is measured, but its controller has rolled it out.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.waiting import until
from testbed.bed import Bed
from testbed.servers import Server, free_ports
from testbed.workloads import is_complete

NAMESPACE = "bench-scale"
SLOS, ROLLOUTS, SERVICES = 2_000, 500, 200
OURS = f"/apis/penstock.dev/v1alpha1/namespaces/{NAMESPACE}"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
SAMPLES, PATIENCE = 20, 300.0


class World:
    """All of it, from entering to leaving; what is in the API server stays there."""

    def __init__(self, bed: Bed) -> None:
        self._bed = bed
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"

    def __enter__(self) -> World:
        self._services = ThreadingHTTPServer(("127.0.0.1", 0), _Exposition)
        threading.Thread(target=self._services.serve_forever, daemon=True).start()
        self._prometheus = self._start_prometheus()
        try:
            self._populate()
            until("samples", PATIENCE, lambda: _samples(self.url) >= SAMPLES, every=1)
            until("the workloads are rolled out", PATIENCE, self._is_rolled_out, every=1)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._prometheus.stop()
        self._services.shutdown()
        self._services.server_close()

    def _start_prometheus(self) -> Server:
        folder = self._bed.folder / "bench-prometheus"
        folder.mkdir(exist_ok=True)
        target = f"127.0.0.1:{self._services.server_address[1]}"
        scrape = {"job_name": "services", "static_configs": [{"targets": [target]}]}
        config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}
        (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
        command: list[str | Path] = [
            self._bed.bin["prometheus"],
            f"--config.file={folder / 'prometheus.yml'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--log.level=warn",
        ]
        return Server("bench-prometheus", command, self._bed.folder)

    def _populate(self) -> None:
        kube = self._bed.kube
        wanted = [(f"{OURS}/metricssources", _source(self.url))]
        wanted += [(f"{OURS}/slos", slo(number)) for number in range(SLOS)]
        wanted += [(DEPLOYMENTS, _deployment(number)) for number in range(ROLLOUTS)]
        wanted += [(f"{OURS}/rollouts", _rollout(number)) for number in range(ROLLOUTS)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda one: kube.call("POST", *one), wanted))

    def _is_rolled_out(self) -> bool:
        return all(map(is_complete, self._bed.kube.call("GET", DEPLOYMENTS)["items"]))


def ask(url: str, query: str) -> list[dict[str, Any]]:
    """The rows of one instant query."""
    form = urllib.parse.urlencode({"query": query}).encode()
    with urllib.request.urlopen(f"{url}/api/v1/query", form, timeout=10) as answer:
        rows: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return rows


def _samples(url: str) -> int:
    try:
        rows = ask(url, 'count_over_time(bench_requests_total{service="s0",code="200"}[1m])')
    except OSError:
        return 0
    return int(rows[0]["value"][1]) if rows else 0


class _Exposition(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Counters that grow evenly, and so fast that whole numbers do not show: 0.1 % errors."""
        now = time.time() % 1e6
        lines = ["# TYPE bench_requests_total counter"]
        for number in range(SERVICES):
            service = f'bench_requests_total{{service="s{number}",code='
            lines.append(f'{service}"200"}} {now * 1e5:.0f}')
            lines.append(f'{service}"500"}} {now * 100:.0f}')
        body = ("\n".join(lines) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # a scrape that took too long is given up
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Scrapes are no news."""


def slo(number: int) -> dict[str, Any]:
    """One SLO as its author would write it."""
    service = f'service="s{number % SERVICES}"'
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "SLO",
        "metadata": {"name": f"slo-{number:04}"},
        "spec": {
            "objective": "99%",
            "window": {"rolling": f"{10 + number // SERVICES}m"},
            "indicator": {
                "ratio": {
                    "bad": f'bench_requests_total{{{service},code="500"}}',
                    "total": f"bench_requests_total{{{service}}}",
                }
            },
        },
    }


def _rollout(number: int) -> dict[str, Any]:
    names = [f"slo-{(4 * number + offset) % SLOS:04}" for offset in range(4)]
    workload = {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"app-{number:03}"}
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": f"rollout-{number:03}"},
        "spec": {"workloadRef": workload, "slos": [{"name": name} for name in names]},
    }


def _deployment(number: int) -> dict[str, Any]:
    labels = {"app": f"app-{number:03}"}
    container = {"name": "app", "image": "example.com/app:1"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": labels["app"]},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def _source(url: str) -> dict[str, Any]:
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "MetricsSource",
        "metadata": {"name": "default"},
        "spec": {"url": url},
    }

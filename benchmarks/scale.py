"""2,000 SLOs and 500 Rollouts on one core: first evaluation, memory, lateness, idle writes."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmarks.figures import Figure
from benchmarks.process import ACCOUNT, Operator
from testbed.audit import of_user, read
from testbed.bed import Bed
from testbed.servers import Server, free_ports

NAMESPACE = "bench-scale"
SLOS, ROLLOUTS, INTERVAL, QUIET_SECONDS = 2_000, 500, 30.0, 45.0
OURS = f"/apis/penstock.dev/v1alpha1/namespaces/{NAMESPACE}"
EVALUATED = "penstock_evidence_total"


def measure(bed: Bed) -> list[Figure]:
    """A real Prometheus scrapes 200 services; ten SLOs ask about each."""
    kube = bed.kube
    kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    with ThreadPoolExecutor(8) as pool:
        made = [_slo(number) for number in range(SLOS)]
        list(pool.map(lambda body: kube.call("POST", f"{OURS}/slos", body), made))
        made = [_rollout(number) for number in range(ROLLOUTS)]
        list(pool.map(lambda body: kube.call("POST", f"{OURS}/rollouts", body), made))
    services, port = Services(), free_ports(1)[0]
    prometheus = _prometheus(bed, services, port)
    kube.call("POST", f"{OURS}/metricssources", _source(f"http://127.0.0.1:{port}"))
    time.sleep(20)
    try:
        with Operator(bed, INTERVAL, one_core=True) as operator:
            first = _until_all_evaluated(operator)
            _until_told(bed)
            before = len(_writes(bed))
            latest = _worst_age(operator, QUIET_SECONDS)
            written = len(_writes(bed)) - before
            memory = operator.memory_mib()
    finally:
        prometheus.stop()
        services.stop()
    return [
        Figure("first full evaluation of 2,000 SLOs, s", first, 10, "the interval, s", INTERVAL),
        Figure("memory of the operator, MiB", memory, 250, "its limit in deploy/base, MiB", 512),
        Figure("oldest evidence over 45 s, s", latest, INTERVAL + 2, "the interval, s", INTERVAL),
        Figure(
            "writes at rest in 45 s, Lease apart",
            written,
            0,
            "one write per evaluation would be",
            SLOS * QUIET_SECONDS / INTERVAL,
        ),
    ]


def _until_all_evaluated(operator: Operator) -> float:
    """Seconds from readiness, when all is listed, until each SLO was evaluated."""
    ready, end = 0.0, time.monotonic() + 180
    while time.monotonic() < end:
        ready = ready or (time.monotonic() if operator.is_ready() else 0.0)
        if sum(operator.values(EVALUATED)) >= SLOS:
            return time.monotonic() - ready
        time.sleep(0.05)
    raise TimeoutError(f"only {sum(operator.values(EVALUATED)):.0f} SLOs were evaluated")


def _until_told(bed: Bed) -> None:
    """All first statuses are written: nothing more for fifteen seconds."""
    end, told, since = time.monotonic() + 240, -1, time.monotonic()
    while time.monotonic() < end:
        now = len(_writes(bed))
        if now != told:
            told, since = now, time.monotonic()
        elif time.monotonic() - since > 15:
            return
        time.sleep(1)
    raise TimeoutError("the operator goes on writing")


def _worst_age(operator: Operator, seconds: float) -> float:
    """The oldest evidence that was seen."""
    worst, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        worst = max(worst, *operator.values("penstock_evaluation_age_seconds"))
        time.sleep(0.5)
    return worst


def _prometheus(bed: Bed, services: Services, port: int) -> Server:
    """A real Prometheus that scrapes the services each second."""
    folder = bed.folder / "bench-prometheus"
    folder.mkdir(exist_ok=True)
    scrape = {"job_name": "services", "static_configs": [{"targets": [services.address]}]}
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}
    (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
    command = [
        bed.bin["prometheus"],
        f"--config.file={folder / 'prometheus.yml'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--log.level=warn",
    ]
    return Server("bench-prometheus", command, bed.folder)


class Services:
    """200 services that count requests, scraped by the bed's Prometheus as one target."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Exposition)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Exposition(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Counters that grow evenly, and so fast that whole numbers do not show: 0.1 % errors."""
        now = time.time() % 1e6
        lines = ["# TYPE bench_requests_total counter"]
        for service in range(200):
            lines.append(f'bench_requests_total{{service="s{service}",code="200"}} {now * 1e5:.0f}')
            lines.append(f'bench_requests_total{{service="s{service}",code="500"}} {now * 100:.0f}')
        body = ("\n".join(lines) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Scrapes are no news."""


def _writes(bed: Bed) -> list[object]:
    reads = {"get", "list", "watch"}
    return [
        entry
        for entry in of_user(read(bed.audit_log), ACCOUNT.user)
        if entry.verb not in reads and entry.resource != "leases"
    ]


def _slo(number: int) -> dict[str, Any]:
    service = f'service="s{number % 200}"'
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "SLO",
        "metadata": {"name": f"slo-{number:04}"},
        "spec": {
            "objective": "99%",
            "window": {"rolling": f"{10 + number // 200}m"},
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
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": f"rollout-{number:03}"},
        "spec": {
            "workloadRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": f"app-{number:03}",
            },
            "slos": [{"name": name} for name in names],
        },
    }


def _source(url: str) -> dict[str, Any]:
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "MetricsSource",
        "metadata": {"name": "default"},
        "spec": {"url": url},
    }

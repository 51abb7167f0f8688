"""Services under load that only fail, or only succeed, or get no requests at all.

An SLO of a story may select one of them, so that its errors begin and end within seconds of a
change of the SLO, without a release. They are real processes, scraped by the real Prometheus.
"""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import yaml

from support.admission_fixture import ROOT
from support.operator_process import wait_for
from testbed.bed import Bed
from testbed.load import MOST_SECONDS, Load

MANIFEST = ROOT / "demo" / "app" / "checkout.yaml"

STEADY, BROKEN, IDLE = "steady", "broken", "idle"
_RATIOS = {STEADY: "0", BROKEN: "0.4", IDLE: "0"}
REQUESTS_A_SECOND = 10.0


class Traffic:
    """Where the services run, and how an SLO selects one."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def indicator(self, service: str) -> dict[str, object]:
        """The indicator of an SLO about it."""
        return ratio(f'namespace="{self.namespace}",service="{service}"')


def ratio(selector: str) -> dict[str, object]:
    """Requests that failed, of all that match."""
    return {
        "ratio": {
            "bad": f'http_requests_total{{{selector},code=~"5.."}}',
            "total": f"http_requests_total{{{selector}}}",
        }
    }


@contextmanager
def running(bed: Bed, namespace: str) -> Iterator[Traffic]:
    """All three, with enough history for burn rates over ten seconds."""
    with ExitStack() as opened:
        for service, share in _RATIOS.items():
            manifest = sample(service, replicas=1, error_ratio=share)
            path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
            bed.kube.call("POST", path, manifest)
            if service != IDLE:
                load = Load(
                    bed.kube,
                    namespace,
                    f"app={service}",
                    rate=REQUESTS_A_SECOND,
                    seconds=MOST_SECONDS,
                )
                opened.enter_context(load)
        for service in _RATIOS:
            selector = f'http_requests_total{{namespace="{namespace}",service="{service}"}}'
            query = f"count_over_time({selector}[30s]) >= 10"
            wait_for(f"{service} is scraped", lambda query=query: ask(bed, query))
        yield Traffic(namespace)


def sample(
    name: str, *, replicas: int, error_ratio: str = "0", version: str = "1.0"
) -> dict[str, object]:
    """The sample application as the demonstration deploys it, under another name."""
    manifest = yaml.safe_load(MANIFEST.read_text())
    manifest["metadata"] = {"name": name, "labels": {"app": name}}
    spec = manifest["spec"]
    spec["replicas"] = replicas
    spec["selector"] = {"matchLabels": {"app": name}}
    spec["template"]["metadata"]["labels"] = {"app": name}
    container = spec["template"]["spec"]["containers"][0]
    container["image"] = f"penstock.dev/sample-app:{version}"
    container["env"] = [
        {"name": "SERVICE", "value": name},
        {"name": "ERROR_RATIO", "value": error_ratio},
    ]
    container["readinessProbe"]["periodSeconds"] = 1
    found: dict[str, object] = manifest
    return found


def ask(bed: Bed, query: str) -> list[object]:
    """Prometheus' answer to an instant query."""
    url = f"{bed.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            found: list[object] = json.load(answer)["data"]["result"]
            return found
    except OSError:
        time.sleep(0.2)
        return []

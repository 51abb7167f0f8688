"""What the story applies: the sample's versions, its promise and its guard, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

APP = Path(__file__).parent / "app" / "checkout.yaml"
IMAGE = "penstock.dev/sample-app"
REPLICAS = 6
# Shares of requests that fail, by version: 1.2 is the bad one.
VERSIONS = {"1.0": "0", "1.1": "0", "1.2": "0.8", "1.3": "0"}
# A pod counts as available after this time, so that a release takes half a minute.
MIN_READY_SECONDS = 4

# A window of a minute, so that budget really comes back while somebody watches; pairs and calm of
# its own, because the defaults are made for days.
SLO: dict[str, Any] = {
    "apiVersion": "penstock.dev/v1alpha1",
    "kind": "SLO",
    "metadata": {"name": "checkout-availability"},
    "spec": {
        "description": "Checkout answers without a server error",
        "objective": "95%",
        "window": {"rolling": "1m"},
        "indicator": {
            "ratio": {
                "bad": 'http_requests_total{service="checkout",code=~"5.."}',
                "total": 'http_requests_total{service="checkout"}',
            }
        },
    },
}
ROLLOUT: dict[str, Any] = {
    "apiVersion": "penstock.dev/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "checkout"},
    "spec": {
        "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"},
        "slos": [{"name": "checkout-availability"}],
        "policy": {
            "burn": [{"long": "10s", "short": "5s", "factor": "1.5", "minimumBadEvents": 5}],
            "resume": {"margin": "20%", "calm": "5s"},
            "unknown": {"outage": {"keepLast": "5s", "then": "Hold"}},
        },
    },
}


def source(url: str) -> dict[str, Any]:
    """The stage's Prometheus."""
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "MetricsSource",
        "metadata": {"name": "default"},
        "spec": {"url": url, "timeout": "2s", "freshness": "10s"},
    }


def version(tag: str) -> dict[str, Any]:
    """One version of the sample application; a bad one fails a share of its requests."""
    deployment: dict[str, Any] = yaml.safe_load(APP.read_text(encoding="utf-8"))
    deployment["spec"] |= {"replicas": REPLICAS, "minReadySeconds": MIN_READY_SECONDS}
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["image"] = f"{IMAGE}:{tag}"
    for variable in container["env"]:
        if variable["name"] == "ERROR_RATIO":
            variable["value"] = VERSIONS[tag]
    return deployment


def write(folder: Path, url: str) -> None:
    """All manifests, as files that one can look at and apply again."""
    folder.mkdir(parents=True, exist_ok=True)
    manifests = {
        "slo": SLO,
        "rollout": ROLLOUT,
        "source": source(url),
        **{f"checkout-{tag}": version(tag) for tag in VERSIONS},
    }
    for name, manifest in manifests.items():
        text = yaml.safe_dump(manifest, sort_keys=False)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")

"""The CRDs of the tools we work beside, Argo Rollouts and Flagger, from their pinned Go modules.

Owns finding and installing them. They are read from the modules that the real controllers are built
from and never copied into this repository, so that schema and controller cannot drift apart.
Getting a module needs the network the first time; the error of that says what helps.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from testbed.api import Kube
from testbed.toolchain import module_dir

_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_PATIENCE = 60.0
# The loader in C takes a second for these 3 MB, the one in Python half a minute.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Crd = dict[str, Any]


def argo_rollouts_crds() -> list[Crd]:
    """Rollout, AnalysisRun, AnalysisTemplate, ClusterAnalysisTemplate and Experiment."""
    module = module_dir("argo-rollouts", "github.com/argoproj/argo-rollouts")
    return _crds_in(sorted((module / "manifests" / "crds").glob("*.yaml")), module)


def flagger_crds() -> list[Crd]:
    """Canary, MetricTemplate and AlertProvider."""
    module = module_dir("flagger", "github.com/fluxcd/flagger")
    return _crds_in([module / "artifacts" / "flagger" / "crd.yaml"], module)


def install(kube: Kube, crds: Sequence[Crd]) -> None:
    """Apply them, and wait until their objects can be listed. Doing it again changes nothing."""
    for crd in crds:
        kube.call(
            "PATCH",
            f"{_CRDS}/{crd['metadata']['name']}?fieldManager=testbed&force=true",
            crd,
            content_type="application/apply-patch+yaml",
            timeout=_PATIENCE,
        )
    end = time.monotonic() + _PATIENCE
    for crd in crds:
        while not _is_served(kube, crd):
            if time.monotonic() > end:
                raise TimeoutError(
                    f"{crd['metadata']['name']} is not served: {_conditions(kube, crd)}"
                )
            time.sleep(0.1)


def uninstall(kube: Kube, crds: Sequence[Crd]) -> None:
    """Take them away with all their objects: then `kubectl get rollouts` is unambiguous again."""
    for crd in crds:
        kube.call("DELETE", f"{_CRDS}/{crd['metadata']['name']}", ok={404})


def _crds_in(files: Sequence[Path], module: Path) -> list[Crd]:
    found = [
        document
        for file in files
        for document in yaml.load_all(file.read_bytes(), Loader=_LOADER)
        if document and document.get("kind") == "CustomResourceDefinition"
    ]
    if not found:
        raise FileNotFoundError(f"no CRD in {module}: the pinned release keeps them elsewhere")
    return found


def _is_served(kube: Kube, crd: Crd) -> bool:
    """Established is not enough: the handler learns of a new kind a moment later."""
    conditions = _conditions(kube, crd)
    if not any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
        return False
    version = next(v["name"] for v in crd["spec"]["versions"] if v["served"])
    path = f"/apis/{crd['spec']['group']}/{version}/{crd['spec']['names']['plural']}?limit=1"
    return kube.call("GET", path, ok={404}) is not None


def _conditions(kube: Kube, crd: Crd) -> list[dict[str, Any]]:
    stored = kube.call("GET", f"{_CRDS}/{crd['metadata']['name']}")
    return list((stored.get("status") or {}).get("conditions") or ())

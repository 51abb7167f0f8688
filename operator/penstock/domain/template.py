"""Pod templates: what makes two of them the same release.

A release is a change of the template's spec, labels or annotations. ``kubectl rollout restart`` and
the controller's own label are none, so they are left out before anything is compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
POD_TEMPLATE_HASH = "pod-template-hash"
# A GateRecord of five templates must stay well under etcd's limit of 1.5 MiB for one object.
LARGEST_TEMPLATE = 200_000  # bytes


@dataclass(frozen=True)
class PodTemplate:
    """One pod template, as it is compared.

    Attributes:
        hash: identifies it; sixteen hexadecimal digits.
        images: all images, init containers first, for people.
        body: the template itself, without what makes no release.
        source: name of the ReplicaSet (or revision) that carries it, if one does.
    """

    hash: str
    images: tuple[str, ...]
    body: Mapping[str, Any]
    source: str = ""

    @property
    def storable(self) -> bool:
        """Whether admission can be shown it: one too large would make the record too large."""
        return len(_canonical(self.body).encode()) <= LARGEST_TEMPLATE


def pod_template(body: Mapping[str, Any], source: str = "") -> PodTemplate:
    """The template that a workload's ``spec.pod_template`` says."""
    compared = normalized(body)
    spec = compared.get("spec") or {}
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    digest = hashlib.sha256(_canonical(compared).encode()).hexdigest()
    return PodTemplate(
        digest[:16], tuple(str(one.get("image", "")) for one in containers), compared, source
    )


def normalized(body: Mapping[str, Any]) -> dict[str, Any]:
    """The template without restart stamp, controller's label and empty maps."""
    metadata = dict(body.get("metadata") or {})
    metadata.pop("creationTimestamp", None)
    kept = {
        "labels": _without(metadata.pop("labels", None), POD_TEMPLATE_HASH),
        "annotations": _without(metadata.pop("annotations", None), RESTARTED_AT),
    }
    metadata |= {key: value for key, value in kept.items() if value}
    whole = {"metadata": metadata, "spec": body.get("spec") or {}}
    return {key: value for key, value in whole.items() if value}


def _without(values: Mapping[str, str] | None, name: str) -> dict[str, str]:
    return {key: value for key, value in (values or {}).items() if key != name}


def _canonical(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

"""How a Deployment stands, read from its status as `kubectl rollout status` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_complete(deployment: Mapping[str, Any], tag: str = "") -> bool:
    """Whether all pods are of the present template, with an image of this tag, and available."""
    status, spec = deployment.get("status") or {}, deployment["spec"]
    image = spec["template"]["spec"]["containers"][0]["image"]
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    counted = ("updatedReplicas", "replicas", "availableReplicas")
    whole = all(status.get(key, 0) == spec["replicas"] for key in counted)
    return bool(seen and whole and image.endswith(f":{tag}" if tag else ""))

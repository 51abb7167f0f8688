"""The Deployment of a story: its pods are no processes, the node only says that they are ready."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

NAME = "web"
IMAGE = "example.com/web"


def played(
    name: str = NAME, *, replicas: int = 10, image: str = f"{IMAGE}:1", **spec: Any
) -> Object:
    """A Deployment whose pods are only said to be ready."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{"name": "web", "image": image}],
                },
            },
            **spec,
        },
    }

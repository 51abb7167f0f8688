"""The story on a kind cluster: the operator from its image, installed by deploy/base."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from demo import shop
from demo.kind.cluster import HERE, LOAD_IMAGE, PROMETHEUS_URL, ROOT, KindCluster
from demo.stage import NAMESPACE, OPERATOR_NAMESPACE, Wanted

REPLICAS = 2  # of the operator, as deploy/base has it
SAMPLES = {
    **{f"{shop.IMAGE}:{tag}": str(ROOT / "demo" / "app") for tag in shop.VERSIONS},
    LOAD_IMAGE: str(HERE / "load"),
}


class KindStage:
    """Guests are Deployments: they come and go by being scaled."""

    def __init__(self, cluster: KindCluster, prometheus_url: str = PROMETHEUS_URL) -> None:
        self._cluster = cluster
        self.prometheus_url = prometheus_url

    @property
    def folder(self) -> Path:
        """The cluster's."""
        return self._cluster.folder

    @property
    def env(self) -> Mapping[str, str]:
        """With the cluster's own kubeconfig."""
        return {**os.environ, **self._cluster.env}

    def begin(self) -> None:
        """Also the images of all versions that the story releases, but for those refused."""
        self._cluster.up(SAMPLES)

    def install(self) -> None:
        """deploy/base, with evaluations that are as quick as the story, and the shop's load."""
        self._cluster.kubectl("apply", "-k", str(HERE / "operator"))
        self._cluster.kubectl("apply", "-f", str(HERE / "shop.yaml"))

    def want(self, wanted: Wanted) -> None:
        """By scaling."""
        for namespace, deployment, replicas in (
            (OPERATOR_NAMESPACE, "penstock", REPLICAS if wanted.operator else 0),
            (NAMESPACE, "load", int(wanted.load)),
            ("monitoring", "prometheus", int(wanted.prometheus)),
        ):
            self._cluster.scale(namespace, deployment, replicas)

    def kill_operator(self) -> str:
        """Scaled first, so that nobody takes the place of the pods that are killed."""
        where = (f"--namespace={OPERATOR_NAMESPACE}", "deployment/penstock")
        self._cluster.kubectl("scale", *where, "--replicas=0")
        self._cluster.kill_pods(OPERATOR_NAMESPACE, "penstock")
        self._cluster.scale(OPERATOR_NAMESPACE, "penstock", 0)
        return "Its pods were deleted by force; nothing of Penstock runs any more."

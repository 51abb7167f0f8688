"""Notifications as Kubernetes Events."""

from __future__ import annotations

from datetime import UTC

from penstock.adapters.kube_client import Body, KubeClient, path_segment
from penstock.api.kinds import API_VERSION
from penstock.engine.ports import Notification

COMPONENT = "penstock"


class EventNotifier:
    """Implements ``engine.ports.Notifier``; ``kubectl describe`` shows the Event."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    async def notify(self, notification: Notification) -> None:
        """Create one Event; for a cluster-scoped object, in the namespace default."""
        at = notification.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ref, namespace = notification.ref, notification.ref.namespace or "default"
        body: Body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{ref.name}.", "namespace": namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": notification.kind,
                "name": ref.name,
                "namespace": ref.namespace,
                "uid": ref.uid,
            },
            "type": "Warning" if notification.warning else "Normal",
            "reason": notification.reason,
            "message": notification.message,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
        }
        await self._kube.create(f"/api/v1/namespaces/{path_segment(namespace)}/events", body)

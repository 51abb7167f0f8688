"""Who the feed is to the API server: the pod's service account, else as KUBECONFIG says."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kopf

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# The token is read again this often: it is rotated on disk, and Kopf refuses credentials equal to
# those that a spurious 401 has made it drop.
FRESH_FOR = timedelta(minutes=5)


async def login(**context: Any) -> kopf.ConnectionInfo | None:
    """The credentials, and where the API server is.

    In a pod the API server is asked at the address that the kubelet gave, as by our own client.
    Kopf's own login asks for a name, and the feed would be blind while the cluster's DNS is down.
    """
    host = os.environ.get("KUBERNETES_SERVICE_HOST")
    port = os.environ.get("KUBERNETES_SERVICE_PORT")
    if not (host and port and (ACCOUNT / "token").exists()):
        return kopf.login_with_kubeconfig(**context)
    return kopf.ConnectionInfo(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        ca_path=ACCOUNT / "ca.crt",
        token=(ACCOUNT / "token").read_text(encoding="utf-8").strip(),
        default_namespace=(ACCOUNT / "namespace").read_text(encoding="utf-8").strip(),
        expiration=datetime.now(UTC) + FRESH_FOR,
    )


def with_session(
    session: Callable[[kopf.ConnectionInfo], kopf.AiohttpSession],
) -> Callable[..., Coroutine[Any, Any, kopf.AiohttpSession | None]]:
    """A Kopf login handler whose credentials come with an HTTP session made by ``session``."""

    async def handle(**context: Any) -> kopf.AiohttpSession | None:
        info = await login(**context)
        return None if info is None else session(info)

    return handle

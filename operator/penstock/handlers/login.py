"""Credentials of the feed for the API server: the pod's service account, else KUBECONFIG."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kopf

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# The token is read again this often: it is rotated on disk, and Kopf refuses credentials equal to
# those that it dropped after a spurious 401.
FRESH_FOR = timedelta(minutes=5)


async def login(**context: Any) -> kopf.ConnectionInfo | None:
    """The credentials, and the address of the API server.

    In a pod the feed uses the address that the kubelet provides, as our own client does. Kopf's own
    login uses a host name, and the feed would be blind while the cluster's DNS is down.
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
    """A Kopf login handler whose credentials carry an HTTP session created by ``session``."""

    async def handle(**context: Any) -> kopf.AiohttpSession | None:
        info = await login(**context)
        return None if info is None else session(info)

    return handle

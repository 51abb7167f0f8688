"""Who the feed is to the API server: the pod's service account, else as KUBECONFIG says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kopf

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# The token is read anew this often: it is rotated on disk, and Kopf refuses credentials equal to
# those that a spurious 401 has made it drop.
FRESH_FOR = timedelta(minutes=5)


async def login(**context: Any) -> kopf.ConnectionInfo | None:
    """A Kopf login handler."""
    if not (ACCOUNT / "token").exists():
        return kopf.login_with_kubeconfig(**context)
    found = kopf.login_with_service_account(**context)
    if found is None:
        return None
    return kopf.ConnectionInfo(
        server=found.server,
        ca_path=found.ca_path,
        token=(ACCOUNT / "token").read_text(encoding="utf-8").strip(),
        default_namespace=found.default_namespace,
        expiration=datetime.now(UTC) + FRESH_FOR,
    )

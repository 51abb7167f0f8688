"""Settings of Kopf, each with its reason; tested with Kopf 1.45."""

from __future__ import annotations

import kopf


def kopf_settings() -> kopf.OperatorSettings:
    """Settings of a feed that watches and never writes."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True  # the Lease elects; peering would pause both of two equals
    settings.scanning.disabled = True  # no watch of CRDs and namespaces: fewer streams, less RBAC
    settings.posting.enabled = False  # its events have no deduplication; ours are transitions
    settings.networking.connect_timeout = 5
    settings.networking.request_timeout = 30  # 300 s by default: a hung list must end sooner
    # Finite on purpose: "too large resource version" after an etcd restore would repeat for ever.
    settings.networking.error_backoffs = (1, 2, 4, 8, 15, 30, 30, 30)
    settings.watching.connect_timeout = 5
    settings.watching.inactivity_timeout = 70  # the server's bookmarks come every 60 s
    settings.watching.reconnect_backoff = 1.0  # 0.1 s by default floods during an outage
    settings.queueing.worker_limit = None
    settings.queueing.idle_timeout = 1.0  # frees the workers of the start burst soon
    settings.persistence.finalizer = "penstock.dev/never-written"  # recognizable if it ever were
    # By default Kopf kills the whole process when a watch hangs at the end; the feed abandons it.
    settings.process.ultimate_exiting_timeout = None
    return settings

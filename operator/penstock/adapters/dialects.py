"""Query parameters for each type of server, so that its answers are reliable.

They are taken from the servers' own sources, and tested on real ones: docs/thanos.md,
docs/victoria-metrics.md. A server ignores parameters that it does not know, but a proxy in between
may not: each server gets only its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock.domain.metrics_source import Dialect, MetricsSource

# How far back an instant selector of Prometheus looks by default.
LOOKBACK_DELTA = "5m"


def parameters(source: MetricsSource) -> Mapping[str, str]:
    """Form fields to add to each query."""
    match source.dialect:
        case Dialect.THANOS:
            # A store that does not answer is an error, not a smaller sum; replicas count once.
            result = {"partial_response": "false", "dedup": "true"}
            return result | (
                {"replicaLabels[]": source.replica_label} if source.replica_label else {}
            )
        case Dialect.VICTORIA_METRICS:
            # Without nocache it answers as of half a minute ago, or from its cache.
            return {"nocache": "1", "deny_partial_response": "1", "max_lookback": LOOKBACK_DELTA}
        case Dialect.PROMETHEUS | Dialect.MIMIR:
            return {}

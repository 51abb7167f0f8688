"""Who must act, and how, where an SLO cannot be evaluated."""

from __future__ import annotations

from penstock.domain.evidence import Evidence, EvidenceGrade, EvidenceKind

_METRICS_SERVER = "Whoever runs the metrics server"
_SOURCE = "The author of the metrics source"
_SLO = "The author of the SLO"
_ROLLOUT = "The author of the Rollout"

_REMEDIES: dict[EvidenceKind, tuple[str, str]] = {
    EvidenceKind.STALE: (
        _METRICS_SERVER,
        "check that it scrapes the targets; then read Penstock's log",
    ),
    EvidenceKind.ABSENT: (_SLO, "check that the metrics named in spec.indicator exist"),
    EvidenceKind.AMBIGUOUS: (_SLO, "make the indicator return one result"),
    EvidenceKind.MALFORMED: (
        _SLO,
        "check its indicator, and that the source's URL leads to Prometheus",
    ),
    EvidenceKind.PARTIAL: (_METRICS_SERVER, "restore the store or gateway that did not answer"),
    EvidenceKind.UNREACHABLE: (
        _METRICS_SERVER,
        "check that it runs, and that the source's URL is right",
    ),
    EvidenceKind.UNAUTHORIZED: (_SOURCE, "correct the credentials of the server or the proxy"),
    EvidenceKind.CLOCK_SKEW: (
        _METRICS_SERVER,
        "synchronize its clock with the nodes of the cluster",
    ),
    EvidenceKind.REJECTED: (_SLO, "correct the query, or have the limit of the server raised"),
    EvidenceKind.SLO_NOT_FOUND: (
        _ROLLOUT,
        "create the SLO, or correct spec.slos or spec.sloSelector",
    ),
    EvidenceKind.SLO_INVALID: (_SLO, "correct its spec"),
    EvidenceKind.SOURCE_NOT_FOUND: (_SLO, "create the metrics source, or correct spec.sourceRef"),
    EvidenceKind.POLICY_INVALID: (_ROLLOUT, "correct spec.policy"),
}


def remedy(evidence: Evidence) -> str:
    """One sentence; empty for evidence that can be used."""
    if evidence.grade is EvidenceGrade.FRESH:
        return ""
    if evidence.grade is EvidenceGrade.THIN:
        return "Nobody has to act: it opens by itself once there is enough data"
    who, what = _REMEDIES[evidence.kind]
    return f"{who} must act: {what}"

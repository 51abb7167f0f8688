"""The words of decisions: stable, part of the API, the same everywhere."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """May it proceed?"""

    PERMIT = "Permit"
    HOLD = "Hold"
    UNKNOWN = "Unknown"


class GateState(StrEnum):
    """Where the gate stands: whether a new release may start."""

    OPEN = "Open"
    CLOSED = "Closed"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Why; the docs have an entry for each. The list grows, no member changes its meaning."""

    BUDGET_HEALTHY = "BudgetHealthy"
    BUDGET_LOW = "BudgetLow"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    BURNING_FAST = "BurningFast"
    BURNING_SLOW = "BurningSlow"
    RECOVERING = "Recovering"
    HELD_BY_PERSON = "HeldByPerson"
    OVERRIDE_ACTIVE = "OverrideActive"
    ROLLBACK_PERMITTED = "RollbackPermitted"
    FIRST_RELEASE_PERMITTED = "FirstReleasePermitted"
    MIGRATING = "Migrating"
    NO_TRAFFIC = "NoTraffic"
    INSUFFICIENT_EVENTS = "InsufficientEvents"
    INSUFFICIENT_HISTORY = "InsufficientHistory"
    WARMING_UP = "WarmingUp"
    EVIDENCE_STALE = "EvidenceStale"
    EVIDENCE_ABSENT = "EvidenceAbsent"
    EVIDENCE_AMBIGUOUS = "EvidenceAmbiguous"
    PARTIAL_RESPONSE = "PartialResponse"
    METRICS_UNREACHABLE = "MetricsUnreachable"
    QUERY_REJECTED = "QueryRejected"
    UNAUTHORIZED = "Unauthorized"
    CLOCK_SKEW = "ClockSkew"
    MALFORMED = "Malformed"
    SLO_NOT_FOUND = "SLONotFound"
    SLO_INVALID = "SLOInvalid"
    SOURCE_NOT_FOUND = "SourceNotFound"
    WORKLOAD_NOT_FOUND = "WorkloadNotFound"
    WORKLOAD_UNSUPPORTED = "WorkloadUnsupported"
    WORKLOAD_CONFLICT = "WorkloadConflict"
    POLICY_INVALID = "PolicyInvalid"
    ADMITTED_WHILE_CLOSED = "AdmittedWhileClosed"
    RELEASED_UNGATED = "ReleasedUngated"
    TEMPLATE_TOO_LARGE = "TemplateTooLarge"
    DISABLED = "Disabled"
    AUDIT_ONLY = "AuditOnly"
    CONTESTED = "Contested"
    NOT_HELD = "NotHeld"

"""Names of exported metrics as enum members, so that type checking finds a misspelt one.

``adapters.metrics`` describes each metric.
"""

from __future__ import annotations

from enum import StrEnum


class CounterName(StrEnum):
    """Counters, for ``MetricsRecorder.count``."""

    DECISIONS = "penstock_decisions_total"
    EVIDENCE = "penstock_evidence_total"
    WRITES = "penstock_writes_total"
    EVALUATIONS_SKIPPED = "penstock_evaluations_skipped_total"
    ERRORS = "penstock_errors_total"
    SWEPT = "penstock_swept_total"
    ORPHANS_RELEASED = "penstock_orphans_released_total"
    FEED_RESTARTS = "penstock_feed_restarts_total"
    SOURCE_REQUESTS = "penstock_source_requests_total"
    SOURCE_SAMPLES = "penstock_source_samples_total"
    SLI_EVENTS = "penstock_sli_events_total"


class GaugeName(StrEnum):
    """Gauges, for ``MetricsRecorder.gauge``."""

    SLO_BUDGET_REMAINING = "penstock_slo_budget_remaining_ratio"
    SLO_BURN_RATE = "penstock_slo_burn_rate"
    SLO_SLI = "penstock_slo_sli_info"
    RELEASE_BUDGET_SPENT = "penstock_release_budget_spent_ratio"
    GATE_STATE = "penstock_gate_state"
    EVALUATION_AGE = "penstock_evaluation_age_seconds"
    LEADER = "penstock_leader"

"""The status of a Rollout: the state of the gate, and why.

It is also the only durable memory of decisions: a restarted operator resumes from it.
"""

from __future__ import annotations

from pydantic import Field

from penstock.api.base import KubeModel
from penstock.api.common import CONDITIONS, TIME, Condition, map_by


class GateStatus(KubeModel):
    """State of the gate."""

    verdict: str | None = None
    """Permit, Hold or Unknown."""
    state: str | None = None
    """Open, Closed or Unknown."""
    reason: str | None = None
    """Reason, one stable word; the docs list them all. Example: BudgetExhausted"""
    message: str | None = None
    """Summary, effect, opensWhen and advice, joined."""
    summary: str | None = None
    """The gate's state, since when and why, in at most 100 characters. Example: Closed since 14:02
    UTC: checkout-availability burns at 2.3x over 1h (limit 2.0x), 62.5% left"""
    effect: str | None = None
    """What happens to new releases and to the one in progress. Example: New releases are refused"""
    opens_when: str | None = None
    """What opens the gate; absent while it is open. Example: Opens when spec.hold is removed"""
    advice: str | None = None
    """What to do now, and who; absent if nothing."""
    slo: str | None = None
    """The SLO that decided: the worst one."""
    since: str | None = TIME
    """Time of the last change of state or reason."""
    decided_at: str | None = TIME
    """Time of the last decision."""


class WorkloadStatus(KubeModel):
    """The workload as last observed."""

    name: str | None = None
    """Kind and name. Example: Deployment/checkout"""
    uid: str | None = None
    """UID of the workload; it changes when the workload is re-created."""
    phase: str | None = None
    """Phase of the workload. Example: Rolling"""
    updated: int | None = None
    """Number of pods of the newest template."""
    total: int | None = None
    """Number of desired pods."""


class ReleaseStatus(KubeModel):
    """The release in progress."""

    id: str | None = None
    """Hash of the new pod template."""
    started_at: str | None = TIME
    """Time at which the release was first observed."""
    remaining_at_start: str | None = None
    """Share of the worst SLO's budget that was left at the start. Example: "0.8120\""""
    spent_ratio: str | None = None
    """Share of the SLO's budget spent since the release started; absent if unknown.
    Example: "0.0510\""""
    spent_slo: str | None = None
    """The SLO that spentRatio refers to: the one that the gate names."""
    from_hash: str | None = None
    """Hash of the previous template."""
    reason: str | None = None
    """Reason why the release may continue or not, apart from the gate. Example:
    AdmittedWhileClosed"""
    onset: str | None = None
    """How the release started: Admitted, WhileClosed (past a closed gate) or Recreated (with its
    workload)."""
    resumed_at: str | None = TIME
    """Time at which a person resumed the held release, if that is respected."""


class StableTemplate(KubeModel):
    """A template that completed while the gate stayed open; a rollback to it always passes."""

    hash: str
    """Hash of the pod template."""
    images: list[str] | None = None
    """Images of the template, for people."""
    completed_at: str | None = TIME
    """Time at which the rollout completed."""
    source: str | None = None
    """ReplicaSet that has this template. Example: checkout-6d5f7c9b8"""


class HoldStatus(KubeModel):
    """The hold on the workload."""

    active: bool | None = None
    """Whether Penstock holds the workload now."""
    effective: str | None = None
    """How much the hold stops: full, partial or none."""
    since: str | None = TIME
    """Start of the hold."""
    manager: str | None = None
    """Field manager of the hold."""
    lost_at: list[str] | None = None
    """Times at which another writer removed the hold."""
    contested_by: str | None = None
    """Writer that keeps removing the hold, if known."""


class MemoryStatus(KubeModel):
    """What a restarted operator resumes from."""

    serial: int | None = None
    """Number of changes of the decision."""
    held_for: str | None = None
    """Cause of the active hold: Budget or Burn."""
    held_by: list[str] | None = None
    """SLOs that caused the active hold; empty means all of them."""
    calm_since: str | None = TIME
    """Time since which burn rates have been low."""
    calm_required: int | None = None
    """Seconds that burn rates must stay low before the current hold ends."""
    recent_holds: list[str] | None = None
    """Start times of recent holds."""
    unknown: str | None = None
    """Class of missing evidence: Thin or Outage."""
    unknown_since: str | None = TIME
    """Time since which evidence is missing."""
    last_known: str | None = None
    """Last verdict before evidence went missing."""
    complete: str | None = None
    """Hash of the last template that completed."""
    proving_since: str | None = TIME
    """Time since which the gate has been open while that template, not yet stable, runs."""


class EffectiveSetting(KubeModel):
    """One setting of the effective policy."""

    field: str
    """Name of the setting. Example: start.holdAt"""
    value: str
    """Effective value. Example: 0%"""
    source: str
    """Origin of the value: Default or Rollout."""


class TransitionStatus(KubeModel):
    """One change of the gate."""

    at: str = Field(json_schema_extra={"format": "date-time"})
    """Time of the change."""
    verdict: str
    """Permit, Hold or Unknown."""
    state: str
    """Open, Closed or Unknown."""
    reason: str
    """Reason, one stable word."""
    slo: str | None = None
    """The SLO that decided."""
    message: str | None = None
    """The gate's message at that time."""


class RolloutStatus(KubeModel):
    """State of the gate and the reasons for it; written by Penstock only."""

    gate: GateStatus | None = None
    """State of the gate."""
    workload: WorkloadStatus | None = None
    """The workload as last observed."""
    release: ReleaseStatus | None = None
    """The release in progress, if any."""
    stable: list[StableTemplate] | None = None
    """Up to five templates that a rollback may return to at any time."""
    hold: HoldStatus | None = None
    """The hold on the workload."""
    memory: MemoryStatus | None = None
    """What a restarted operator resumes from."""
    effective_policy: list[EffectiveSetting] | None = Field(
        default=None, json_schema_extra=map_by("field")
    )
    """The effective policy, with the origin of each setting."""
    history: list[TransitionStatus] | None = None
    """Last 20 changes of the gate, newest first."""
    observed_generation: int | None = Field(default=None, ge=0)
    """The metadata.generation that this status is based on."""
    conditions: list[Condition] | None = CONDITIONS
    """Conditions: Ready, GateOpen, Held, Contested, WorkloadSupported."""

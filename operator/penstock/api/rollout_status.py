"""The status of a Rollout: where the gate stands, why, since when, and what would change it.

It is also the only durable memory of decisions: a restarted operator resumes from it.
"""

from __future__ import annotations

from pydantic import Field

from penstock.api.base import KubeModel
from penstock.api.common import CONDITIONS, TIME, Condition, map_by


class GateStatus(KubeModel):
    """Where the gate stands."""

    verdict: str | None = None
    """Permit, Hold or Unknown."""
    state: str | None = None
    """Open, Closed or Unknown."""
    reason: str | None = None
    """Why, as one stable word; docs list them all. Example: BudgetExhausted"""
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
    """Since when the state is what it is."""
    decided_at: str | None = TIME
    """When it was decided last."""


class WorkloadStatus(KubeModel):
    """The workload as last seen."""

    name: str | None = None
    """Kind and name. Example: Deployment/checkout"""
    uid: str | None = None
    """Its uid; a re-created namesake has another."""
    phase: str | None = None
    """What it is doing. Example: Rolling"""
    updated: int | None = None
    """Pods of the newest template."""
    total: int | None = None
    """Pods that are wanted."""


class ReleaseStatus(KubeModel):
    """The release under way."""

    id: str | None = None
    """Hash of the pod template that is being released."""
    started_at: str | None = TIME
    """When it was first seen."""
    remaining_at_start: str | None = None
    """Share of the worst SLO's budget that was left then. Example: "0.8120\""""
    spent_ratio: str | None = None
    """Share of the SLO's whole budget that was spent since the release began; absent while unknown.
    Example: "0.0510\""""
    spent_slo: str | None = None
    """The SLO that spentRatio is of: the one that the gate names."""
    from_hash: str | None = None
    """Hash of the template that ran before."""
    reason: str | None = None
    """Why it may go on or may not, apart from the gate. Example: AdmittedWhileClosed"""
    onset: str | None = None
    """How it started: Admitted, WhileClosed (past a shut gate) or Recreated (the workload was)."""
    resumed_at: str | None = TIME
    """When somebody resumed it while Penstock held it, and is respected."""


class StableTemplate(KubeModel):
    """A template that ran completely while the gate stayed open; a return to it always passes."""

    hash: str
    """Hash of the pod template."""
    images: list[str] | None = None
    """Its images, for people."""
    completed_at: str | None = TIME
    """When it had rolled out completely."""
    source: str | None = None
    """The ReplicaSet that carries it. Example: checkout-6d5f7c9b8"""


class HoldStatus(KubeModel):
    """What Penstock does to the workload."""

    active: bool | None = None
    """Whether Penstock holds it now."""
    effective: str | None = None
    """How much the hold stops: full, partial or none."""
    since: str | None = TIME
    """Since when Penstock holds it."""
    manager: str | None = None
    """Field manager that the hold is written under."""
    lost_at: list[str] | None = None
    """When somebody else undid it."""
    contested_by: str | None = None
    """Who keeps undoing it, as far as can be told."""


class MemoryStatus(KubeModel):
    """What a restarted operator needs to go on where it was."""

    serial: int | None = None
    """Counts decisions; a late write is recognised by it."""
    held_for: str | None = None
    """What the hold in force is for: Budget or Burn."""
    held_by: list[str] | None = None
    """The SLOs that the hold in force is for; none named: all of them."""
    calm_since: str | None = TIME
    """Since when burn rates have been calm."""
    calm_required: int | None = None
    """Seconds of calm that end the present hold."""
    recent_holds: list[str] | None = None
    """When the last holds began."""
    unknown: str | None = None
    """How evidence is missing: Thin or Outage."""
    unknown_since: str | None = TIME
    """Since when evidence is missing."""
    last_known: str | None = None
    """The verdict before that."""
    complete: str | None = None
    """Hash of the template that ran completely last."""
    proving_since: str | None = TIME
    """Since when the gate permits while that template, which is not stable, runs on."""


class EffectiveSetting(KubeModel):
    """One setting of the policy that applies."""

    field: str
    """Which one. Example: start.holdAt"""
    value: str
    """What applies. Example: 0%"""
    source: str
    """Where it came from: Default or Rollout."""


class TransitionStatus(KubeModel):
    """One change of the gate."""

    at: str = Field(json_schema_extra={"format": "date-time"})
    """When it happened."""
    verdict: str
    """Permit, Hold or Unknown."""
    state: str
    """Open, Closed or Unknown."""
    reason: str
    """Why, as one stable word."""
    slo: str | None = None
    """The SLO that decided."""
    message: str | None = None
    """Why, as one sentence."""


class RolloutStatus(KubeModel):
    """Where the gate stands and why; written by Penstock alone."""

    gate: GateStatus | None = None
    """Where the gate stands."""
    workload: WorkloadStatus | None = None
    """The workload as last seen."""
    release: ReleaseStatus | None = None
    """The release under way, if any."""
    stable: list[StableTemplate] | None = None
    """Up to five templates that a rollback may return to at any time."""
    hold: HoldStatus | None = None
    """What Penstock does to the workload."""
    memory: MemoryStatus | None = None
    """What a restarted operator needs to go on where it was."""
    effective_policy: list[EffectiveSetting] | None = Field(
        default=None, json_schema_extra=map_by("field")
    )
    """The policy that applies, with where each setting came from."""
    history: list[TransitionStatus] | None = None
    """The last 20 changes of the gate, newest first."""
    observed_generation: int | None = Field(default=None, ge=0)
    """The metadata.generation that this is of."""
    conditions: list[Condition] | None = CONDITIONS
    """Ready, GateOpen, Held, Contested, WorkloadSupported."""

"""The state of one Rollout: everything in its status, as values.

A restarted operator resumes from it, so it contains everything of the past that a decision needs,
and it survives printing and parsing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from penstock.domain.decision import ReleaseOrigin
from penstock.domain.memory import Memory
from penstock.domain.template import PodTemplate
from penstock.domain.verdict import GateState, Reason, Verdict
from penstock.domain.workload import HoldEffect, Phase

Truth = Literal["True", "False", "Unknown"]

HISTORY_KEPT = 20
STABLE_KEPT = 5


@dataclass(frozen=True, slots=True)
class Gate:
    """Where the gate stands, and why.

    Attributes:
        slo: name of the SLO that decided; empty when none did.
        message: summary, effect, opens_when and advice, joined.
        since: when state or reason last changed.
        decided_at: when it was last decided.
        summary: state, since when and why, in at most 100 characters.
        effect: what happens to releases.
        opens_when: what opens the gate; empty while it is open.
        advice: what to do now; empty if nothing.
    """

    verdict: Verdict
    state: GateState
    reason: Reason
    slo: str
    message: str
    since: datetime
    decided_at: datetime
    summary: str = ""
    effect: str = ""
    opens_when: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class WorkloadSummary:
    """The workload as last seen."""

    name: str
    uid: str
    phase: Phase
    updated: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Spent:
    """The share of one SLO's error budget that was spent since a release began, to 0.0001."""

    slo: str
    share: Decimal


@dataclass(frozen=True, slots=True)
class ReleaseState:
    """The release in progress.

    Attributes:
        id: hash of the template that is being released.
        from_hash: hash of the template that was complete before; empty for a first release.
        remaining_at_start: share of the worst SLO's budget then, as text; empty if unknown.
        resumed_at: when somebody resumed it while we held it, and is respected.
        reason: why it may continue or may not; None where nothing is decided about it.
        spent: what it may have cost so far, of the SLO that the gate names; None while unknown.
    """

    id: str
    started_at: datetime
    from_hash: str = ""
    remaining_at_start: str = ""
    origin: ReleaseOrigin = ReleaseOrigin.ADMITTED
    resumed_at: datetime | None = None
    reason: Reason | None = None
    spent: Spent | None = None


@dataclass(frozen=True, slots=True)
class StableTemplate:
    """A template that ran completely and whose gate did not close meanwhile, or not any more.

    ``completed_at`` of one that had to prove itself first is when it had.
    """

    hash: str
    images: tuple[str, ...]
    completed_at: datetime
    source: str = ""


@dataclass(frozen=True, slots=True)
class Hold:
    """What we do to the workload.

    Attributes:
        active: our hold was read back.
        manager: the field manager it is written under.
        lost_at: when it was found undone by somebody else, oldest first.
        contested_by: who keeps undoing it or declares the opposite; while it is set we stay off.
        refused: why the API server refused our last try; tried again, so not kept across restarts.
    """

    active: bool = False
    manager: str = ""
    effect: HoldEffect | None = None
    since: datetime | None = None
    lost_at: tuple[datetime, ...] = ()
    contested_by: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of the gate."""

    at: datetime
    verdict: Verdict
    state: GateState
    reason: Reason
    slo: str
    message: str


@dataclass(frozen=True, slots=True)
class Condition:
    """One aspect, in the form that all Kubernetes tools know; ``since`` moves with ``status``."""

    type: str
    status: Truth
    reason: str
    message: str
    since: datetime


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """One setting of the policy that applies, and where it came from: Default or Rollout."""

    field: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class RolloutState:
    """All of it.

    Attributes:
        complete: hash of the template that ran completely last; empty before the first did.
        stable: templates that may be returned to at any time, newest first.
        proving_since: since when the gate has permitted while a template runs that is not stable.
        bodies: the templates themselves by hash, as far as they are known; kept in the GateRecord.
        generation: the Rollout's generation that this is of.
    """

    memory: Memory = field(default_factory=Memory)
    gate: Gate | None = None
    workload: WorkloadSummary | None = None
    release: ReleaseState | None = None
    complete: str = ""
    stable: tuple[StableTemplate, ...] = ()
    proving_since: datetime | None = None
    hold: Hold = field(default_factory=Hold)
    history: tuple[Transition, ...] = ()
    conditions: tuple[Condition, ...] = ()
    settings: tuple[EffectiveSetting, ...] = ()
    generation: int = 0
    bodies: Mapping[str, PodTemplate] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GateRecord:
    """What the admission policy reads about one Rollout."""

    workload: str
    api_version: str
    kind: str
    admits: bool
    warns: bool
    message: str
    templates: tuple[tuple[PodTemplate, datetime], ...] = ()


def too_large(state: RolloutState) -> bool:
    """Whether a stable template cannot be shown to admission."""
    return any(
        not body.storable
        for stable in state.stable
        if (body := state.bodies.get(stable.hash)) is not None
    )

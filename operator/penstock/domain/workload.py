"""A workload as an adapter observed it, and what a hold on it can do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from penstock.domain.refs import WorkloadRef
from penstock.domain.template import PodTemplate

# A hold's field manager, before the uid of its Rollout. Flux would take over a "kubectl...".
HOLD_MANAGER_PREFIX = "penstock-hold-"


class Phase(StrEnum):
    """What the workload is doing."""

    MISSING = "Missing"
    UNSUPPORTED = "Unsupported"
    COMPLETE = "Complete"
    SCALING = "Scaling"
    PENDING = "Pending"
    ROLLING = "Rolling"
    FAILED = "Failed"


class HoldEffect(StrEnum):
    """How much a hold stops, or would stop, from this moment on."""

    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Advice:
    """What people can do, in the words of one kind of workload; sentences without their full stop.

    Attributes:
        roll_back: how to return to the previous version while a release is held.
        let_hold: how to end a conflict with whoever undoes the hold.
    """

    roll_back: str = "To roll back, apply the previous manifest"
    let_hold: str = "Remove the field that holds the workload from its manifest"


@dataclass(frozen=True, slots=True)
class WorkloadState:
    """One observation of a workload.

    Attributes:
        namespace, ref: which one.
        uid: distinguishes a re-created namesake; empty when it is missing.
        phase: what it is doing. Complete: every pod is of the present template and available.
        unsupported_reason: why it cannot be held, as a sentence part ("is owned by Canary web");
            None if it can.
        template: the present template; None when it is missing.
        former_templates: templates that its history still has, newest first.
        ever_complete: some template of its history is known to have run completely.
        updated: pods of the present template.
        total: pods that are wanted.
        paused: it is paused, by whomever.
        pause_managers: field managers that own the pause.
        held_by_us: our hold for this Rollout is in force, read back.
        keep_held: a hold is marked as one that outlives its Rollout.
        effect: how much our hold stops, or would stop.
        pinned_by: who declares ``paused: false`` and will write it again; None if nobody is known.
        advice: what people can do, in the words of this kind.
        person_holds: a person's hold by label, with its value; None without the label.
    """

    namespace: str
    ref: WorkloadRef
    uid: str
    phase: Phase
    unsupported_reason: str | None = None
    template: PodTemplate | None = None
    former_templates: tuple[PodTemplate, ...] = ()
    ever_complete: bool = False
    updated: int = 0
    total: int = 0
    paused: bool = False
    pause_managers: tuple[str, ...] = ()
    held_by_us: bool = False
    keep_held: bool = False
    effect: HoldEffect = HoldEffect.NONE
    pinned_by: str | None = None
    person_holds: str | None = None
    advice: Advice = Advice()

    @property
    def exists(self) -> bool:
        """Whether there is such a workload now."""
        return self.phase is not Phase.MISSING

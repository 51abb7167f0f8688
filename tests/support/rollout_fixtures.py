"""Rollouts, workloads and rounds of the gate machine, as a person would say them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from penstock.adapters.workloads.deployment import ADVICE
from penstock.domain.actions import HoldWorkload, ReleaseWorkload
from penstock.domain.decision import SloEvidence
from penstock.domain.gate import StepResult, hold_manager, step
from penstock.domain.policy import Policy
from penstock.domain.refs import ObjectRef, WorkloadRef
from penstock.domain.rollout import Enforcement, Mode, OnDelete, OnExternalResume, Rollout
from penstock.domain.rollout_state import RolloutState
from penstock.domain.template import PodTemplate, pod_template
from penstock.domain.workload import HoldEffect, Phase, WorkloadState
from support.decision_fixtures import NOW, slo, span

WORKLOAD = WorkloadRef("apps/v1", "Deployment", "checkout")
ROLLOUT = Rollout(
    ref=ObjectRef("shop", "checkout", "7f3c0e5a"),
    generation=3,
    labels={},
    workload=WORKLOAD,
    slos=("checkout",),
    selector=None,
    mode=Mode.ENFORCE,
    enforcement=Enforcement(),
    hold_reason=None,
    on_external_resume=OnExternalResume.RESPECT,
    on_delete=OnDelete.RELEASE,
    policy=Policy(),
)
MANAGER = hold_manager(ROLLOUT)


def version(number: int, source: str | None = None, **more: str) -> PodTemplate:
    """The template of one version, as its ReplicaSet carries it."""
    body = {"spec": {"containers": [{"name": "app", "image": f"checkout:{number}", **more}]}}
    return pod_template(body, f"checkout-{number}" if source is None else source)


def workload_state(
    present: PodTemplate | None = None, phase: Phase = Phase.COMPLETE, **facts: Any
) -> WorkloadState:
    """One look at the workload: version 1, complete, unless something else is said."""
    present = present or version(1)
    first = WorkloadState(
        namespace="shop",
        ref=WORKLOAD,
        uid="d1",
        phase=phase,
        template=present,
        former_templates=(present,),
        ever_complete=True,
        updated=3,
        total=3,
        effect=HoldEffect.PARTIAL,
        advice=ADVICE,
    )
    return replace(first, **facts)


MISSING = WorkloadState("shop", WORKLOAD, "", Phase.MISSING)


@dataclass
class GateStory:
    """Rounds of one gate, one after the other."""

    rollout: Rollout = ROLLOUT
    state: RolloutState = field(default_factory=RolloutState)
    seen: WorkloadState = field(default_factory=workload_state)
    slos: tuple[SloEvidence, ...] = field(default_factory=lambda: (slo(),))
    rival: str | None = None
    now: datetime = NOW
    last: StepResult | None = None

    def goes(self, after: str = "0s", **changes: Any) -> StepResult:
        """One round, so long after the last, with what has changed meanwhile."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.now += span(after)
        done = step(self.rollout, self.state, self.seen, self.slos, self.rival, self.now)
        self.state, self.last = done.state, done
        return done

    def acts(self, after: str = "0s", **changes: Any) -> list[type[HoldWorkload | ReleaseWorkload]]:
        """Rounds as the reconciler makes them: each action is done, and the workload observed."""
        done = []
        for _ in range(3):
            action = self.goes(after, **changes).workload_action
            after, changes = "0s", {}
            if action is None:
                break
            done.append(type(action))
            held = isinstance(action, HoldWorkload)
            self.seen = replace(self.seen, held_by_us=held, paused=held)
        return done

    def release(self, number: int = 2, **facts: Any) -> WorkloadState:
        """Version ``number`` begins to roll out."""
        present = version(number)
        facts = {"updated": 1, "phase": Phase.ROLLING} | facts
        former = tuple(
            template for template in self.seen.former_templates if template.hash != present.hash
        )
        self.seen = replace(
            self.seen, template=present, former_templates=(present, *former), **facts
        )
        return self.seen

    def completes(self) -> WorkloadState:
        """What is being released is whole."""
        self.seen = replace(self.seen, phase=Phase.COMPLETE, updated=self.seen.total)
        return self.seen

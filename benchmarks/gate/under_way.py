"""A release that is in progress for as long as anybody watches, and the gate that guards it.

Each round is the operator's own: what is seen and measured goes in, the next standing and one act
come out. The act is done at once, as by an API server that never fails.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime

from penstock.domain.actions import HoldWorkload
from penstock.domain.decision import SloEvidence
from penstock.domain.effective_policy import EffectivePolicy
from penstock.domain.evidence import Evidence
from penstock.domain.gate import step
from penstock.domain.policy import Policy
from penstock.domain.refs import ObjectRef, WorkloadRef
from penstock.domain.rollout import Enforcement, Mode, OnDelete, OnExternalResume, Rollout
from penstock.domain.rollout_state import RolloutState
from penstock.domain.template import PodTemplate, pod_template
from penstock.domain.verdict import Reason
from penstock.domain.workload import HoldEffect, Phase, WorkloadState

WORKLOAD = WorkloadRef("apps/v1", "Deployment", "shop")


def version(number: int) -> PodTemplate:
    """The template of one version."""
    body = {"spec": {"containers": [{"name": "app", "image": f"shop:{number}"}]}}
    return pod_template(body, f"shop-{number}")


FORMER, PRESENT = version(1), version(2)
ROLLOUT = Rollout(
    ref=ObjectRef("shop", "shop", "uid"),
    generation=1,
    labels={},
    workload=WORKLOAD,
    slos=("shop",),
    selector=None,
    mode=Mode.ENFORCE,
    enforcement=Enforcement(),
    hold_reason=None,
    on_external_resume=OnExternalResume.RESPECT,
    on_delete=OnDelete.RELEASE,
    policy=Policy(),
)
ROLLING = WorkloadState(
    namespace="shop",
    ref=WORKLOAD,
    uid="uid",
    phase=Phase.ROLLING,
    template=PRESENT,
    former_templates=(PRESENT, FORMER),
    ever_complete=True,
    updated=1,
    total=3,
    effect=HoldEffect.FULL,
)


class UnderWay:
    """One release, guarded by one SLO.

    Attributes:
        guard: the policy that applies, complete.
        held: whether our hold on it is in force.
        holds: how often it was held, by the reason when it was.
    """

    def __init__(self, guard: EffectivePolicy) -> None:
        self.guard, self.held = guard, False
        self.holds: Counter[Reason] = Counter()
        self._standing = RolloutState(complete=FORMER.hash)

    def look(self, evidence: Evidence, now: datetime) -> None:
        """One round."""
        slo = SloEvidence("shop", evidence, self.guard)
        workload = replace(ROLLING, held_by_us=self.held, paused=self.held)
        done = step(ROLLOUT, self._standing, workload, (slo,), None, now)
        self._standing = done.state
        holds = isinstance(done.workload_action, HoldWorkload)
        if holds and done.decisions and done.decisions.release:
            self.holds[done.decisions.release.reason] += 1
        if done.workload_action is not None:
            self.held = holds

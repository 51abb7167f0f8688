"""A workload that the double of ``Workloads`` plays: releases, ReplicaSets, and who pauses it.

A release takes ``pace`` seconds; with a pace of None its new pods never get ready, so that it stays
at about half. Paused, it does not move.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from penstock.adapters.workloads.deployment import ADVICE
from penstock.domain.refs import WorkloadRef
from penstock.domain.template import pod_template
from penstock.domain.workload import HoldEffect, Phase, WorkloadState

API_VERSION, KIND = "apps/v1", "Deployment"
PREFIX = "penstock-hold-"
PACE_SECONDS = 20.0


@dataclass
class ReplicaSet:
    """Pods of one template: how many are wanted, and whether they are available."""

    name: str
    template: dict[str, Any]
    revision: int
    wanted: int = 0
    available: int = 0


@dataclass
class Deployment:
    """One workload. ``pausers`` are the field managers that own the pause, each with its value."""

    namespace: str
    name: str
    uid: str
    template: dict[str, Any]
    replicas: int
    pace: float | None = PACE_SECONDS
    sets: list[ReplicaSet] = field(default_factory=list)
    pausers: dict[str, bool] = field(default_factory=dict)
    kept: bool = False
    person_label: str | None = None
    refusal: str | None = None
    pinned_by: str | None = None
    is_failed: bool = False
    version: int = 0
    on_change: Callable[[], None] = lambda: None

    @property
    def ref(self) -> WorkloadRef:
        return WorkloadRef(API_VERSION, KIND, self.name)

    @property
    def paused(self) -> bool:
        return any(self.pausers.values())

    @property
    def holders(self) -> tuple[str, ...]:
        """Field managers that own the pause."""
        return tuple(sorted(self.pausers))

    def changed(self) -> None:
        """What was read before is old from now on."""
        self.version += 1
        self.on_change()

    def begin(self) -> None:
        """It runs completely, as if it had for long."""
        self._roll(done=True)

    def first_release(self, pace: float | None) -> None:
        """Nothing ran before; paused it waits, without a ReplicaSet."""
        self.pace = pace
        if self.paused:
            return
        self.sets = [ReplicaSet(f"{self.name}-1", self.template, 0, self.replicas, 0)]
        if pace is not None:
            asyncio.get_running_loop().call_later(pace, self._finish, self.sets[0])

    def change(self, body: dict[str, Any], pace: float | None = PACE_SECONDS) -> None:
        """An author writes another template."""
        self.template, self.pace = body, pace
        self._roll()
        self.changed()

    def release_again(self, tag: str) -> None:
        """Another image, whose pods never get ready."""
        self.change(image(tag, self.name), None)

    def scale(self, replicas: int) -> None:
        """An author wants another number of pods; they are there at once."""
        self.replicas = replicas
        for one in self.sets:
            if one.wanted:
                one.wanted = one.available = replicas
        self.changed()

    def pause(self, manager: str) -> None:
        """Somebody pauses it."""
        self.pausers[manager] = True
        self.changed()

    def resume(self) -> None:
        """A person takes the pause away, whoever made it."""
        self.pausers.clear()
        self._roll()
        self.changed()

    def set_label(self, value: str | None) -> None:
        """A person's hold by label."""
        self.person_label = value
        self.changed()

    def hold(self, manager: str, *, keep: bool) -> tuple[str, ...]:
        """Add a manager's pause, unless others declare the opposite: their names."""
        others = tuple(sorted(one for one, value in self.pausers.items() if not value))
        if others:
            return others
        if self.pausers.get(manager) is not True or self.kept is not keep:
            self.pausers[manager], self.kept = True, keep
            self.changed()
        return ()

    def release(self, manager: str) -> None:
        """Take one manager's pause away, and nothing else."""
        if self.pausers.pop(manager, None) is None:
            return
        self.kept = False
        self._roll()
        self.changed()

    def observed(self, manager: str) -> WorkloadState:
        """What one look shows."""
        ran = tuple(pod_template(one.template, one.name) for one in self._newest_first())
        present = pod_template(self.template)
        new = self._new()
        others = [one for one in self.sets if one is not new]
        return WorkloadState(
            namespace=self.namespace,
            ref=self.ref,
            uid=self.uid,
            phase=self._phase(new, others),
            unsupported_reason=self._refused(),
            template=next((one for one in ran if one.hash == present.hash), present),
            former_templates=ran,
            ever_complete=self._ever_complete(new, others),
            updated=new.wanted if new else 0,
            total=self.replicas,
            paused=self.paused,
            pause_managers=self.holders,
            held_by_us=manager in self.holders,
            keep_held=self.kept,
            effect=self._effect(new, others),
            pinned_by=self.pinned_by or self._declared_unpaused(),
            person_holds=self.person_label,
            advice=ADVICE,
        )

    def _declared_unpaused(self) -> str | None:
        return ", ".join(self.holders) if self.holders and not self.paused else None

    def _refused(self) -> str | None:
        nothing_ran = (
            None if self.sets else "has no ReplicaSet yet, and its first release is never held"
        )
        return self.refusal or nothing_ran

    def _newest_first(self) -> list[ReplicaSet]:
        return sorted(self.sets, key=lambda one: -one.revision)

    def _new(self) -> ReplicaSet | None:
        wanted = pod_template(self.template).hash
        return next((one for one in self.sets if pod_template(one.template).hash == wanted), None)

    def _phase(self, new: ReplicaSet | None, others: list[ReplicaSet]) -> Phase:
        if new is None:
            return Phase.PENDING if self.paused else Phase.ROLLING
        if any(one.wanted for one in others):
            return Phase.FAILED if self.is_failed else Phase.ROLLING
        whole = new.wanted == new.available == self.replicas
        return Phase.COMPLETE if whole else Phase.SCALING

    def _ever_complete(self, new: ReplicaSet | None, others: list[ReplicaSet]) -> bool:
        whole = new is not None and new.available >= self.replicas > 0
        return whole or bool(others)

    def _effect(self, new: ReplicaSet | None, others: list[ReplicaSet]) -> HoldEffect:
        if new is None or new.wanted == 0:
            return HoldEffect.FULL if others else HoldEffect.NONE
        return HoldEffect.NONE if new.wanted >= self.replicas else HoldEffect.PARTIAL

    def _roll(self, *, done: bool = False) -> None:
        if self.paused:
            return
        revision = max((one.revision for one in self.sets), default=0) + 1
        new = self._new()
        if new is None:
            new = ReplicaSet(f"{self.name}-{revision}", self.template, revision)
            self.sets.append(new)
        new.revision = revision
        others = [one for one in self.sets if one is not new and one.wanted]
        if done or not others:
            self._complete(new)
            return
        new.wanted = max(1, self.replicas // 2)
        for one in others:
            one.wanted = one.available = max(1, self.replicas * 8 // 10)
        if self.pace is not None:
            asyncio.get_running_loop().call_later(self.pace, self._finish, new)

    def _finish(self, new: ReplicaSet) -> None:
        if not self.paused and self._new() is new:
            self._complete(new)
            self.changed()

    def _complete(self, new: ReplicaSet) -> None:
        for one in self.sets:
            one.wanted = one.available = self.replicas if one is new else 0


def image(tag: str, name: str = "web") -> dict[str, Any]:
    """The template of one version."""
    return {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": name, "image": f"example.com/{name}:{tag}"}]},
    }

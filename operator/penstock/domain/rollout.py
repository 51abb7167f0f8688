"""A Rollout as its author wrote it, parsed: what is guarded, and by which SLOs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from penstock.domain.policy import Policy
from penstock.domain.refs import ObjectRef, WorkloadRef


class Mode(StrEnum):
    """Whether decisions act, are only reported, or are not made."""

    ENFORCE = "Enforce"
    AUDIT = "Audit"
    OFF = "Off"


class Admission(StrEnum):
    """What the API server does with a new template while the gate is closed."""

    DENY = "Deny"
    WARN = "Warn"
    OFF = "Off"


class InFlight(StrEnum):
    """What happens to a release that is in progress when the gate closes."""

    HOLD = "Hold"
    OFF = "Off"


class OnExternalResume(StrEnum):
    """What happens when a person resumes a workload that we hold."""

    RESPECT = "Respect"
    ENFORCE = "Enforce"


class OnDelete(StrEnum):
    """What happens to a hold when its Rollout is deleted."""

    RELEASE = "Release"
    KEEP_HELD = "KeepHeld"


class Operator(StrEnum):
    """How a selector's expression compares a label, in the words of Kubernetes."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class LabelExpression:
    """One requirement of a label selector."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels meets it; NotIn is met by an absent label."""
        match self.operator:
            case Operator.IN:
                return labels.get(self.key) in self.values
            case Operator.NOT_IN:
                return self.key not in labels or labels[self.key] not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.DOES_NOT_EXIST:
                return self.key not in labels


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Chooses SLOs of the Rollout's own namespace; never empty, so never all by accident."""

    labels: tuple[tuple[str, str], ...] = ()
    expressions: tuple[LabelExpression, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is chosen: all requirements together."""
        return all(labels.get(key) == value for key, value in self.labels) and all(
            expression.matches(labels) for expression in self.expressions
        )


@dataclass(frozen=True, slots=True)
class Enforcement:
    """How a closed gate is enforced: at admission, in flight, or both."""

    admission: Admission = Admission.DENY
    in_flight: InFlight = InFlight.HOLD


@dataclass(frozen=True, slots=True)
class Rollout:
    """A Rollout; ``hold_reason`` is a person's own hold, None when there is none."""

    ref: ObjectRef
    generation: int
    labels: Mapping[str, str]
    workload: WorkloadRef
    slos: tuple[str, ...]
    selector: LabelSelector | None
    mode: Mode
    enforcement: Enforcement
    hold_reason: str | None
    on_external_resume: OnExternalResume
    on_delete: OnDelete
    policy: Policy

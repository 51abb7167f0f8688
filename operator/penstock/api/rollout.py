"""The kind Rollout: the workload to guard, the SLOs that guard it, and how strictly."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from penstock.api.base import Checked, Choice, KubeModel, Rule
from penstock.api.common import ATOMIC
from penstock.api.field_types import (
    LABEL_KEY_PATTERN,
    LABEL_VALUE_PATTERN,
    Text,
    free_text,
    matches,
    name,
)
from penstock.api.policy import PolicySpec
from penstock.api.rollout_status import RolloutStatus
from penstock.domain.rollout import (
    Admission,
    InFlight,
    Mode,
    OnDelete,
    OnExternalResume,
    Operator,
)

MAX_SLOS = 32

MAX_LABEL_KEY = 317  # a prefix of 253, a slash, a name of 63
IS_LABEL_KEY = matches(
    LABEL_KEY_PATTERN, "matchExpressions.key: write a label key, such as app.kubernetes.io/name"
)


def _label_value(field: str) -> Text:
    return Text(
        (
            matches(
                LABEL_VALUE_PATTERN,
                f"{field}: write a label value: letters, digits, -, _ and ., with a letter or "
                "digit at both ends",
            ),
        ),
        63,
    )


class WorkloadRefSpec(KubeModel):
    """The workload to guard, in the Rollout's namespace."""

    api_version: Annotated[
        str,
        Text(
            (
                matches(
                    r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?v[0-9]{1,3}((alpha|beta)[0-9]{1,3})?",
                    "workloadRef.apiVersion: write group and version, such as apps/v1",
                ),
            ),
            128,
        ),
    ]
    """Group and version of the workload. Example: apps/v1"""
    kind: Annotated[
        str,
        Text(
            (
                matches(
                    "[A-Z][A-Za-z0-9]*",
                    "workloadRef.kind: write the kind in CamelCase, such as Deployment",
                ),
            ),
            63,
        ),
    ]
    """Kind of the workload. Example: Deployment"""
    name: Annotated[str, name("workloadRef.name", "the workload")]
    """Name of the workload, which may be created later. Example: checkout"""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self == oldSelf",
            message="workloadRef: cannot be changed; create a Rollout for the other workload and "
            "delete this one",
            holds=None,
        ),
    )


class SLORefSpec(KubeModel):
    """An SLO in the Rollout's namespace."""

    name: Annotated[str, name("slos.name", "an SLO")]
    """Name of the SLO. Example: checkout-availability"""


class LabelExpressionSpec(KubeModel):
    """One label requirement, as in a Kubernetes label selector."""

    key: Annotated[str, Text((IS_LABEL_KEY,), MAX_LABEL_KEY)]
    """Label key. Example: service"""
    operator: Choice[Operator]
    """Operator: In, NotIn, Exists or DoesNotExist."""
    values: list[Annotated[str, _label_value("matchExpressions.values")]] | None = Field(
        default=None, max_length=16, json_schema_extra=ATOMIC
    )
    """Values for In and NotIn; leave out for the others. Example: [gold, silver]"""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(has(self.values) && size(self.values) > 0) == (self.operator in ['In', 'NotIn'])",
            message="matchExpressions: give values with In and NotIn, and only there",
            holds=lambda it: bool(it.values) == (it.operator in (Operator.IN, Operator.NOT_IN)),
        ),
    )


def _without_nulls(labels: Any) -> Any:
    if not isinstance(labels, dict):
        return labels
    return {key: value for key, value in labels.items() if value is not None}


def _are_label_keys(labels: dict[str, str]) -> bool:
    form = re.compile(LABEL_KEY_PATTERN, re.ASCII)
    return all(len(key) <= MAX_LABEL_KEY and form.fullmatch(key) for key in labels)


LABELS = Checked(
    (
        Rule(
            cel=f"self.all(key, size(key) <= {MAX_LABEL_KEY} && "
            f"{IS_LABEL_KEY.cel.replace('self', 'key', 1)})",
            message="matchLabels: write label keys, such as app.kubernetes.io/name",
            holds=_are_label_keys,
        ),
    )
)


class SLOSelectorSpec(KubeModel):
    """Selects SLOs of the Rollout's namespace by label; all requirements must match."""

    match_labels: (
        Annotated[
            dict[str, Annotated[str, _label_value("matchLabels")]],
            Field(max_length=16),
            BeforeValidator(_without_nulls),
            LABELS,
        ]
        | None
    ) = None
    """Labels that an SLO must have. Example: {service: checkout}"""
    match_expressions: list[LabelExpressionSpec] | None = Field(
        default=None, max_length=16, json_schema_extra=ATOMIC
    )
    """Additional requirements. Example: [{key: tier, operator: In, values: [gold]}]"""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(has(self.matchLabels) && size(self.matchLabels) > 0) || "
            "(has(self.matchExpressions) && size(self.matchExpressions) > 0)",
            message="sloSelector: give at least one label; an empty selector would match every "
            "SLO of the namespace",
            holds=lambda it: bool(it.match_labels or it.match_expressions),
        ),
    )


class EnforcementSpec(KubeModel):
    """How a closed gate is enforced: at admission, in flight, or both."""

    admission: Choice[Admission] = Admission.DENY
    """What the API server does with a new release while the gate is closed: Deny (default), Warn or
    "Off" (quoted, because YAML reads a bare Off as false)."""
    in_flight: Choice[InFlight] = InFlight.HOLD
    """What Penstock does with a release in progress when the gate closes: Hold (default) or "Off"
    (quoted, because YAML reads a bare Off as false)."""


class HoldSpec(KubeModel):
    """A person's hold; the gate stays closed as long as it is set."""

    reason: Annotated[str, free_text(1_024)]
    """Reason, shown to those who find the gate closed. Example: database migration"""


def _names_slos(spec: RolloutSpec) -> bool:
    return bool(spec.slos) or spec.slo_selector is not None


def _names_each_once(slos: list[SLORefSpec]) -> bool:
    return len({slo.name for slo in slos}) == len(slos)


SLO_LIST = Checked(
    (
        Rule(
            cel="self.all(one, self.exists_one(other, other.name == one.name))",
            message="slos: name each SLO once",
            holds=_names_each_once,
        ),
    )
)


class RolloutSpec(KubeModel):
    """The workload to guard, the SLOs that guard it, and how strictly."""

    workload_ref: WorkloadRefSpec
    """The workload to guard; immutable. At most one Rollout per workload.
    Example: {apiVersion: apps/v1, kind: Deployment, name: checkout}"""
    slos: Annotated[list[SLORefSpec], Field(max_length=MAX_SLOS), SLO_LIST] | None = Field(
        default=None, json_schema_extra=ATOMIC
    )
    """SLOs by name, at most 32; the worst one decides. Set slos, sloSelector or both.
    Example: [{name: checkout-availability}]"""
    slo_selector: SLOSelectorSpec | None = None
    """SLOs by label, in addition to slos. Example: {matchLabels: {service: checkout}}"""
    mode: Choice[Mode] = Mode.ENFORCE
    """Enforce (default) acts on decisions; Audit only reports them; "Off" (quoted, because YAML
    reads a bare Off as false) decides nothing."""
    enforcement: EnforcementSpec = EnforcementSpec()
    """How a closed gate is enforced: at admission, in flight, or both.
    Default: {admission: Deny, inFlight: Hold}"""
    hold: HoldSpec | None = None
    """A person's hold; remove it to reopen the gate. Example: {reason: database migration}"""
    on_external_resume: Choice[OnExternalResume] = OnExternalResume.RESPECT
    """What to do when a person resumes a held workload: Respect (default) lets this release
    continue; Enforce holds it again."""
    on_delete: Choice[OnDelete] = OnDelete.RELEASE
    """What to do with a hold when this Rollout is deleted: Release (default) or KeepHeld."""
    policy: PolicySpec | None = None
    """Thresholds. Every field is optional; status.effectivePolicy shows the effective values."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(has(self.slos) && size(self.slos) > 0) || has(self.sloSelector)",
            message="slos: name at least one SLO in slos, or select some with sloSelector",
            holds=_names_slos,
        ),
    )


class Rollout(KubeModel):
    """Guards the releases of one workload: while its SLOs have error budget left, releases may
    proceed; once it is spent, new releases are refused and the one in progress is held.
    """

    spec: RolloutSpec
    """The workload to guard, the SLOs that guard it, and how strictly."""
    status: RolloutStatus | None = None
    """State of the gate and the reasons for it; written by Penstock only."""

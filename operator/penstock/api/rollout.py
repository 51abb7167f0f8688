"""The kind Rollout: what is guarded, by which promises, and how strictly."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from penstock.api.base import Checked, Choice, KubeModel, Rule
from penstock.api.common import ATOMIC
from penstock.api.policy import PolicySpec
from penstock.api.rollout_status import RolloutStatus
from penstock.api.text import (
    LABEL_KEY_PATTERN,
    LABEL_VALUE_PATTERN,
    Text,
    free_text,
    matches,
    name,
)
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
    LABEL_KEY_PATTERN, "matchExpressions.key: write a label's name, such as app.kubernetes.io/name"
)


def _label_value(field: str) -> Text:
    return Text(
        (
            matches(
                LABEL_VALUE_PATTERN,
                f"{field}: write a label's value: letters, digits, -, _ and ., with a letter or "
                "digit at both ends",
            ),
        ),
        63,
    )


class WorkloadRefSpec(KubeModel):
    """The workload whose releases are guarded, in the Rollout's own namespace."""

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
    """Name of the workload. It may be created later. Example: checkout"""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self == oldSelf",
            message="workloadRef: cannot be changed; create a Rollout for the other workload and "
            "delete this one",
            holds=None,
        ),
    )


class SLORefSpec(KubeModel):
    """One SLO of the Rollout's own namespace."""

    name: Annotated[str, name("slos.name", "an SLO")]
    """Name of the SLO. Example: checkout-availability"""


class LabelExpressionSpec(KubeModel):
    """One requirement on labels, in the words of Kubernetes."""

    key: Annotated[str, Text((IS_LABEL_KEY,), MAX_LABEL_KEY)]
    """The label's name. Example: service"""
    operator: Choice[Operator]
    """In, NotIn, Exists or DoesNotExist."""
    values: list[Annotated[str, _label_value("matchExpressions.values")]] | None = Field(
        default=None, max_length=16, json_schema_extra=ATOMIC
    )
    """Values for In and NotIn; none for the others. Example: [gold, silver]"""

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
            message="matchLabels: write labels' names as keys, such as app.kubernetes.io/name",
            holds=_are_label_keys,
        ),
    )
)


class SLOSelectorSpec(KubeModel):
    """Chooses SLOs of the Rollout's own namespace by their labels; all requirements together."""

    match_labels: (
        Annotated[
            dict[str, Annotated[str, _label_value("matchLabels")]],
            Field(max_length=16),
            BeforeValidator(_without_nulls),
            LABELS,
        ]
        | None
    ) = None
    """Labels that an SLO must carry. Example: {service: checkout}"""
    match_expressions: list[LabelExpressionSpec] | None = Field(
        default=None, max_length=16, json_schema_extra=ATOMIC
    )
    """Further requirements. Example: [{key: tier, operator: In, values: [gold]}]"""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(has(self.matchLabels) && size(self.matchLabels) > 0) || "
            "(has(self.matchExpressions) && size(self.matchExpressions) > 0)",
            message="sloSelector: give at least one label; an empty selector would choose every "
            "SLO of the namespace",
            holds=lambda it: bool(it.match_labels or it.match_expressions),
        ),
    )


class EnforcementSpec(KubeModel):
    """By which of its two lines a closed gate acts."""

    admission: Choice[Admission] = Admission.DENY
    """What the API server does with a new template while the gate is closed: Deny (default), Warn
    or "Off" (in quotes: YAML reads a bare Off as false)."""
    in_flight: Choice[InFlight] = InFlight.HOLD
    """What happens to a release that is under way when the gate closes: Hold (default) or "Off" (in
    quotes: YAML reads a bare Off as false)."""


class HoldSpec(KubeModel):
    """A person's own hold; the gate stays closed while it is here."""

    reason: Annotated[str, free_text(1_024)]
    """Why, for those who find the gate closed. Example: database migration"""


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
    """What is guarded, by which promises, and how strictly."""

    workload_ref: WorkloadRefSpec
    """The workload whose releases are guarded; cannot be changed. One Rollout for each workload.
    Example: {apiVersion: apps/v1, kind: Deployment, name: checkout}"""
    slos: Annotated[list[SLORefSpec], Field(max_length=MAX_SLOS), SLO_LIST] | None = Field(
        default=None, json_schema_extra=ATOMIC
    )
    """SLOs by name, at most 32; the worst one decides. At least one of slos and sloSelector.
    Example: [{name: checkout-availability}]"""
    slo_selector: SLOSelectorSpec | None = None
    """SLOs by label; those by name count too. Example: {matchLabels: {service: checkout}}"""
    mode: Choice[Mode] = Mode.ENFORCE
    """Enforce (default): act. Audit: decide and tell, hold nothing. "Off" (in quotes: YAML reads a
    bare Off as false): neither."""
    enforcement: EnforcementSpec = EnforcementSpec()
    """By which of its two lines a closed gate acts. Default: {admission: Deny, inFlight: Hold}"""
    hold: HoldSpec | None = None
    """A person's own hold; remove it to end it. Example: {reason: database migration}"""
    on_external_resume: Choice[OnExternalResume] = OnExternalResume.RESPECT
    """When a person resumes what Penstock holds: Respect (default) lets this release go on and
    tells who; Enforce holds again."""
    on_delete: Choice[OnDelete] = OnDelete.RELEASE
    """When this Rollout is deleted while it holds: Release (default) or KeepHeld."""
    policy: PolicySpec | None = None
    """Thresholds. Every field is optional; status.effectivePolicy shows what applies."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(has(self.slos) && size(self.slos) > 0) || has(self.sloSelector)",
            message="slos: name at least one SLO in slos or choose some with sloSelector",
            holds=_names_slos,
        ),
    )


class Rollout(KubeModel):
    """Guards the releases of one workload: while the SLOs it names have error budget left a
    release may proceed; while they have not, new ones are refused and the one under way is held.
    """

    spec: RolloutSpec
    """What is guarded, by which promises, and how strictly."""
    status: RolloutStatus | None = None
    """Where the gate stands and why; written by Penstock alone."""

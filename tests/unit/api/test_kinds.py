"""Each kind is one row: what the rows must have so that nothing is left to a default."""

from __future__ import annotations

import pytest

from penstock.api.decode import decode_object
from penstock.api.kinds import API_VERSION, KIND_BY_PLURAL, KINDS, KindSpec
from penstock.domain.cached_object import Resource
from penstock.domain.refs import ApiResource
from penstock.domain.rollout_state import RolloutState

WRITTEN_BY_PEOPLE = {"slos", "rollouts", "metricssources", "clustermetricssources"}


def test_the_kinds_that_people_write_have_a_parser_and_others_have_none() -> None:
    assert {kind.plural for kind in KINDS if kind.parse is not None} == WRITTEN_BY_PEOPLE
    assert {resource.value for resource in Resource} == WRITTEN_BY_PEOPLE


def test_the_companion_of_a_kind_is_a_kind() -> None:
    assert {kind.companion for kind in KINDS} == {"", "gaterecords"}
    assert KIND_BY_PLURAL["gaterecords"].kind == "GateRecord"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_kind_is_served_under_its_plural_in_its_scope(kind: KindSpec) -> None:
    resource = kind.resource
    assert resource.api_version == API_VERSION
    assert resource.namespaced is (kind.kind != "ClusterMetricsSource")
    assert not resource.is_built_in
    assert resource.is_kind_of(resource.named("web"))


def test_a_kind_of_kubernetes_itself_is_reported_from_one_that_is_installed() -> None:
    assert ApiResource("", "v1", "Pod", "pods").is_built_in
    assert ApiResource("", "v1", "Pod", "pods").api_version == "v1"
    assert ApiResource("apps", "v1", "Deployment", "deployments").is_built_in
    assert ApiResource("policy.k8s.io", "v1", "Thing", "things").is_built_in
    assert not ApiResource("argoproj.io", "v1alpha1", "Rollout", "rollouts").is_built_in


def test_an_object_that_cannot_be_parsed_keeps_what_its_status_remembers() -> None:
    body = {
        "metadata": {"name": "web", "namespace": "shop", "uid": "u1", "generation": 3},
        "spec": {},
        "status": {"observedGeneration": 2},
    }
    found = decode_object(KIND_BY_PLURAL["rollouts"], body)
    assert "spec.workloadRef" in str(found.spec)
    assert isinstance(found.rollout_state, RolloutState)
    assert (found.generation, found.slo_or_source_status) == (3, None)


def test_a_kind_that_nobody_but_penstock_writes_is_not_decoded() -> None:
    with pytest.raises(TypeError, match="GateRecord is not a kind that people write"):
        decode_object(KIND_BY_PLURAL["gaterecords"], {"metadata": {"name": "web"}})

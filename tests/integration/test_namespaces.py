"""An operator of some namespaces only, with rights in no other."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.admission_fixture import APPLY
from support.deployed import shipped_rules_of_all_namespaces
from support.operator_process import Operator, wait_for
from support.story import API_VERSION, NAME, Story, played
from support.traffic import Traffic
from testbed import identities
from testbed.bed import Bed
from testbed.identities import ServiceAccount

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.xdist_group("cluster-sources")]

CLUSTER_SOURCES = f"/apis/{API_VERSION}/clustermetricssources"
ON_CLUSTER_SOURCES: list[dict[str, Any]] = [
    {
        "apiGroups": ["penstock.dev"],
        "resources": ["clustermetricssources", "clustermetricssources/status"],
        "verbs": ["get", "list", "watch", "patch"],
    }
]
HELD_FOR_NOBODY = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "orphan", "labels": {"penstock.dev/held": "true"}},
    "spec": {"paused": True},
}


@pytest.fixture
def namespaces(bed: Bed, namespace: str) -> Iterator[tuple[str, str, str]]:
    """Two to be watched, and one of somebody else."""
    more = [f"{prefix}-{secrets.token_hex(4)}" for prefix in ("second", "foreign")]
    for name in more:
        bed.kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield namespace, more[0], more[1]
    for name in more:
        bed.kube.call("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def account(bed: Bed, namespaces: tuple[str, str, str]) -> ServiceAccount:
    """The shipped rights, in the first two namespaces and nowhere else."""
    found = identities.service_account(bed.kube, namespaces[0], "penstock")
    for namespace in namespaces[:2]:
        identities.grant(bed.kube, found, shipped_rules_of_all_namespaces(), namespace)
    return found


@pytest.fixture
def operator(
    policies: Bed, namespaces: tuple[str, str, str], account: ServiceAccount, tmp_path: Path
) -> Iterator[Operator]:
    bearer = identities.token(policies.kube, account)
    kubeconfig = identities.token_kubeconfig(
        tmp_path / "kubeconfig", policies.server, policies.ca_file, bearer
    )
    with Operator(
        policies,
        tmp_path / "penstock.log",
        kubeconfig=kubeconfig,
        namespaces=",".join(namespaces[:2]),
        resync_interval="5",
    ) as running:
        yield running


@pytest.fixture
def stories(
    bed: Bed, namespaces: tuple[str, str, str], operator: Operator, traffic: Traffic
) -> tuple[Story, Story]:
    first, second = (Story(bed, one, operator, traffic) for one in namespaces[:2])
    return first, second


def test_each_of_its_namespaces_is_guarded_and_no_other_is_touched(
    stories: tuple[Story, Story], namespaces: tuple[str, str, str], bed: Bed, traffic: Traffic
) -> None:
    foreign = Story(bed, namespaces[2], stories[0].operator, traffic)
    for story in (*stories, foreign):
        story.source()
        story.slo()
        story.deploy(played(replicas=4))
        story.rollout()
        story.deploy(played("orphan", replicas=1))
        path = f"{story.path('deployments')}/orphan?fieldManager=penstock-hold-of-nobody"
        story.kube.call("PATCH", path, HELD_FOR_NOBODY, content_type=APPLY)
    for story in stories:
        story.wait_gate("Open", "BudgetHealthy")
        story.change(ready_after="never")
        wait_for("both versions run", story.replicas, lambda it: set(it) == {"1", "2"})
        story.hold()
        story.wait_held()
        wait_for("the hold for nobody ends", lambda story=story: not story.pausers("orphan"))

    assert foreign.status() == {}
    assert foreign.read("slos").get("status") is None
    assert foreign.read("gaterecords") == {}
    assert foreign.pausers("orphan") == ["penstock-hold-of-nobody"]
    log = stories[0].operator.log.read_text()
    assert log.count("not using ClusterMetricsSources, they cannot be listed") == 1
    assert "the feed ended" not in log


def test_a_source_of_the_cluster_serves_its_namespaces_once_that_right_is_granted(
    stories: tuple[Story, Story], bed: Bed, account: ServiceAccount
) -> None:
    name = f"everywhere-{secrets.token_hex(4)}"
    body = {
        "apiVersion": API_VERSION,
        "kind": "ClusterMetricsSource",
        "metadata": {"name": name},
        "spec": {"url": bed.prometheus_url},
    }
    bed.kube.call("POST", CLUSTER_SOURCES, body)
    try:
        for story in stories:
            story.slo(sourceRef={"kind": "ClusterMetricsSource", "name": name})
            story.wait_condition("Ready", "False", "SourceNotFound", NAME, "slos")

        identities.grant_everywhere(bed.kube, account, ON_CLUSTER_SOURCES)

        for story in stories:
            story.wait_measured()
    finally:
        bed.kube.call("DELETE", f"{CLUSTER_SOURCES}/{name}")

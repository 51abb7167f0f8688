"""At rest the operator writes nothing but what says that it is there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.operator_process import Operator, wait_for
from support.story import Story, played
from support.traffic import BROKEN, Traffic
from testbed import audit
from testbed.bed import Bed
from testbed.identities import ServiceAccount, bind, service_account, token, token_kubeconfig

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.xdist_group("cluster-sources")]

REST_SECONDS = 20.0
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


@pytest.fixture
def account(policies: Bed, namespace: str) -> ServiceAccount:
    """The audit log tells service accounts from one another."""
    found = service_account(policies.kube, namespace, "penstock")
    bind(policies.kube, found, "cluster-admin")
    return found


@pytest.fixture
def own(
    policies: Bed, namespace: str, account: ServiceAccount, tmp_path: Path
) -> Iterator[Operator]:
    """An operator that evaluates what is shut each second, and holds a Lease."""
    bearer = token(policies.kube, account)
    kubeconfig = token_kubeconfig(
        tmp_path / "kubeconfig", policies.server, policies.ca_file, bearer, namespace=namespace
    )
    with Operator(
        policies,
        tmp_path / "penstock.log",
        kubeconfig=kubeconfig,
        namespace=namespace,
        lease_namespace=namespace,
    ) as operator:
        yield operator


@pytest.fixture
def story(bed: Bed, namespace: str, own: Operator, traffic: Traffic) -> Story:
    return Story(bed, namespace, own, traffic)


@pytest.fixture
def at_rest(story: Story, account: ServiceAccount) -> Story:
    """An open gate and a shut one, of which nothing more is written."""
    story.source()
    for name in ("open", "shut"):
        story.deploy(played(name, replicas=2))
        story.slo(name)
    story.slo("shut", service=BROKEN)
    story.rollout("open", workload="open", slos=("open",))
    story.rollout("shut", workload="shut", slos=("shut",))
    story.wait_gate("Open", "BudgetHealthy", name="open")
    story.wait_gate("Closed", name="shut")
    wait_for("it has come to rest", lambda: writes(story, account, seconds=8), lambda it: not it)
    return story


def test_at_rest_nothing_is_written_but_the_lease_nor_after_a_restart(
    at_rest: Story, account: ServiceAccount
) -> None:
    begin, evaluated = datetime.now(UTC), evaluations(at_rest.operator)
    time.sleep(REST_SECONDS)

    assert evaluations(at_rest.operator) > evaluated + REST_SECONDS / 2
    written = written_since(begin, at_rest, account)
    assert {obj.resource for obj in written} == {"leases"}

    begin = datetime.now(UTC)
    at_rest.operator.stop()
    at_rest.operator.start()
    wait_for("it has evaluated", lambda: evaluations(at_rest.operator), lambda it: it > 10)

    written = written_since(begin, at_rest, account)
    assert {(obj.resource, obj.subresource) for obj in written} <= {
        ("leases", ""),
        ("gaterecords", ""),
    }


def writes(story: Story, account: ServiceAccount, seconds: float) -> list[str]:
    """What was written in so many seconds, but for the Lease."""
    begin = datetime.now(UTC)
    time.sleep(seconds)
    written = written_since(begin, story, account)
    return [obj.describe() for obj in written if obj.resource != "leases"]


def written_since(begin: datetime, story: Story, account: ServiceAccount) -> list[audit.AuditEntry]:
    objects = audit.of_user(audit.read(story.bed.audit_log, account.user), account.user)
    return [obj for obj in objects if obj.at > begin and obj.verb in WRITES]


def evaluations(operator: Operator) -> float:
    """How many answers of Prometheus it has judged."""
    lines = operator.metrics().splitlines()
    told = [line for line in lines if line.startswith("penstock_evidence_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in told)

"""The operator of the first wave is replaced by this one while it holds a release."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock.adapters.custom_resources import MANAGER
from support.admission_fixture import APPLY
from support.first_wave import LEDGER, later, left, moment, with_uids
from support.operator_process import Operator, wait_for
from support.story import API_VERSION, NAME, Object, Story, played
from support.traffic import Traffic
from testbed import identities
from testbed.bed import Bed
from testbed.proxy import FaultProxy, before_api_server

pytestmark = [pytest.mark.servers, pytest.mark.slow]

# Of the calm that ends the hold, ten minutes were asked for: so much is over when this begins.
CALM = timedelta(minutes=1)


@pytest.fixture
def proxy(bed: Bed) -> Iterator[FaultProxy]:
    """Records what the operator writes."""
    with before_api_server(bed.server, bed.pki) as running:
        yield running


@pytest.fixture
def own(policies: Bed, namespace: str, proxy: FaultProxy, tmp_path: Path) -> Iterator[Operator]:
    """The present operator, which has not begun."""
    account = identities.service_account(policies.kube, namespace, "penstock")
    identities.bind(policies.kube, account, "cluster-admin")
    path = identities.token_kubeconfig(
        tmp_path / "kubeconfig",
        proxy.url,
        policies.ca_file,
        identities.token(policies.kube, account),
        namespace=namespace,
    )
    found = Operator(
        policies,
        tmp_path / "penstock.log",
        kubeconfig=path,
        namespaces=namespace,
        lease_namespace=namespace,
        identity="new",
    )
    yield found
    if found.is_running:
        found.stop()


@pytest.fixture
def story(bed: Bed, namespace: str, own: Operator, traffic: Traffic) -> Story:
    """What the former operator left, in this namespace."""
    found = Story(bed, namespace, own, traffic)
    found.source()
    found.slo()
    found.deploy(played(replicas=10))
    found.change(ready_after="never")
    found.wait_replicas(v1=8, v2=5)
    found.apply("Rollout", NAME, left("rollouts")["spec"])
    write_what_was_left(found)
    return found


def write_what_was_left(story: Story) -> None:
    """Status, record, hold and snapshot, by the managers that wrote them."""
    rollout = left("rollouts")
    kept = left("deployments"), rollout
    uids = {
        former["metadata"]["uid"]: story.read(plural)["metadata"]["uid"]
        for plural, former in zip(("deployments", "rollouts"), kept, strict=True)
    }
    calm = moment(rollout["status"]["memory"]["calmSince"])
    by = datetime.now(UTC).replace(microsecond=0) - CALM - calm

    def here(body: Any) -> Any:
        return later(with_uids(body, uids), by)

    status = here(rollout["status"])
    status["observedGeneration"] = story.read("rollouts")["metadata"]["generation"]
    applied(story, "rollouts", {"kind": "Rollout", "status": status}, "/status")
    record = here(left("gaterecords"))
    labels, owners = record["metadata"].get("labels"), record["metadata"]["ownerReferences"]
    metadata = {"labels": labels, "ownerReferences": owners}
    body = {"kind": "GateRecord", "metadata": metadata, "data": record["data"]}
    applied(story, "gaterecords", body)
    former = left("deployments")
    (manager,) = [
        one["manager"]
        for one in former["metadata"]["managedFields"]
        if one["manager"].startswith("penstock-hold-")
    ]
    hold = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "labels": {"penstock.dev/held": "true"}},
        "spec": {"paused": True},
    }
    story.apply_as(here(manager), hold)
    ledger = left("configmaps", LEDGER)
    story.kube.call(
        "POST",
        f"/api/v1/namespaces/{story.namespace}/configmaps",
        {
            "metadata": {"name": LEDGER, "labels": ledger["metadata"]["labels"]},
            "binaryData": ledger["binaryData"],
        },
    )


def applied(story: Story, plural: str, body: Object, subresource: str = "") -> None:
    path = f"{story.path(plural)}/{NAME}{subresource}?fieldManager={MANAGER}&force=true"
    metadata = {"name": NAME, "namespace": story.namespace, **body.get("metadata", {})}
    whole = {"apiVersion": API_VERSION, **body, "metadata": metadata}
    story.kube.call("PATCH", path, whole, content_type=APPLY)


def test_the_hold_of_the_former_version_stays_with_all_that_it_remembered(
    story: Story, proxy: FaultProxy
) -> None:
    before = story.status()
    assert before["hold"]["active"] is True
    held_by = [one for one in story.pausers() if one.startswith("penstock-hold-")]

    story.operator.start()

    wait_for("it has decided several times", lambda: evaluations(story) >= 5)
    gauge = re.search(r'^penstock_gate_state{.*"Closed".*} (.*)$', story.operator.metrics(), re.M)
    assert gauge is not None
    assert float(gauge[1]) == 1
    after = story.status()
    assert story.deployment()["spec"]["paused"] is True
    assert [one for one in story.pausers() if one.startswith("penstock-hold-")] == held_by
    assert proxy.recorder.writes(resource="deployments") == []
    assert story.reasons() == []
    assert {**before["memory"], "serial": 0} == {**after["memory"], "serial": 0}
    for kept in ("release", "stable", "hold", "history"):
        assert after[kept] == before[kept], kept
    for kept in ("state", "reason", "since", "slo"):
        assert after["gate"][kept] == before["gate"][kept], kept
    assert "loaded 1 of 1 ledgers" in story.operator.last_words()

    # The calm that the former one had counted counts: nine minutes later it is enough.
    assert story.operator.stop() == 0
    by = -timedelta(minutes=9, seconds=30)
    now = story.status()
    applied(story, "rollouts", {"kind": "Rollout", "status": later(now, by)}, "/status")
    story.operator.start()
    story.wait_gate("Open", "BudgetHealthy")
    story.wait_released()
    assert len(story.reasons()) == len(set(story.reasons()))


def evaluations(story: Story) -> float:
    lines = story.operator.metrics().splitlines()
    counters = [line for line in lines if line.startswith("penstock_evidence_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in counters)

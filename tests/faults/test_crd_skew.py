"""An operator that is newer than the CRDs of its cluster writes nothing, and says what to apply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from support.admission_fixture import ROOT
from support.deployed import shipped_rules_of_all_namespaces
from support.operator_process import Operator, wait_for
from testbed import identities
from testbed.bed import Bed
from testbed.fault_actions import api_error
from testbed.fault_plan import First, Match, Plan, Rule
from testbed.proxy import FaultProxy, before_api_server

pytestmark = [pytest.mark.servers, pytest.mark.slow]

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
APPLY = "apply the CRDs of this release (kubectl apply -k deploy/crds)"


@pytest.fixture(scope="module")
def bed(servers: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A bed of its own, because its CRDs are those of an older release, or missing."""
    folder = tmp_path_factory.mktemp("skew")
    with Bed.start(folder, binaries=servers, prometheus=False, node=False) as found:
        yield found


@pytest.fixture
def proxy(bed: Bed) -> Iterator[FaultProxy]:
    """Records what the operator writes."""
    with before_api_server(bed.server, bed.pki) as found:
        yield found


@pytest.fixture
def operator(bed: Bed, namespace: str, proxy: FaultProxy, tmp_path: Path) -> Iterator[Operator]:
    """With the shipped rights, which have none on CRDs; it has not begun."""
    account = identities.service_account(bed.kube, namespace, "penstock")
    lease = {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "verbs": ["get", "create", "update"],
    }
    rules = [*shipped_rules_of_all_namespaces(), lease]
    identities.grant_everywhere(bed.kube, account, rules)
    path = identities.token_kubeconfig(
        tmp_path / "kubeconfig", proxy.url, bed.ca_file, identities.token(bed.kube, account)
    )
    found = Operator(
        bed, tmp_path / "penstock.log", kubeconfig=path, lease_namespace=namespace, identity="new"
    )
    try:
        yield found
    finally:
        if found.is_running:
            found.stop()
        apply_crds(bed)


def apply_crds(bed: Bed) -> None:
    done = bed.kubectl("apply", "-k", str(ROOT / "deploy" / "crds"))
    assert done.returncode == 0, done.stderr


def served_fields(bed: Bed) -> Any:
    """Of a Rollout's status.gate, as the API server publishes them."""
    document = bed.kube.call("GET", "/openapi/v3/apis/penstock.dev/v1alpha1")
    found = [
        one for name, one in document["components"]["schemas"].items() if name.endswith("Rollout")
    ]
    return (
        set(found[0]["properties"]["status"]["properties"]["gate"]["properties"]) if found else ()
    )


def waits(operator: Operator, says: str) -> None:
    wait_for("it says so", operator.readiness, lambda it: says in it[1])
    assert operator.readiness() == (503, f"{says}: {APPLY}\n")
    assert f"waiting, and writing nothing: {says}: {APPLY}" in operator.last_words()


def holder(bed: Bed, namespace: str) -> str:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/penstock"
    found = bed.kube.call("GET", path, ok=(404,))
    return str(found["spec"]["holderIdentity"]) if found else ""


def test_an_operator_newer_than_the_crds_waits_and_begins_when_they_are_applied(
    bed: Bed, namespace: str, operator: Operator, proxy: FaultProxy
) -> None:
    crd = bed.kube.call("GET", f"{CRDS}/rollouts.penstock.dev")
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    del schema["status"]["properties"]["gate"]["properties"]["since"]
    bed.kube.call("PUT", f"{CRDS}/rollouts.penstock.dev", crd)
    wait_for("the old schema is served", lambda: "since" not in served_fields(bed))

    operator.begin()

    waits(operator, "the cluster's CRD rollouts.penstock.dev lacks status.gate.since")
    assert operator.health() == (200, "ok\n")
    assert holder(bed, namespace) == ""
    assert proxy.recorder.writes() == []

    apply_crds(bed)

    wait_for("it is ready", operator.is_ready)
    wait_for("it leads", lambda: holder(bed, namespace) == "new")


def test_a_kind_that_is_missing_is_named_and_waited_for(
    bed: Bed, namespace: str, operator: Operator, proxy: FaultProxy
) -> None:
    bed.kube.call("DELETE", f"{CRDS}/gaterecords.penstock.dev")
    wait_for(
        "it is gone",
        lambda: bed.kube.call("GET", f"{CRDS}/gaterecords.penstock.dev", ok=(404,)) is None,
    )

    operator.begin()

    waits(operator, "the cluster has no CRD gaterecords.penstock.dev")
    assert holder(bed, namespace) == ""
    assert proxy.recorder.writes() == []

    apply_crds(bed)

    wait_for("it is ready", operator.is_ready)
    wait_for("it leads", lambda: holder(bed, namespace) == "new")


def test_where_the_schemas_may_not_be_read_it_leads_and_says_so(
    bed: Bed, namespace: str, operator: Operator, proxy: FaultProxy
) -> None:
    openapi = "^/openapi/v3/apis/penstock.dev/"
    first = Rule(Match(("GET",), path=openapi, when=First(1)), api_error(503))
    rest = Rule(Match(("GET",), path=openapi), api_error(403))
    with proxy.faults(Plan((first, rest))) as armed:
        operator.start()
        wait_for("it leads", lambda: holder(bed, namespace) == "new")
    assert len(armed.hits) == 2, "what may pass by itself is asked again"
    log = operator.last_words()
    assert "waiting, and writing nothing: the cluster's CRDs cannot be compared" in log
    assert log.count("the cluster's CRDs cannot be compared with this version: GET /openapi") == 2

"""What the API server makes of our definitions, and what a person with kubectl sees of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.api.kinds import GROUP, KINDS, VERSION, KindSpec
from support.manifests import right
from support.validators import PLURALS, problems_in
from testbed.api import ApiError, Kube
from testbed.plugin import Kubectl

pytestmark = pytest.mark.servers

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
Body = dict[str, Any]
of_each_kind = pytest.mark.parametrize("frame", KINDS, ids=lambda frame: frame.kind)

# Written into every stored object, so never to be improved: nothing that belongs to the policy.
DEFAULTS = {
    "SLO": {
        "spec.window.calendar.timeZone": "UTC",
        "spec.budgeting": {"method": "Occurrences"},
        "spec.budgeting.method": "Occurrences",
        "spec.sourceRef.kind": "MetricsSource",
        "spec.minimumEvents": 0,
    },
    "Rollout": {
        "spec.mode": "Enforce",
        "spec.enforcement": {"admission": "Deny", "inFlight": "Hold"},
        "spec.enforcement.admission": "Deny",
        "spec.enforcement.inFlight": "Hold",
        "spec.onExternalResume": "Respect",
        "spec.onDelete": "Release",
    },
    "GateRecord": {},
    "MetricsSource": {"spec.timeout": "8s", "spec.freshness": "2m"},
    "ClusterMetricsSource": {"spec.timeout": "8s", "spec.freshness": "2m"},
}


def example(name: str) -> Body:
    return next(one.body for one in right() if one.name == name)


def collection(namespace: str, kind: str) -> str:
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURALS[kind]}"


def stored(admin: Kube, namespace: str, name: str, **changes: Any) -> str:
    """Create an example; its path."""
    body = {**example(name), **changes}
    path = collection(namespace, body["kind"])
    return f"{path}/{admin.call('POST', path, body)['metadata']['name']}"


def definition(admin: Kube, frame: KindSpec) -> Body:
    found: Body = admin.call("GET", f"{DEFINITIONS}/{frame.plural}.{GROUP}")
    return found


def fields(node: Body, way: str = "") -> Iterator[tuple[str, Body]]:
    for name, child in node.get("properties", {}).items():
        path = f"{way}.{name}".lstrip(".")
        yield path, child
        yield from fields(child, path)
        yield from fields(child.get("items", {}), f"{path}[]")


def fields_of(admin: Kube, frame: KindSpec) -> dict[str, Body]:
    """Fields of spec, data and status as the server has them, with their schemas."""
    (version,) = definition(admin, frame)["spec"]["versions"]
    ours = ("spec", "data", "status")
    everything = fields(version["schema"]["openAPIV3Schema"])
    return {path: node for path, node in everything if path.startswith(ours)}


@of_each_kind
def test_the_server_serves_the_definition_and_finds_it_structural(
    frame: KindSpec, admin: Kube
) -> None:
    conditions = {
        one["type"]: one["status"] for one in definition(admin, frame)["status"]["conditions"]
    }
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"


@of_each_kind
def test_every_field_is_explained(frame: KindSpec, admin: Kube) -> None:
    explained = {
        path: node.get("description", "") for path, node in fields_of(admin, frame).items()
    }
    assert not [path for path, text in explained.items() if len(text) < 15]


@of_each_kind
def test_what_people_write_has_an_example_a_default_or_its_words(
    frame: KindSpec, admin: Kube
) -> None:
    wanting = [
        path
        for path, node in fields_of(admin, frame).items()
        if not path.startswith("status") and is_leaf(node) and not teaches(node)
    ]
    assert not wanting


def is_leaf(node: Body) -> bool:
    return "properties" not in node and "properties" not in node.get("items", {})


def teaches(node: Body) -> bool:
    text = node["description"]
    words = node.get("enum", [])
    all_words = bool(words) and all(word in text for word in words)
    return all_words or "Example: " in text or "Default: " in text


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("slo", "A service level objective"),
        ("slo.spec.objective", 'Example: "99.9%"'),
        ("slo.spec.indicator.ratio", "Two counters: bad (or good) and total"),
        ("slo.spec.indicator.ratio.bad", "Selector of the counter of bad events"),
        ("slo.status.budget.remainingRatio", "negative once overspent"),
        ("rollouts.penstock.dev.spec.policy.burn.factor", "14.4 spends 2% of a 30d budget"),
        ("rollouts.penstock.dev.spec.mode", "Audit only reports them"),
        ("gaterecord.data.admits", "Whether a new release may start"),
        ("metricssource.spec.freshness", "Age beyond which data is stale"),
        ("clustermetricssource.spec.auth.tokenFile", "/etc/penstock/tokens/"),
    ],
)
def test_kubectl_explains(field: str, says: str, kubectl: Kubectl) -> None:
    shown = kubectl("explain", field)
    assert shown.returncode == 0, shown.stderr
    assert says in " ".join(shown.stdout.split())


def test_columns_of_slos(kubectl: Kubectl, admin: Kube, namespace: str) -> None:
    path = stored(admin, namespace, "slo-complete")
    display = {"window": "30d", "indicator": "ratio", "budgetLeft": "37.2%", "burn": "1.3x"}
    status = {"state": "Healthy", "display": display}
    admin.call("PATCH", f"{path}/status", {"status": status}, content_type=MERGE)
    header, row = lines(kubectl("get", "slos.penstock.dev").stdout)
    assert header == "NAME OBJECTIVE WINDOW SLI BUDGET-LEFT BURN STATE AGE"
    assert row.startswith("checkout-availability 99.9% 30d ratio 37.2% 1.3x Healthy ")


def lines(shown: str) -> list[str]:
    """Lines of a table with one space between columns."""
    return [" ".join(line.split()) for line in shown.splitlines()]


def test_columns_of_rollouts(kubectl: Kubectl, admin: Kube, namespace: str) -> None:
    path = stored(admin, namespace, "rollout-minimal")
    status = {
        "workload": {"name": "Deployment/checkout"},
        "gate": {
            **{"state": "Closed", "reason": "BudgetExhausted", "slo": "checkout-availability"},
            **{"since": "2026-11-24T10:00:00Z", "summary": "Closed since 10:00 UTC"},
        },
        "hold": {"effective": "partial"},
    }
    admin.call("PATCH", f"{path}/status", {"status": status}, content_type=MERGE)
    header, row = lines(kubectl("get", "rollouts.penstock.dev").stdout)
    assert header == "NAME WORKLOAD GATE REASON SLO SINCE AGE"
    assert row.startswith(
        "checkout Deployment/checkout Closed BudgetExhausted checkout-availability"
    )
    header, row = lines(kubectl("get", "rollouts.penstock.dev", "-o", "wide").stdout)
    assert header == "NAME WORKLOAD GATE REASON SLO SINCE AGE MODE HOLD MESSAGE"
    assert row.endswith(" Enforce partial Closed since 10:00 UTC")


@pytest.mark.parametrize(("short", "name"), [("gslo", "slo-probe"), ("gro", "rollout-minimal")])
def test_short_names(short: str, name: str, kubectl: Kubectl, admin: Kube, namespace: str) -> None:
    stored(admin, namespace, name)
    shown = kubectl("get", short, "-o", "name")
    assert shown.returncode == 0, shown.stderr
    assert GROUP in shown.stdout


def test_the_category_shows_all_our_kinds(kubectl: Kubectl, admin: Kube, namespace: str) -> None:
    for name in ("slo-probe", "rollout-minimal", "record-open", "source-minimal"):
        stored(admin, namespace, name)
    shown = kubectl("get", "penstock", "-o", "name").stdout.splitlines()
    kinds = {line.split("/")[0] for line in shown}
    assert {f"{frame.kind.lower()}.{GROUP}" for frame in KINDS if frame.namespaced} <= kinds


@of_each_kind
def test_there_are_just_these_defaults(frame: KindSpec, admin: Kube) -> None:
    found = {
        path: node["default"] for path, node in fields_of(admin, frame).items() if "default" in node
    }
    assert found == DEFAULTS[frame.kind]


@pytest.mark.parametrize("name", ["slo-probe", "rollout-minimal", "source-minimal"])
def test_the_server_writes_the_defaults(name: str, admin: Kube, namespace: str) -> None:
    spec = admin.call("GET", stored(admin, namespace, name))["spec"]
    defaults = DEFAULTS[example(name)["kind"]]
    whole = {path.split(".")[1] for path in defaults if path.count(".") == 1}
    for field in whole:
        assert spec[field] == defaults[f"spec.{field}"]
    assert "policy" not in spec


def test_a_status_comes_by_its_own_door_alone(admin: Kube, namespace: str) -> None:
    path = stored(admin, namespace, "slo-probe", status={"state": "Healthy"})
    assert "status" not in admin.call("GET", path)
    admin.call("PATCH", path, {"status": {"state": "Healthy"}}, content_type=MERGE)
    assert "status" not in admin.call("GET", path)
    both = {"status": {"state": "Exhausted"}, "spec": {"objective": "50%"}}
    admin.call("PATCH", f"{path}/status", both, content_type=MERGE)
    found = admin.call("GET", path)
    assert found["status"] == {"state": "Exhausted"}
    assert found["spec"]["objective"] == "99.9%"
    assert found["metadata"]["generation"] == 1


def test_a_workload_cannot_be_changed_for_another(admin: Kube, namespace: str) -> None:
    path = stored(admin, namespace, "rollout-minimal")
    another = {"spec": {"workloadRef": {"name": "another"}}}
    with pytest.raises(ApiError) as refusal:
        admin.call("PATCH", path, another, content_type=MERGE)
    (problem,) = problems_in(refusal.value)
    assert problem.at == "spec.workloadRef"
    assert problem.message.endswith(
        "workloadRef: cannot be changed; create a Rollout for the other workload and delete this"
        " one"
    )
    admin.call("PATCH", path, {"spec": {"mode": "Audit"}}, content_type=MERGE)


def test_a_raw_post_prunes_an_unknown_field_and_warns(
    kubectl: Kubectl, admin: Kube, namespace: str, tmp_path: Path
) -> None:
    body = json.loads(json.dumps(example("slo-probe")))
    body["spec"]["target"] = "99.9%"
    file = tmp_path / "slo.json"
    file.write_text(json.dumps(body))
    shown = kubectl("create", "--raw", collection(namespace, "SLO"), "--filename", str(file))
    assert shown.returncode == 0, shown.stderr
    assert 'Warning: unknown field "spec.target"' in shown.stderr
    path = f"{collection(namespace, 'SLO')}/{body['metadata']['name']}"
    assert "target" not in admin.call("GET", path)["spec"]


def test_a_list_of_slos_belongs_to_who_wrote_it_last(admin: Kube, namespace: str) -> None:
    """Merged by name, an SLO that its author took out would stay by another's hand."""
    body = example("rollout-minimal")
    path = f"{collection(namespace, 'Rollout')}/checkout"
    for manager, names in (("first", ["a", "b"]), ("second", ["c"])):
        applied = {**body, "spec": {**body["spec"], "slos": [{"name": name} for name in names]}}
        query = f"fieldManager={manager}&force=true"
        found = admin.call("PATCH", f"{path}?{query}", applied, content_type=APPLY)
    assert found["spec"]["slos"] == [{"name": "c"}]


def test_conditions_of_different_writers_stand_side_by_side(admin: Kube, namespace: str) -> None:
    path = stored(admin, namespace, "slo-probe")
    for kind in ("Ready", "Evaluated"):
        condition = {
            **{
                "type": kind,
                "status": "True",
                "reason": "BudgetHealthy",
                "message": "All is well.",
            },
            "lastTransitionTime": "2026-11-24T10:00:00Z",
        }
        body = {
            **{"apiVersion": f"{GROUP}/{VERSION}", "kind": "SLO"},
            "metadata": {"name": path.rsplit("/", 1)[-1]},
            "status": {"conditions": [condition]},
        }
        query = f"fieldManager={kind.lower()}"
        found = admin.call("PATCH", f"{path}/status?{query}", body, content_type=APPLY)
    assert {one["type"] for one in found["status"]["conditions"]} == {"Ready", "Evaluated"}

"""The loop, closed: budgets from a real Prometheus open and close the gate of a real Deployment."""

from __future__ import annotations

import json

import pytest

from support.operator_process import wait_for
from support.story import READY_AFTER, Story, played
from support.traffic import BROKEN, STEADY, ratio, sample
from testbed.load import Load
from testbed.proxy import FaultProxy

pytestmark = [pytest.mark.servers, pytest.mark.slow]


def release(story: Story, version: str, error_ratio: str = "0") -> None:
    """Release another version of the sample; the API server may refuse it."""
    story.do(
        *("patch", "deployment/checkout", "--type=strategic", "--patch"),
        f'{{"spec": {{"template": {{"spec": {{"containers": [{{"name": "app", '
        f'"image": "penstock.dev/sample-app:{version}", '
        f'"env": [{{"name": "ERROR_RATIO", "value": "{error_ratio}"}}]}}]}}}}}}}}',
    )


def test_a_bad_version_is_held_and_a_rollback_and_recovery_let_the_next_one_pass(
    story: Story,
) -> None:
    story.source()
    story.deploy(sample("checkout", replicas=3))
    story.slo(indicator=ratio(f'namespace="{story.namespace}",service="checkout"'))
    with Load(story.kube, story.namespace, "app=checkout", rate=30):
        story.rollout(name="checkout", workload="checkout")
        story.wait_gate("Open", "BudgetHealthy", name="checkout")
        shown = story.read("slos")["status"]
        assert shown["state"] == "Healthy"
        assert shown["display"]["budgetLeft"] == "100.0%"

        release(story, "1.1")
        story.wait_complete("checkout", tag="1.1")
        story.wait(
            "both versions are stable",
            lambda it: len(it["status"]["stable"]) == 2,
            name="checkout",
        )

        # Slow enough for the errors of the first bad pod to be seen before the last one starts.
        story.patch("deployments", "checkout", {"spec": {"minReadySeconds": 60}})
        story.wait(
            "it is seen",
            lambda it: it["status"]["observedGeneration"] >= it["metadata"]["generation"],
            name="checkout",
            resource="deployments",
        )
        release(story, "2.0", error_ratio="0.9")
        gate = story.wait_gate("Closed", name="checkout")
        assert gate["reason"] in ("BurningFast", "BudgetExhausted")
        status = story.wait_held("partial", name="checkout")
        assert status["release"]["fromHash"] == status["stable"][0]["hash"]
        assert story.replicas("checkout") == {"1.1": 3, "2.0": 1}
        assert "at 1 of 3 pods" in story.gate("checkout")["message"]

        refused = story.wait_refused("checkout")
        assert (refused.code, refused.reason) == (403, "Forbidden")
        assert "web" in str(refused)
        told = story.kubectl("set", "image", "deployment/checkout", "app=example.com/other:3")
        assert told.returncode == 1
        assert "Closed since" in told.stderr

        release(story, "1.1")
        story.wait_released("checkout")
        story.wait_replicas("checkout", **{"v1.1": 3})
        assert story.gate("checkout")["state"] == "Closed"

        story.patch("deployments", "checkout", {"spec": {"minReadySeconds": 0}})
        story.wait_gate("Open", "BudgetHealthy", name="checkout", seconds=150)
        story.wait_admitted("checkout")
        release(story, "3.0")
        story.wait_complete("checkout", tag="3.0")

    reasons = story.reasons("checkout")
    assert "Recovering" in reasons
    assert reasons[-1] == "BudgetHealthy"
    assert len(reasons) == len(story.status("checkout")["history"]) + held_and_released(story)


def held_and_released(story: Story) -> int:
    """Events beside those of the gate: a hold that came or went while the gate stayed as it was."""
    events = story.events("checkout")
    transitions = {one["message"] for one in story.status("checkout")["history"]}
    return len([one for one in events if one["message"] not in transitions])


def test_a_person_holds_and_ends_it(story: Story) -> None:
    story.guarded(replicas=2)

    story.hold("database migration")
    gate = story.wait_gate("Closed", "HeldByPerson")
    assert "database migration" in gate["message"]
    assert "database migration" in str(story.wait_refused())
    story.unhold()
    story.wait_gate("Open", "BudgetHealthy")
    story.wait_admitted()

    story.do("label", "deployment/web", "penstock.dev/hold=")
    assert "penstock.dev/hold" in story.wait_gate("Closed", "HeldByPerson")["message"]
    story.wait_refused()
    story.do("label", "deployment/web", "penstock.dev/hold-")
    story.wait_gate("Open", "BudgetHealthy")
    story.wait_admitted()


def test_in_audit_nothing_is_refused_or_held_but_everything_is_reported(story: Story) -> None:
    story.guarded()
    story.rollout(mode="Audit")
    story.wait_condition("Ready", "True", "AuditOnly")
    story.change(ready_after="never")
    story.wait_replicas(v1=8, v2=5)

    story.slo(service=BROKEN)

    gate = story.wait_gate("Closed")
    assert "would be held" in gate["message"]
    assert "Mode is Audit" in gate["message"]
    assert story.refusal() is None
    assert story.status()["hold"]["active"] is False
    assert story.pausers() == []
    wait_for("an Event tells it", story.reasons, lambda it: gate["reason"] in it)


def test_where_admission_warns_the_change_passes_with_our_sentence_and_is_held(
    story: Story,
) -> None:
    story.guarded()
    story.rollout(enforcement={"admission": "Warn"})
    story.slo(service=BROKEN)
    story.wait_gate("Closed")
    image = ("set", "image", "deployment/web", "web=example.com/web:2")
    wait_for(
        "the API server warns",
        lambda: story.kubectl(*image, "--dry-run=server").stderr,
        lambda message: "Closed since" in message,
    )
    never = {"metadata": {"annotations": {READY_AFTER: "never"}}}

    patch = json.dumps({"spec": {"template": never}})
    done = story.kubectl("patch", "deployment/web", "--patch", patch)

    assert done.returncode == 0
    assert done.stderr.startswith("Warning: ")
    assert "web has -" in done.stderr
    status = story.wait_held()
    assert status["release"]["onset"] == "WhileClosed"
    assert status["release"]["reason"] == "AdmittedWhileClosed"
    assert "is held (it started while the gate was closed)" in status["gate"]["message"]
    wait_for(
        "an Event tells it",
        lambda: story.events()[-1]["message"],
        lambda message: "it started while the gate was closed" in message,
    )


def test_of_several_slos_the_worst_is_named(story: Story) -> None:
    story.source()
    story.deploy(played(replicas=2))
    story.slo("good")
    story.slo("low", service=BROKEN, objective="60%")
    story.slo("lower", service=BROKEN, objective="80%")

    story.rollout(slos=("good", "low", "lower"), policy={"burn": []})

    gate = story.wait_gate("Closed", "BudgetExhausted")
    wait_for("the worst is named", story.gate, lambda it: it["slo"] == "lower")
    assert "lower has -" in story.gate()["message"]
    assert gate["verdict"] == "Hold"
    assert story.read("slos", "lower")["status"]["state"] == "Exhausted"
    assert story.condition("GateOpen")["status"] == "False"
    assert story.wait_refused().code == 403


def test_a_source_that_is_missing_arrives(story: Story) -> None:
    story.slo(sourceRef={"kind": "MetricsSource", "name": "later"})
    story.deploy(played(replicas=2))
    story.rollout()
    gate = story.wait_gate("Unknown", "SourceNotFound")
    assert "MetricsSource later does not exist" in gate["message"]
    assert story.read("slos")["status"]["state"] == "Unknown"

    story.source("later")

    story.wait_gate("Open", "BudgetHealthy")


def test_promql_that_prometheus_refuses_is_reported_and_costs_nobody_else(story: Story) -> None:
    story.source()
    story.deploy(played(replicas=2))
    story.deploy(played("other", replicas=2))
    story.slo("fine")
    # Go's regular expressions repeat at most 1,000 times, which no CRD can check.
    refused = story.traffic.indicator(STEADY)
    refused["ratio"] = {"bad": 'x{code=~"5{1001}"}', "total": "x"}
    story.slo("refused", indicator=refused)

    story.rollout(slos=("refused",))
    story.rollout("other", workload="other", slos=("fine",))

    gate = story.wait_gate("Unknown", "QueryRejected")
    assert "5{1001}" in gate["message"]
    story.wait_gate("Open", "BudgetHealthy", name="other")
    story.wait_refused()
    assert story.refusal(name="other") is None


def test_prometheus_away_holds_back_what_is_new_and_touches_nothing_else(
    story: Story, prometheus: FaultProxy
) -> None:
    story.guarded()
    story.source(url=prometheus.url)
    story.change(ready_after="never")
    story.wait_replicas(v1=8, v2=5)
    story.slo(service=BROKEN)
    story.wait_held("partial")

    prometheus.down()
    try:
        gate = story.wait_gate("Unknown")
        assert gate["reason"] in ("MetricsUnreachable", "EvidenceStale")
        story.wait_refused()
        assert story.status()["hold"]["active"] is True
        assert story.deployment()["spec"]["paused"] is True
        assert story.replicas() == {"1": 8, "2": 5}
    finally:
        prometheus.up()

    story.wait_gate("Closed")
    story.slo(service=STEADY)
    story.wait_gate("Open", "BudgetHealthy", seconds=150)
    story.wait_released()

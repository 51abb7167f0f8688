"""Reasons that no other story gives: each is reached on real parts, and says what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.domain.template import LARGEST_TEMPLATE
from support.operator_process import wait_for
from support.story import IMAGE, Story, played
from support.traffic import BROKEN, STEADY
from testbed.fault_actions import Delay, ReplaceBody
from testbed.fault_plan import Match, Plan, Rule
from testbed.proxy import FaultProxy

pytestmark = [pytest.mark.servers, pytest.mark.slow]

# Burns at 0.8: forty of a hundred requests fail, and half of them may.
HALF = {"service": BROKEN, "objective": "50%"}


def deploy_guarded(story: Story, policy: dict[str, Any] | None = None) -> None:
    """A Deployment at rest behind a gate of the SLO that is there already."""
    story.deploy(played(replicas=2))
    story.rollout(policy=policy)


def test_a_gate_closes_on_a_low_budget_at_the_authors_floor(story: Story) -> None:
    story.source()
    story.slo(**HALF)

    deploy_guarded(story, {"burn": [], "start": {"holdAt": "50%"}})

    gate = story.wait_gate("Closed", "BudgetLow")
    assert gate["verdict"] == "Hold"
    assert "Opens once 51.0% of the budget is left" in gate["message"]
    story.wait_refused()


def test_a_slower_burn_pair_closes_the_gate_where_the_fastest_is_calm(story: Story) -> None:
    story.source()
    story.slo(**HALF)
    never_reached = {"long": "10s", "short": "5s", "factor": "1.9"}
    hot = {"long": "20s", "short": "10s", "factor": "0.5"}

    deploy_guarded(story, {"burn": [never_reached, hot]})

    gate = story.wait_gate("Closed", "BurningSlow")
    assert "over 20s" in gate["message"]
    assert "limit 0.5x" in gate["message"]
    story.wait_refused()


def test_a_pair_that_can_never_fire_is_refused_and_nothing_starts(story: Story) -> None:
    story.source()
    story.slo(service=STEADY, objective="50%")

    deploy_guarded(story, {"burn": [{"long": "10s", "short": "5s", "factor": "2"}]})

    gate = story.wait_gate("Unknown", "PolicyInvalid")
    assert "spec.policy.burn: 10s/5s at 2 can never fire at an objective of 50%" in gate["message"]
    assert story.condition("Ready")["reason"] == "PolicyInvalid"
    story.wait_refused()

    story.rollout(policy={"burn": [{"long": "10s", "short": "5s", "factor": "1.9"}]})
    story.wait_gate("Open", "BudgetHealthy")


def test_an_slo_that_nobody_can_act_on_lets_nothing_start(story: Story) -> None:
    story.source()
    story.slo(indicator={"ratio": {"bad": 'errors{code=~"("}', "total": "requests"}})

    deploy_guarded(story)

    gate = story.wait_gate("Unknown", "SLOInvalid")
    assert "spec.indicator.ratio.bad" in gate["message"]
    assert story.condition("Ready")["reason"] == "SLOInvalid"
    story.wait_refused()


def test_an_expression_of_several_series_lets_nothing_start(story: Story) -> None:
    story.source()
    selector = f'http_requests_total{{namespace="{story.traffic.namespace}"}}'
    each = f"sum by (service) (increase({selector}[$window]))"
    story.slo(indicator={"query": {"bad": f"0 * {each}", "total": each}})

    deploy_guarded(story)

    story.wait_gate("Unknown", "EvidenceAmbiguous")
    story.wait_refused()


def test_too_few_events_are_thin_evidence_and_permit(story: Story) -> None:
    story.source()
    story.slo(minimumEvents=1_000_000)

    deploy_guarded(story)

    gate = story.wait_gate("Open", "InsufficientEvents")
    assert gate["verdict"] == "Unknown"
    assert "of at least 1000000 events" in gate["message"]
    assert story.refusal() is None


def test_a_young_service_warms_up_has_too_little_history_for_its_month_and_may_release(
    story: Story, prometheus: FaultProxy
) -> None:
    story.source(url=prometheus.url)
    deploy_guarded(story)

    with prometheus.faults(Plan((Rule(Match(path="query_range"), Delay(1)),))):
        story.slo(window={"rolling": "30d"})
        gate = story.wait_gate("Open", "WarmingUp")
        assert gate["verdict"] == "Unknown"
        assert story.refusal() is None
    gate = story.wait_gate("Open", "InsufficientHistory")
    assert gate["verdict"] == "Unknown"
    assert story.refusal() is None

    story.slo()
    story.wait_gate("Open", "BudgetHealthy")


def test_a_partial_answer_lets_nothing_start(story: Story, prometheus: FaultProxy) -> None:
    story.source(url=prometheus.url)
    story.slo()
    story.wait_measured()
    deploy_guarded(story)
    nothing = {"resultType": "vector", "result": []}
    told = {"status": "success", "data": nothing, "warnings": ["a store is away"]}
    partial = ReplaceBody(json.dumps(told), "application/json")
    with prometheus.faults(Plan((Rule(Match(), partial),))):
        gate = story.wait_gate("Unknown", "PartialResponse")
        assert "a store is away" in gate["message"]
        story.wait_refused()
    story.wait_gate("Open", "BudgetHealthy")


def test_a_return_in_progress_is_reported_as_permitted_though_a_person_holds(story: Story) -> None:
    story.guarded(replicas=2)
    story.change()
    story.wait("both are stable", lambda it: len(it["status"]["stable"]) == 2)
    story.patch("deployments", "web", {"spec": {"minReadySeconds": 60}})
    story.hold()
    story.wait_refused()

    story.go_back()

    status = story.wait(
        "it is told",
        lambda it: (it["status"].get("release") or {}).get("reason") == "RollbackPermitted",
    )["status"]
    assert status["gate"]["reason"] == "HeldByPerson"
    assert "paused" not in story.deployment()["spec"]


def test_a_template_too_large_for_admission_is_reported_and_warned_about(story: Story) -> None:
    story.source()
    story.slo()
    story.wait_measured()
    manifest = played(replicas=2)
    large = {"name": "LARGE", "value": "x" * LARGEST_TEMPLATE}
    manifest["spec"]["template"]["spec"]["containers"][0]["env"] = [large]
    story.deploy(manifest)
    story.rollout()

    told = story.wait_condition("Ready", "False", "TemplateTooLarge")
    assert "make the pod template smaller" in told["message"]
    story.hold()
    story.wait_gate("Closed", "HeldByPerson")
    image = ("set", "image", "deployment/web", f"web={IMAGE}:2", "--dry-run=server")
    wait_for(
        "admission warns",
        lambda: story.kubectl(*image),
        lambda done: done.returncode == 0 and "Closed since" in done.stderr,
    )

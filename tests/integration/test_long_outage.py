"""Row 36, with scaled settings: Prometheus is away for long, whatever phase a release is in.

An hour is twelve times the default grace of five minutes, for which a release under way keeps its
last verdict; here the grace is three seconds, and the outage as many times longer.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from support.operator_process import wait_for
from support.story import IMAGE, READY_AFTER, Story, played
from support.traffic import BROKEN, STEADY
from testbed.proxy import FaultProxy

pytestmark = [pytest.mark.servers, pytest.mark.slow]

GRACE_SECONDS = 3
OUTAGE_SECONDS = 12 * GRACE_SECONDS
POLICY = {"unknown": {"outage": {"keepLast": f"{GRACE_SECONDS}s", "then": "Hold"}}}
RESTING, ROLLING, HELD, RECOVERING = PHASES = ("resting", "rolling", "held", "recovering")


def roll(story: Story, name: str) -> None:
    """A release whose new pods never get ready."""
    template = {
        "metadata": {"annotations": {READY_AFTER: "never"}},
        "spec": {"containers": [{"name": "web", "image": f"{IMAGE}:2"}]},
    }
    story.patch("deployments", name, {"spec": {"template": template}})
    story.wait_replicas(name, v1=3, v2=2)


def in_each_phase(story: Story) -> None:
    for name in PHASES:
        story.slo(name)
        story.wait_measured(name)
        story.deploy(played(name, replicas=4))
        more = {"resume": {"calm": "30m"}} if name == RECOVERING else {}
        story.rollout(name, workload=name, slos=(name,), policy={**POLICY, **more})
        story.wait_gate("Open", "BudgetHealthy", name=name)
        story.wait("it is stable", lambda it: it["status"].get("stable"), name=name)
    roll(story, ROLLING)
    roll(story, HELD)
    for name in (HELD, RECOVERING):
        story.slo(name, service=BROKEN)
        story.wait_gate("Closed", name=name)
    story.wait_held("partial", name=HELD)
    story.slo(RECOVERING, service=STEADY)
    story.wait_gate("Closed", "Recovering", name=RECOVERING)


def templates(story: Story) -> dict[str, Any]:
    return {name: story.deployment(name)["spec"]["template"] for name in PHASES}


def test_row_36_through_a_long_outage_holds_stay_and_nothing_steps_aborts_or_is_let_go(
    story: Story, prometheus: FaultProxy
) -> None:
    story.source(url=prometheus.url)
    in_each_phase(story)
    before = templates(story)

    prometheus.down()
    for name in PHASES:
        gate = story.wait_gate("Unknown", name=name)
        assert gate["reason"] in ("MetricsUnreachable", "EvidenceStale")
        story.wait_refused(name)
    end = time.monotonic() + OUTAGE_SECONDS
    while time.monotonic() < end:
        assert {story.gate(name)["state"] for name in PHASES} == {"Unknown"}
        assert story.deployment(HELD)["spec"]["paused"] is True
        assert {name: story.replicas(name) for name in (RESTING, RECOVERING, HELD)} == {
            RESTING: {"1": 4},
            RECOVERING: {"1": 4},
            HELD: {"1": 3, "2": 2},
        }
        time.sleep(1)
    story.wait_held("partial", name=ROLLING)
    assert story.replicas(ROLLING) == {"1": 3, "2": 2}
    assert templates(story) == before
    assert story.pausers(RESTING) == story.pausers(RECOVERING) == []
    prometheus.up()

    story.wait_gate("Open", "BudgetHealthy", name=RESTING)
    story.wait_gate("Open", "BudgetHealthy", name=ROLLING)
    story.wait_released(ROLLING)
    story.wait_gate("Closed", "BudgetExhausted", name=HELD)
    story.wait_gate("Closed", "Recovering", name=RECOVERING)
    assert story.status(HELD)["hold"]["active"] is True
    for name in PHASES:
        reason = story.gate(name)["reason"]
        told = wait_for(
            f"an Event tells {reason}",
            lambda name=name: story.reasons(name),
            lambda it, reason=reason: it[-1] == reason,
        )
        unreadable = [one for one in told if one in ("MetricsUnreachable", "EvidenceStale")]
        assert 1 <= len(unreadable) <= 3, told

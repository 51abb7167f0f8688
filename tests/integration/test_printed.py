"""What `kubectl get` and `kubectl describe` print in each state, beside the files in printed/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.operator_process import wait_for
from support.printed import check, description, table
from support.story import Story, played
from support.traffic import BROKEN, IDLE, STEADY

pytestmark = [pytest.mark.servers, pytest.mark.slow]

PRINTED = Path(__file__).parent / "printed"


def half_way(story: Story) -> None:
    story.guarded()
    story.change(ready_after="never")
    story.wait_replicas(v1=8, v2=5)
    story.wait("it is seen", lambda it: it["status"]["workload"].get("updated") == 5)


def an_open_gate(story: Story) -> None:
    story.guarded(replicas=2)


def an_exhausted_budget(story: Story) -> None:
    half_way(story)
    story.slo(service=BROKEN)
    story.wait_gate("Closed", "BudgetExhausted")
    story.wait_held("partial")


def a_fast_burn(story: Story) -> None:
    story.source()
    story.slo(service=BROKEN, objective="50%")
    story.wait_measured()
    story.deploy(played(replicas=2))
    pair = {"long": "10s", "short": "5s", "factor": "0.5"}
    story.rollout(policy={"burn": [pair]})
    story.wait_gate("Closed", "BurningFast")


def a_recovery(story: Story) -> None:
    story.guarded(replicas=2)
    story.rollout(policy={"resume": {"calm": "30m"}})
    story.slo(service=BROKEN)
    story.wait_gate("Closed", "BudgetExhausted")
    story.slo(service=STEADY)
    story.wait_gate("Closed", "Recovering")
    wait_for(
        "calm has begun",
        story.gate,
        lambda it: "burn rates have stayed low until" in it["opensWhen"],
    )


def a_persons_hold(story: Story) -> None:
    half_way(story)
    story.hold("database migration")
    story.wait_held("partial")


def a_release_too_far_gone(story: Story) -> None:
    story.guarded(replicas=1)
    story.change(ready_after="never")
    story.wait_replicas(v1=1, v2=1)
    story.wait(
        "the release is seen",
        lambda it: "release" in it["status"] and it["status"]["workload"].get("updated") == 1,
    )
    story.hold("database migration")
    story.wait("it says so", lambda it: it["status"]["hold"].get("effective") == "none")
    story.wait_gate("Closed", "HeldByPerson")


def a_missing_slo(story: Story) -> None:
    story.source()
    story.deploy(played(replicas=2))
    story.rollout()
    story.wait_gate("Unknown", "SLONotFound")
    story.slo("another")
    story.wait_measured("another")


def an_unreachable_source(story: Story) -> None:
    story.source(url="http://127.0.0.1:1")
    story.slo()
    story.deploy(played(replicas=2))
    story.rollout()
    story.wait_gate("Unknown", "MetricsUnreachable")


def no_traffic(story: Story) -> None:
    story.source()
    story.slo(service=IDLE)
    story.wait_measured()
    story.deploy(played(replicas=2))
    story.rollout()
    story.wait_gate("Open", "NoTraffic")


def a_missing_workload(story: Story) -> None:
    story.source()
    story.slo()
    story.wait_measured()
    story.rollout()
    story.wait_gate("Open", "BudgetHealthy")


def audit_mode(story: Story) -> None:
    half_way(story)
    story.rollout(mode="Audit")
    story.slo(service=BROKEN)
    story.wait_gate("Closed", "BudgetExhausted")


def mode_off(story: Story) -> None:
    story.guarded(replicas=2)
    story.rollout(mode="Off")
    story.wait_gate("Open", "Disabled")


STATES: tuple[Callable[[Story], None], ...] = (
    an_open_gate,
    an_exhausted_budget,
    a_fast_burn,
    a_recovery,
    a_persons_hold,
    a_release_too_far_gone,
    a_missing_slo,
    an_unreachable_source,
    no_traffic,
    a_missing_workload,
    audit_mode,
    mode_off,
)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_kubectl_shows(story: Story, state: Callable[[Story], None]) -> None:
    state(story)
    wait_for("an event tells it", lambda: last_event_tells(story))

    both = story.do("get", "slos.penstock.dev,rollouts.penstock.dev")
    wide = story.do("get", "rollouts.penstock.dev", "--output=wide")
    full = story.do("describe", "rollouts.penstock.dev", "web")

    shown = f"{table(both, story.namespace)}\n{table(wide, story.namespace)}"
    described = description(full, story.namespace, story.gate()["reason"])
    check(PRINTED / f"{state.__name__}.txt", f"{shown}\n{described}")


def last_event_tells(story: Story) -> bool:
    """Whether the last event has come that says where the gate stands now."""
    reasons = story.reasons()
    return bool(reasons) and reasons[-1] == story.gate().get("reason")

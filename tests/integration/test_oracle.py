"""The oracle itself, on real parts: what a person or a fault has falsified, it sees.

The operator of this test sleeps meanwhile, so that nothing is mended before it is looked at; then
it wakes and mends, and the oracle is content again, as at the end of every story.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from support.admission_fixture import APPLY
from support.operator_process import Operator
from support.oracle import assert_all_is_well, differences
from support.story import NAME, Story
from testbed.proxy import FaultProxy

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@contextmanager
def asleep(operator: Operator) -> Iterator[None]:
    os.kill(operator.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(operator.pid, signal.SIGCONT)


def a_gate_that_is_told_open(story: Story) -> None:
    gate = {**story.gate(), "state": "Open", "verdict": "Permit", "reason": "BudgetHealthy"}
    story.patch("rollouts", f"{NAME}/status", {"status": {"gate": gate}})


def a_release_that_is_told_as_permitted(story: Story) -> None:
    story.patch(
        "rollouts", f"{NAME}/status", {"status": {"release": {"reason": "RollbackPermitted"}}}
    )


def a_template_that_never_was_stable(story: Story) -> None:
    stable = [{"hash": "0123456789abcdef", "completedAt": "2026-11-24T14:02:00Z"}]
    story.patch("rollouts", f"{NAME}/status", {"status": {"stable": stable}})


def a_record_that_admits(story: Story) -> None:
    story.patch("gaterecords", NAME, {"data": {"admits": True}})


def a_hold_that_is_gone(story: Story) -> None:
    story.do("rollout", "resume", f"deployment/{NAME}")


def a_hold_for_nobody(story: Story) -> None:
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "labels": {"penstock.dev/held": "true"}},
        "spec": {"paused": True},
    }
    path = f"{story.path('deployments')}/{NAME}?fieldManager=penstock-hold-of-nobody&force=true"
    story.kube.call("PATCH", path, body, content_type=APPLY)


PLANTED: list[tuple[Callable[[Story], None], str]] = [
    (a_gate_that_is_told_open, "gate is told as ('Permit', 'Open', 'BudgetHealthy'"),
    (a_release_that_is_told_as_permitted, "release is told as"),
    (a_template_that_never_was_stable, "admission reads"),
    (a_record_that_admits, "admission reads {'admits': True"),
    (a_hold_that_is_gone, "the hold is told as True, and read back as False"),
    (a_hold_for_nobody, "is held for a Rollout that is no more"),
]


@pytest.fixture
def held(story: Story) -> Story:
    story.guarded()
    story.change(ready_after="never")
    story.wait_replicas(v1=8, v2=5)
    story.hold()
    story.wait_held("partial")
    return story


def test_each_falsehood_is_seen_and_the_operator_is_right_again_afterwards(
    held: Story, proxy: FaultProxy
) -> None:
    for plant, seen in PLANTED:
        assert_all_is_well(held, proxy.recorder)
        metrics = held.operator.metrics()
        with asleep(held.operator):
            plant(held)
            found = differences(held, metrics)
        assert [one for one in found if seen in one], (plant.__name__, found)
        held.operator.stop()
        held.operator.start()
        held.apply_as(
            "penstock-hold-of-nobody",
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME}},
        )


def test_metrics_that_differ_are_seen(held: Story) -> None:
    message = held.operator.metrics()
    assert differences(held, message) == []
    shut = f'namespace="{held.namespace}",rollout="{NAME}",state="Closed"}} 1.0'
    assert shut in message
    for falsified in (message.replace(shut, shut.replace("1.0", "0.0")), ""):
        assert [one for one in differences(held, falsified) if one.startswith("metrics show")]
    bug = 'penstock_errors_total{where="rollouts"} 2.0\n'
    assert [one for one in differences(held, message + bug) if "unforeseen" in one]

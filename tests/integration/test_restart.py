"""The operator ends, politely or not, and another one goes on from what the status says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.operator_process import Operator, wait_for
from support.story import Story
from support.traffic import BROKEN, STEADY, Traffic
from testbed.bed import Bed
from testbed.fault_actions import Act, ApplyThenCut, Status, api_error
from testbed.fault_plan import First, Match, Plan, Rule
from testbed.identities import ServiceAccount, bind, service_account, token, token_kubeconfig
from testbed.proxy import FaultProxy, before_api_server

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.fixture(scope="module")
def account(policies: Bed) -> ServiceAccount:
    """A service account that may do all: what is refused here, a fault plan refuses."""
    found = service_account(policies.kube, "default", "penstock-of-restarts")
    bind(policies.kube, found, "cluster-admin")
    return found


@pytest.fixture
def proxy(bed: Bed) -> Iterator[FaultProxy]:
    with before_api_server(bed.server, bed.pki) as running:
        yield running


@pytest.fixture
def own(
    policies: Bed, namespace: str, account: ServiceAccount, proxy: FaultProxy, tmp_path: Path
) -> Iterator[Operator]:
    """An operator of the test's own, which may be ended; it sees this namespace alone."""
    bearer = token(policies.kube, account)
    kubeconfig = token_kubeconfig(
        tmp_path / "kubeconfig", proxy.url, policies.ca_file, bearer, namespace=namespace
    )
    log = tmp_path / "penstock.log"
    with Operator(policies, log, kubeconfig=kubeconfig, namespace=namespace) as operator:
        yield operator


@pytest.fixture
def story(bed: Bed, namespace: str, own: Operator, traffic: Traffic) -> Story:
    return Story(bed, namespace, own, traffic)


def held(story: Story) -> None:
    story.guarded()
    story.change(ready_after="never")
    story.wait_replicas(v1=8, v2=5)
    story.slo(service=BROKEN)
    story.wait_held("partial")


def has_evaluated(operator: Operator, times: int) -> bool:
    """Whether it has asked Prometheus so often."""
    lines = operator.metrics().splitlines()
    told = [line for line in lines if line.startswith("penstock_evidence_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in told) >= times


def test_a_killed_operator_leaves_the_gate_closed_and_the_next_one_resumes(story: Story) -> None:
    held(story)
    story.wait_refused()
    wait_for("events are quiet", lambda: is_quiet(story))
    before = story.status()
    reasons = story.reasons()

    story.operator.kill()

    assert story.refusal() is not None
    assert story.deployment()["spec"]["paused"] is True
    story.operator.start()
    wait_for("it goes on deciding", lambda: has_evaluated(story.operator, 5))
    after = story.status()
    assert story.reasons() == reasons
    for kept in ("release", "stable", "hold"):
        assert after[kept] == before[kept]
    assert after["gate"]["since"] == before["gate"]["since"]
    assert after["memory"]["recentHolds"] == before["memory"]["recentHolds"]
    assert after["history"] == before["history"]

    story.slo(service=STEADY)
    story.wait_gate("Open", "BudgetHealthy")
    story.wait_released()


def is_quiet(story: Story) -> bool:
    """Whether no event was posted for longer than it takes to decide again."""
    before = story.reasons()
    time.sleep(3)
    return story.reasons() == before


def test_asked_to_stop_it_ends_in_under_five_seconds(story: Story) -> None:
    held(story)

    begin = time.monotonic()
    code = story.operator.stop()

    assert time.monotonic() - begin < 5
    assert code == 0
    assert story.deployment()["spec"]["paused"] is True


def test_row_38_a_rollout_deleted_while_the_operator_is_down_is_released_by_the_next(
    story: Story,
) -> None:
    held(story)
    story.operator.kill()
    story.do("delete", "rollouts.penstock.dev/web")
    assert story.deployment()["spec"]["paused"] is True

    story.operator.start()

    wait_for("the hold is given back", lambda: not story.deployment()["spec"].get("paused"))
    assert "penstock.dev/held" not in story.deployment()["metadata"]["labels"]
    assert story.deployment()["metadata"].get("finalizers") is None


def test_row_38_release_all_gives_back_every_hold_and_leaves_a_persons_pause(
    story: Story,
) -> None:
    held(story)
    story.operator.stop()

    done = subprocess.run(
        [sys.executable, "-m", "penstock", "release-all", f"--namespace={story.namespace}"],
        env={**os.environ, "KUBECONFIG": str(story.bed.kubeconfig)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "paused" not in story.deployment()["spec"]
    assert not [one for one in story.pausers() if one.startswith("penstock")]


def tellings(story: Story) -> list[str]:
    """Events that say that the release is held."""
    messages = [event["message"] for event in story.events()]
    return [message for message in messages if "is held" in message]


# tests/faults/test_api_faults.py answers holds with 403, 429 and 500, and drops them;
# tests/engine/test_trouble.py raises each error at each method of each port.
FAULTS: dict[str, Act] = {
    "409": api_error(409),
    "422": api_error(422),
    "applied-then-cut": ApplyThenCut(),
    "no-json": Status(200, (("Content-Type", "text/html"),), "<html>"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_row_37_a_hold_that_fails_is_tried_again_and_done_once(
    story: Story, proxy: FaultProxy, fault: str
) -> None:
    story.guarded()
    story.change(ready_after="never")
    story.wait_replicas(v1=8, v2=5)
    # What is refused outright is tried again after half a minute only.
    failing = First(1 if fault == "422" else 2)
    writes = Match(("PATCH",), path="/deployments/web$", when=failing)

    with proxy.faults(Plan((Rule(writes, FAULTS[fault]),))):
        story.hold()
        status = story.wait_held("partial")

    assert "contestedBy" not in status["hold"]
    assert "lostAt" not in status["hold"]
    assert len(story.pausers()) == 1
    told = wait_for("it is told", lambda: tellings(story))
    assert len(told) == 1
    story.unhold()
    story.wait_released()

"""Two operators and one Lease: one of them writes, whatever becomes of the other."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.operator_process import Operator, wait_for
from support.story import Story, played
from support.traffic import Traffic
from testbed import identities
from testbed.bed import Bed
from testbed.proxy import before_api_server
from testbed.recorder import Recorder, Write

pytestmark = [pytest.mark.servers, pytest.mark.slow]

ONE, TWO = "one", "two"
# The lease lasts 15 s and is asked for every 2 s; the rest is for a loaded machine.
TAKEOVER_SECONDS = 45.0


@dataclass(frozen=True)
class Replica:
    """An operator behind a recorder of its own."""

    operator: Operator
    recorder: Recorder

    def decided(self) -> list[Write]:
        """What it wrote apart from the Lease."""
        return [write for write in self.recorder.writes() if write.resource != "leases"]


@pytest.fixture
def replica(bed: Bed, namespace: str, tmp_path: Path) -> Iterator[Callable[[str], Replica]]:
    """Starts operators for this namespace alone, which compete for a Lease in it."""
    account = identities.service_account(bed.kube, namespace, "penstock")
    identities.bind(bed.kube, account, "cluster-admin")
    bearer = identities.token(bed.kube, account)
    with ExitStack() as opened:

        def start(name: str) -> Replica:
            proxy = opened.enter_context(before_api_server(bed.server, bed.pki))
            path = identities.token_kubeconfig(
                tmp_path / name, proxy.url, bed.ca_file, bearer, namespace=namespace
            )
            operator = Operator(
                bed,
                tmp_path / f"{name}.log",
                kubeconfig=path,
                identity=name,
                namespace=namespace,
                lease_namespace=namespace,
            )
            return Replica(opened.enter_context(operator), proxy.recorder)

        yield start


@pytest.fixture
def pair(
    bed: Bed, namespace: str, traffic: Traffic, replica: Callable[[str], Replica]
) -> tuple[Story, Replica, Replica]:
    """The first leads, the second is warm; a gate stands open."""
    one = replica(ONE)
    story = Story(bed, namespace, one.operator, traffic)
    wait_leader(story, ONE)
    two = replica(TWO)
    story.source()
    story.slo()
    story.deploy(played(replicas=2))
    story.rollout()
    story.wait_gate("Open", "BudgetHealthy")
    return story, one, two


def lease(story: Story) -> dict[str, Any]:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{story.namespace}/leases/penstock"
    found = story.kube.call("GET", path, ok=(404,))
    return found["spec"] if found else {}


def wait_leader(story: Story, name: str, seconds: float = TAKEOVER_SECONDS) -> None:
    wait_for(
        f"{name} leads", lambda: lease(story), lambda it: it.get("holderIdentity") == name, seconds
    )


def test_one_of_two_writes_and_if_it_sleeps_through_its_lease_it_ends_with_3(
    pair: tuple[Story, Replica, Replica],
) -> None:
    story, one, two = pair
    wait_for("it is told", story.reasons)
    assert one.decided()
    assert two.recorder.writes() == []
    os.kill(one.operator.pid, signal.SIGSTOP)
    try:
        wait_leader(story, TWO)
        story.hold()
        story.wait_gate("Closed", "HeldByPerson")
        before = len(one.recorder.writes())
    finally:
        os.kill(one.operator.pid, signal.SIGCONT)

    assert one.operator.wait_end() == 3
    story.operator = two.operator

    assert one.recorder.writes()[before:] == []
    assert lease(story)["holderIdentity"] == TWO
    assert lease(story)["leaseTransitions"] == 1
    assert story.reasons().count("HeldByPerson") == 1
    assert story.gate()["state"] == "Closed"
    assert two.decided()


def test_one_that_is_asked_to_stop_lets_the_other_in_at_once(
    pair: tuple[Story, Replica, Replica],
) -> None:
    story, one, two = pair

    assert one.operator.stop() == 0
    story.operator = two.operator

    assert lease(story)["holderIdentity"] in ("", TWO)
    wait_leader(story, TWO)
    story.hold()
    story.wait_gate("Closed", "HeldByPerson")

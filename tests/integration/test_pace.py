"""How often Prometheus is asked: seldom at rest, often from the moment that a release begins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.penstock_run import Operator, wait_for
from support.story import Story
from support.traffic import Traffic
from testbed.bed import Bed
from testbed.identities import ServiceAccount, token, token_kubeconfig
from testbed.proxy import FaultProxy

pytestmark = [pytest.mark.servers, pytest.mark.slow]

# So long that no test lives to see the next round at rest.
REST_SECONDS = 600.0
QUIET_SECONDS = 8.0
# One evaluation, and a look at how the source stands.
FEW = 3


@pytest.fixture
def own(
    policies: Bed, namespace: str, shipped: ServiceAccount, proxy: FaultProxy, tmp_path: Path
) -> Iterator[Operator]:
    kubeconfig = token_kubeconfig(
        tmp_path / "kubeconfig", proxy.url, policies.ca_file, token(policies.kube, shipped)
    )
    with Operator(
        policies,
        tmp_path / "penstock.log",
        kubeconfig=kubeconfig,
        namespace=namespace,
        interval=f"{REST_SECONDS:g}",
    ) as operator:
        yield operator


@pytest.fixture
def story(bed: Bed, namespace: str, own: Operator, traffic: Traffic) -> Story:
    return Story(bed, namespace, own, traffic)


@pytest.fixture
def prometheus(story: Story) -> Iterator[FaultProxy]:
    with FaultProxy(story.bed.prometheus_url) as proxy:
        yield proxy


def test_a_release_is_watched_closely_from_its_first_moment_to_its_end_and_not_after(
    story: Story, prometheus: FaultProxy
) -> None:
    story.guarded()
    story.source(url=prometheus.url)
    wait_for("it is asked here", lambda: prometheus.log)
    assert asked_in_a_while(prometheus) <= FEW
    before = len(prometheus.log)

    story.change(ready_after="never")
    wait_for("it is asked often", lambda: len(prometheus.log), lambda it: it > before + 3 * FEW)

    story.go_back()
    story.wait_complete()
    wait_for("nothing is under way", lambda: story.status().get("release"), lambda it: not it)
    story.wait_gate("Open", "BudgetHealthy")
    assert asked_in_a_while(prometheus) <= FEW


def asked_in_a_while(prometheus: FaultProxy) -> int:
    """Requests in some seconds, after a moment in which what is under way may end."""
    time.sleep(2)
    before = len(prometheus.log)
    time.sleep(QUIET_SECONDS)
    return len(prometheus.log) - before

"""How often Prometheus is asked: seldom at rest, often from the moment that a release begins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path

import pytest

from penstock.adapters.source_client import OVERLOADED_DETAIL
from support.operator_process import Operator, wait_for
from support.story import Story
from support.traffic import BROKEN, Traffic
from testbed.bed import Bed
from testbed.fault_actions import Status
from testbed.fault_plan import Match, Plan, Rule
from testbed.identities import ServiceAccount, token, token_kubeconfig
from testbed.proxy import FaultProxy

pytestmark = [pytest.mark.servers, pytest.mark.slow]

# So long that no test lives to see the next round at rest.
REST_SECONDS = 600.0
QUIET_SECONDS = 8.0
# One evaluation, and a look at how the source stands.
FEW = 3
ASKED_SECONDS = 4


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


def test_a_source_with_too_much_to_do_is_left_alone_as_long_as_it_asks_and_holds_stay(
    story: Story, prometheus: FaultProxy
) -> None:
    story.guarded()
    story.source(url=prometheus.url)
    story.change(ready_after="never")
    story.wait_replicas(v1=8, v2=5)
    story.slo(service=BROKEN)
    story.wait_held("partial")

    busy = Status(429, (("Retry-After", str(ASKED_SECONDS)),))
    with prometheus.faults(Plan((Rule(Match(), busy),))):
        story.wait_gate("Unknown", "MetricsUnreachable")
        wait_for("it was asked again", lambda: throttled(prometheus)[2:])
        ready = story.condition("Ready", "default", "metricssources")
        assert (ready["status"], ready["reason"]) == ("False", "MetricsUnreachable")
        assert "429 Too Many Requests: come back in 4 s" in ready["message"]
        assert ready["message"].endswith(OVERLOADED_DETAIL)
        assert story.status()["hold"]["active"] is True
        assert story.deployment()["spec"]["paused"] is True
    times = throttled(prometheus)
    assert all((two - moment).total_seconds() >= ASKED_SECONDS for moment, two in pairwise(times))

    story.wait_gate("Closed")
    assert story.status()["hold"]["active"] is True
    ready = story.wait_condition("Ready", "True", "Connected", "default", "metricssources")
    assert ready["message"] == f"it answers again; {OVERLOADED_DETAIL}"


def throttled(prometheus: FaultProxy) -> list[datetime]:
    """When it was asked and had too much to do."""
    return [one.at for one in prometheus.log if one.status == HTTPStatus.TOO_MANY_REQUESTS]


def asked_in_a_while(prometheus: FaultProxy) -> int:
    """Requests in some seconds, after a moment in which what is under way may end."""
    time.sleep(2)
    before = len(prometheus.log)
    time.sleep(QUIET_SECONDS)
    return len(prometheus.log) - before

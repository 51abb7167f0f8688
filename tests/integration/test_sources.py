"""What a MetricsSource says about itself, and how it comes back, with a whole operator."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from support.auth_proxy import AuthProxy, auth_proxy
from support.operator_process import wait_for
from support.story import Story
from testbed.bed import Bed

pytestmark = [pytest.mark.servers, pytest.mark.slow]

BEARER = {"bearer": {"tokenRef": {"name": "prometheus", "key": "token"}}}


@pytest.fixture
def before(bed: Bed) -> Iterator[AuthProxy]:
    with auth_proxy(bed.prometheus_url) as standing:
        yield standing


def secret(story: Story, **data: str) -> None:
    """Write a Secret named prometheus, as its author."""
    path = f"/api/v1/namespaces/{story.namespace}/secrets"
    body = {
        "metadata": {"name": "prometheus"},
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()},
    }
    if story.kube.call("GET", f"{path}/prometheus", ok=(404,)) is None:
        story.kube.call("POST", path, body)
    else:
        story.kube.call("PUT", f"{path}/prometheus", body)


def wait_ready(story: Story, status: str, reason: str) -> dict[str, Any]:
    return story.wait_condition("Ready", status, reason, name="default", resource="metricssources")


def events(story: Story) -> list[tuple[str, str]]:
    """Type and reason of each Event about the source, in order."""
    path = f"/api/v1/namespaces/{story.namespace}/events"
    found = [
        one
        for one in story.kube.call("GET", path)["items"]
        if one["involvedObject"]["kind"] == "MetricsSource"
    ]
    found.sort(key=lambda one: int(one["metadata"]["resourceVersion"]))
    return [(one["type"], one["reason"]) for one in found]


def test_a_source_that_answers_is_ready_and_kubectl_shows_it(story: Story) -> None:
    story.source()
    ready = wait_ready(story, "True", "Connected")
    assert ready["observedGeneration"] == 1
    wait_for("an Event tells it", lambda: events(story), lambda it: it == [("Normal", "Connected")])

    lines = story.do("get", "metricssources").splitlines()
    assert lines[0].split() == ["NAME", "URL", "READY", "REASON", "AGE"]
    assert lines[1].split()[2:4] == ["True", "Connected"]
    status = story.read("metricssources", "default")["status"]
    assert status["observedGeneration"] == 1
    assert status["lastAnsweredAt"].startswith(datetime.now(UTC).strftime("%Y-"))


def test_what_a_source_lacks_is_reported_with_its_remedy_and_each_step_is_one_event(
    story: Story, before: AuthProxy
) -> None:
    before.bearers = {"planted-right"}
    story.apply("MetricsSource", "default", {"url": before.url, "auth": BEARER})
    story.slo()
    told = wait_ready(story, "False", "SecretNotFound")["message"]
    assert told == (
        "spec.auth.bearer.tokenRef: there is no Secret prometheus in namespace "
        f"{story.namespace}; create it"
    )
    story.wait_condition("Ready", "False", "Unauthorized", name="web", resource="slos")

    secret(story, password="planted-right")
    wait_for(
        "it lacks the key",
        lambda: story.condition("Ready", "default", "metricssources")["message"],
        lambda it: "has no key token; add it" in it,
    )
    secret(story, token="planted-wrong")
    wait_ready(story, "False", "Unauthorized")
    secret(story, token="planted-right")
    wait_ready(story, "True", "Connected")
    story.wait_measured()

    described = story.do("describe", "metricssources", "default")
    assert "spec.auth.bearer.tokenRef: there is no Secret prometheus" in described
    wait_for(
        "each transition is one Event",
        lambda: events(story),
        lambda it: (
            it
            == [
                ("Warning", "SecretNotFound"),
                ("Warning", "Unauthorized"),
                ("Normal", "Connected"),
            ]
        ),
    )


def test_a_source_that_cannot_be_used_says_which_field(story: Story) -> None:
    story.source(url="http://[::1")
    told = wait_ready(story, "False", "MetricsUnreachable")["message"]
    assert told == "spec.url is not a URL"


def test_a_changed_source_is_checked_at_once(story: Story) -> None:
    story.source(url="http://127.0.0.1:1")
    wait_ready(story, "False", "MetricsUnreachable")
    story.source()
    assert wait_ready(story, "True", "Connected")["observedGeneration"] == 2


def test_the_time_of_transition_and_the_events_survive_a_restart(story: Story) -> None:
    story.source(url="http://127.0.0.1:1")
    ready = wait_ready(story, "False", "MetricsUnreachable")
    wait_for("an Event tells it", lambda: events(story), len)
    version = story.read("metricssources", "default")["metadata"]["resourceVersion"]
    story.operator.kill()
    story.operator.start()
    story.slo()
    story.wait_condition("Ready", "False", "MetricsUnreachable", name="web", resource="slos")
    assert story.condition("Ready", "default", "metricssources") == ready
    assert events(story) == [("Warning", "MetricsUnreachable")]
    assert story.read("metricssources", "default")["metadata"]["resourceVersion"] == version


def test_an_slo_that_was_measured_says_so_when_its_source_goes_away(story: Story) -> None:
    story.source()
    story.slo()
    story.wait_measured()
    assert story.read("slos")["status"]["budget"]
    story.source(url="http://127.0.0.1:1")
    story.wait_condition("Ready", "False", "MetricsUnreachable", name="web", resource="slos")
    status = story.read("slos")["status"]
    assert status["state"] == "Unknown"
    assert "budget" not in status
    story.source()
    story.wait_measured()

"""Objects that the API server takes and nobody can act on: each says so of its own generation."""

from __future__ import annotations

import pytest

from support.story import Story

pytestmark = [pytest.mark.servers, pytest.mark.slow]


def of(regex: str) -> dict[str, object]:
    return {"ratio": {"bad": f'http_requests_total{{code=~"{regex}"}}', "total": "up"}}


def test_an_slo_that_cannot_be_acted_on_says_of_which_generation_that_is(story: Story) -> None:
    story.source()
    for generation, regex in enumerate(("(", "[", "("), start=1):
        story.slo(indicator=of(regex))
        story.wait(
            f"generation {generation} is told",
            lambda it, number=generation: it["status"]["observedGeneration"] == number,
            resource="slos",
        )
        ready = story.condition("Ready", resource="slos")
        assert (ready["status"], ready["reason"]) == ("False", "SpecInvalid")
        assert ready["observedGeneration"] == generation
    story.slo()
    story.wait_measured()
    assert story.read("slos")["status"]["observedGeneration"] == 4

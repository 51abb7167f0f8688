"""A release under way while errors go on: what it costs is told, and is gone with it."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from support.operator_process import wait_for
from support.story import IMAGE, NAME, Story, played
from support.traffic import BROKEN

pytestmark = [pytest.mark.servers, pytest.mark.slow]

# What moves is written once a minute at most.
A_MINUTE_AND_MORE = 150.0


def shown(story: Story) -> list[tuple[str, Decimal]]:
    """The release and its number in /metrics."""
    line = re.compile(
        rf'^penstock_release_budget_spent_ratio{{namespace="{story.namespace}",'
        rf'release="(\w+)",rollout="{NAME}",slo="{NAME}"}} (\S+)$',
        re.MULTILINE,
    )
    return [(id_, Decimal(number)) for id_, number in line.findall(story.operator.metrics())]


def test_what_a_release_has_spent_is_in_its_status_its_sentence_and_the_metrics(
    story: Story,
) -> None:
    story.source()
    story.slo(service=BROKEN, window={"rolling": "1h"})
    story.wait_measured()
    story.deploy(played(replicas=4))
    story.rollout(mode="Audit")
    story.wait("it is stable", lambda it: it["status"].get("stable"))
    assert shown(story) == []

    story.change(ready_after="never")
    spent = wait_for("what it has spent is known", lambda: shown(story))
    more = wait_for("more is spent", lambda: shown(story), lambda it: it and it[0][1] > spent[0][1])
    release = story.wait(
        "its status says so",
        lambda it: it["status"].get("release", {}).get("spentRatio"),
        seconds=A_MINUTE_AND_MORE,
    )["status"]["release"]
    assert Decimal(release["spentRatio"]) > 0
    assert release["spentSlo"] == NAME
    assert more[0][0] == release["id"]
    assert f"of the error budget of {NAME} was spent since" in story.gate()["message"]
    assert "Spent Ratio:" in story.do("describe", "rollouts.penstock.dev", NAME)

    story.change(ready_after="0", image=f"{IMAGE}:3")
    story.wait_complete(tag="3")
    story.wait("no release is under way", lambda it: "release" not in it["status"])
    wait_for("it is shown no longer", lambda: shown(story), lambda it: not it)
    # What it was judged by is a ledger, which knows more than a look at this moment.
    story.do("delete", "rollouts.penstock.dev", NAME)

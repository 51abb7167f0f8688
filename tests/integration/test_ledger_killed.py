"""`kill -9` while an operator reads the past into its ledgers: the next one's are no different."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.history import NOW
from support.operator_process import Operator, wait_for
from support.scrapes import Scrapes, Target, series
from support.story import Story
from support.traffic import Traffic
from testbed.bed import Bed
from testbed.fault_actions import Delay
from testbed.fault_plan import Match, Plan, Rule
from testbed.proxy import FaultProxy

pytestmark = [pytest.mark.servers, pytest.mark.slow]

HOUR, EVERY = 3_600, 15
SELECTOR = 'http_requests_total{service="shop"}'
INDICATOR = {"ratio": {"bad": f'{SELECTOR[:-1]},code="500"}}', "total": SELECTOR}}
# Hours ago in which each scrape finds one more error: in the buckets, and in the hours before them.
FAILING = (2, 3, 9, 20)
ERRORS = len(FAILING) * HOUR // EVERY
# The first is a close of all buckets that burn rates need, the others are hours of the past.
KILLED_DURING = (1, 2, 4)


@pytest.fixture
def between(tmp_path: Path) -> Iterator[FaultProxy]:
    """Before a Prometheus with two days of a shop that is scraped until now."""
    now = int((datetime.now(UTC) - NOW).total_seconds())
    scrapes, good, bad = Scrapes(), 0, 0
    target = Target(scrapes, {"job": "shop", "instance": "1"})
    codes = {
        code: series("http_requests_total", service="shop", code=code) for code in ("200", "500")
    }
    for at in range(now - 48 * HOUR, now + 20, EVERY):
        good += 10
        bad += (now - at) // HOUR in FAILING
        target.answers(at, {codes["200"]: good, codes["500"]: bad}, now - 50.0 * HOUR)
    with scrapes.served(tmp_path) as url, FaultProxy(url) as standing:
        yield standing


@pytest.fixture
def story(bed: Bed, namespace: str, traffic: Traffic, tmp_path: Path) -> Iterator[Story]:
    with Operator(bed, tmp_path / "penstock.log", namespace=namespace) as operator:
        yield Story(bed, namespace, operator, traffic)


def test_killed_in_the_middle_of_a_close_it_continues_as_if_nothing_had_been(
    story: Story, between: FaultProxy
) -> None:
    # What was sent ends here: it is to be new for as long as a loaded machine may take.
    story.apply("MetricsSource", "default", {"url": between.url, "freshness": "30m"})
    with between.faults(Plan((Rule(Match(path="query_range"), Delay(1)),))):
        before = asked(between)
        story.slo(objective="90%", window={"rolling": "1d"}, indicator=INDICATOR)
        for number in KILLED_DURING:
            wait_for("it reads", lambda most=before + number: asked(between) >= most)
            story.operator.kill()
            before = asked(between)
            story.operator.start()
    story.wait(
        "its past is read to the event",
        lambda it: f": {ERRORS} bad of " in it["status"].get("summary", ""),
        resource="slos",
    )


def asked(between: FaultProxy) -> int:
    return sum("query_range" in one.path for one in between.log)

"""An operator without any snapshot that finds its own counters where it measures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from penstock.api.parse import parse_metrics_source, parse_slo
from penstock.domain.ledger import HOUR
from penstock.engine.budget.source_ledgers import SourceLedgers, counters_of
from support.history import NOW, prometheus
from support.operator_process import Operator, wait_for
from support.own_counters import JOB, Month
from support.remote_write import RECEIVER
from support.scrapes import ACCEPTING_LATE_SAMPLES, Scrapes, Target, series
from support.story import NAME, Story
from support.traffic import Traffic
from testbed.bed import Bed

pytestmark = [pytest.mark.servers, pytest.mark.slow]

SELECTOR = 'http_requests_total{service="quiet"}'
INDICATOR = {"ratio": {"bad": f'{SELECTOR[:-1]},code="500"}}', "total": SELECTOR}}
REQUESTS = 10  # between two scrapes, of which none fails
EVERY = 15
SIX_HOURS = timedelta(hours=6)  # are read raw at once


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with prometheus(tmp_path, RECEIVER, config=ACCEPTING_LATE_SAMPLES) as found:
        yield found


@pytest.fixture
def story(bed: Bed, namespace: str, traffic: Traffic, tmp_path: Path) -> Iterator[Story]:
    log = tmp_path / "penstock.log"
    with Operator(bed, log, namespace=namespace, own_job=JOB) as operator:
        yield Story(bed, namespace, operator, traffic)


def send_recent(url: str, now: datetime) -> None:
    """Raw samples of the last hours, and a minute more, in which the operator looks."""
    scrapes = Scrapes()
    target = Target(scrapes, {"job": "shop", "instance": "1"})
    begin = int((now - NOW).total_seconds()) - 9 * HOUR
    counter = series("http_requests_total", service="quiet", code="200")
    for nth in range((9 * HOUR + 20) // EVERY):
        target.answers(begin + nth * EVERY, {counter: 1_000.0 + REQUESTS * nth}, begin - 90_000.0)
    scrapes.send(url)


def test_a_month_whose_raw_samples_are_gone_is_judged_by_what_was_counted(
    story: Story, url: str
) -> None:
    story.source(url=url)
    body = {
        "metadata": {"name": NAME, "namespace": story.namespace, "uid": "any"},
        "spec": {"objective": "90%", "window": {"rolling": "30d"}, "indicator": INDICATOR},
    }
    source_ledgers = SourceLedgers(parse_metrics_source(story.read("metricssources", "default")))
    now = datetime.now(UTC)
    tracked = source_ledgers.ledger_for(parse_slo(body), now, {})
    # Its restarts are at the worst moment: after a full hour's counters were looked at, before it.
    month = Month(now - timedelta(minutes=(now.minute - 57) % 60))
    true = month.ledger(0)
    month.tell(counters_of(source_ledgers.source, tracked), true)
    month.send(url)
    send_recent(url, datetime.now(UTC))

    story.apply("SLO", NAME, body["spec"])
    status = story.wait(
        "its budget is known",
        lambda it: it["status"].get("state") == "Healthy",
        resource="slos",
        name=NAME,
    )["status"]
    assert Decimal(status["coverage"]) > Decimal("0.99")
    first, last = (int((now - one).timestamp()) // HOUR for one in (30 * month.DAY, SIX_HOURS))
    counts = [true.coarse.sums(number, number + 1) for number in range(first, last)]
    bad = sum(float(one.bad) for one in counts)
    total = sum(float(one.total) for one in counts) + 6.5 * HOUR / EVERY * REQUESTS
    left = 1 - bad / (0.1 * total)
    assert float(status["budget"]["remainingRatio"]) == pytest.approx(left, abs=0.005)
    metrics = story.operator.metrics()
    assert "# TYPE penstock_sli_events_total counter" in metrics
    name = counters_of(source_ledgers.source, tracked)
    labels = f'namespace="{story.namespace}",sli="{name}",slo="{NAME}"'
    assert f"penstock_slo_sli_info{{{labels}}} 1.0" in metrics
    story.do("delete", "slos.penstock.dev", NAME)
    wait_for("it is shown no more", story.operator.metrics, lambda page: name not in page)

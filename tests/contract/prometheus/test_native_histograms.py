"""Thresholds of native histograms, which have no series for a bucket, on a real Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from penstock.domain.evidence import EventCounts, EvidenceKind
from penstock.domain.quantities import Duration
from support.history import NOW, STEP, prometheus
from support.indicators import latency
from support.measuring import TRIAL, Meter, slo, source
from support.remote_write import RECEIVER, Histogram, Series, send

pytestmark = pytest.mark.servers

FIVE = Duration.parse("5m")


def histogram(job: str, growth: int) -> Series:
    """Each scrape ten times ``growth`` of up to 0.25 s, five of up to 0.5 s, one of up to 1 s."""
    counts = [(10 + 10 * growth * n, 5 + 5 * growth * n, 1 + growth * n) for n in range(481)]
    samples = [
        Histogram(round((NOW.timestamp() - 7_200 + n * STEP) * 1_000), -2, one)
        for n, one in enumerate(counts)
    ]
    return Series({"__name__": "seconds", "job": job, "instance": "pod"}, samples)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    config = {"storage": {"tsdb": {"out_of_order_time_window": "10d"}}}
    with prometheus(tmp_path_factory.mktemp("native"), RECEIVER, config=config) as url:
        send(url, [histogram("a", 1), histogram("b", 2), histogram("rest", 0)])
        yield url


@pytest.fixture
def meter() -> Iterator[Meter]:
    with Meter() as meter:
        yield meter


@pytest.mark.parametrize(("threshold", "bad"), [("250ms", 6), ("500ms", 1), ("1s", 0)])
def test_events_over_the_threshold_are_bad(meter, url, threshold, bad):
    slos = [slo(job, latency(f'seconds{{job="{job}"}}', threshold)) for job in ("a", "b")]
    found = meter.all(source(url), slos, NOW)
    assert meter.tally.requests == {"answered": TRIAL + 1}
    for growth, evidence in enumerate(found, 1):
        assert evidence.kind is EvidenceKind.FRESH, evidence
        count = evidence.reading.burn_windows[FIVE]
        assert float(count.bad) == pytest.approx(20 * growth * bad, rel=1e-6, abs=1e-6)
        assert float(count.total) == pytest.approx(20 * growth * 16, rel=1e-6)


def test_a_histogram_at_rest_is_no_traffic(meter, url):
    evidence = meter.one(source(url), slo("a", latency('seconds{job="rest"}', "250ms")), NOW)
    assert evidence.kind is EvidenceKind.NO_TRAFFIC
    assert evidence.reading.burn_windows[FIVE] == EventCounts(Decimal(0), Decimal(0))

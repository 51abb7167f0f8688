"""What a real VictoriaMetrics counts in each situation, and where it differs from Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from penstock.domain.evidence import EventCounts, EvidenceKind
from penstock.domain.metrics_source import Dialect, MetricsSource
from penstock.engine.promql.counting import (
    SelectorFn,
    at_least_its_last,
    exact_increase,
    plain_increase,
    reading,
)
from support.history import NOW
from support.indicators import ratio
from support.ledger_fixture import LOOKS, THEN, LedgerFixture, Shop
from support.measuring import Meter, slo, source
from support.scrapes import Scrapes, Target, series
from support.situations import (
    BUCKET,
    BY,
    ERROR,
    GONE,
    HOUR,
    METRIC,
    MORE,
    ONCE,
    TWELVE,
    Situation,
    play,
)
from support.victoria_metrics import NAME, stored

pytestmark = pytest.mark.servers(NAME)

OVERLOOKED = {
    "process that restarts and fails nearly as often again": Situation(
        29, lambda n: 30 if n <= 10 else 29, began=(-200, 11)
    ),
    "crash-looping pod seen in one scrape of each life": Situation(
        29, lambda n: {-5: 30, 11: 29}.get(n, GONE), began=(-5, 11)
    ),
}
"""A counter that falls by less than an eighth has not begun anew for VictoriaMetrics."""

SITUATIONS = TWELVE | MORE | ONCE | OVERLOOKED

WITHOUT_BASE = {
    "target whose labels change at the border": 380,
    "target whose labels change in the middle": 380,
}
"""Series of which nobody can know what is new: the first value in the bucket counts for nothing.

Prometheus stretches what is left to the length of the bucket.
"""

NOTHING = dict.fromkeys(OVERLOOKED, 0)
UNWATCHED = {
    "crash-looping pod seen in one scrape": 0,
    "errors begin with 40 at once in an old process": 0,
    "old process with a small counter scraped for the first time": 1_400,
}
"""Without `up` and start times; as on Prometheus."""

INCREASE = {
    "crash-looping pod seen in one scrape": 0,
    "outage of 20 minutes ends in the bucket": 180,
    "errors begin with 40 at once in an old process": 0,
    "errors begin with 40 at once beside other events": 0,
    "error counter of 30 reset and seen at 29": 3,
}
"""Where its own `increase` is wrong: it looks back 5 minutes, and guesses by value what is new."""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Scraped: with ``up`` and with the time at which each process began."""
    with stored(play(SITUATIONS, watched=True), tmp_path_factory.mktemp("watched")) as url:
        yield url


@pytest.fixture(scope="module")
def unwatched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same samples, as they come by OTLP: nothing but the counters."""
    with stored(play(SITUATIONS, watched=False), tmp_path_factory.mktemp("unwatched")) as url:
        yield url


@pytest.fixture
def meter() -> Iterator[Meter]:
    with Meter() as found:
        yield found


def where(url: str) -> MetricsSource:
    return source(url, dialect=Dialect.VICTORIA_METRICS)


def counted(meter: Meter, url: str, query: str, at: datetime = NOW) -> dict[str, Decimal]:
    rows = meter.run(meter.link(where(url)).ask(query, at)).rows
    return {labels["situation"]: Decimal(n) for labels, n in rows if labels["code"] == ERROR}


def expected(*differing: dict[str, int]) -> dict[str, Decimal]:
    """By situation: its truth, where nothing else is said."""
    true = {name: one.true for name, one in SITUATIONS.items()}
    for some in differing:
        true |= some
    return {name: Decimal(number) for name, number in true.items()}


CLOSING = exact_increase(reading(METRIC), BY, BUCKET, HOUR, thorough=True, growth=at_least_its_last)


def test_a_bucket_that_was_scraped_is_counted_exactly(meter, watched):
    found = counted(meter, watched, CLOSING)
    assert found == expected(WITHOUT_BASE)


def test_a_bucket_that_was_pushed_is_counted_as_by_prometheus(meter, unwatched):
    found = counted(meter, unwatched, CLOSING)
    assert found == expected(WITHOUT_BASE, UNWATCHED)


def test_a_burn_window_is_nearly_exact_too(meter, watched):
    found = counted(meter, watched, plain_increase(METRIC, BY, BUCKET))
    assert found == expected(WITHOUT_BASE, NOTHING, INCREASE)


def by_increase(read: SelectorFn, span: str) -> str:
    return read("increase", span)


def test_by_its_increase_alone_it_overlooks_restarts(meter, watched):
    """But for those that are told by a peak within the bucket."""
    text = exact_increase(reading(METRIC), BY, BUCKET, HOUR, thorough=True, growth=by_increase)
    found = counted(meter, watched, text)
    (overlooked,) = NOTHING.keys() - {"process that restarts and fails nearly as often again"}
    assert found == expected(WITHOUT_BASE, {overlooked: 0})


def test_the_time_of_the_last_sample_is_no_witness_since_it_outlives_a_stale_marker(meter, watched):
    wrong = CLOSING.replace("and abs(", "and timestamp(")
    assert wrong != CLOSING
    assert counted(meter, watched, wrong)["target whose labels change in the middle"] > 10_000


def test_a_range_query_counts_each_bucket_as_an_instant_one_does(meter, watched):
    step = timedelta(minutes=5)
    times = [NOW - n * step for n in reversed(range(13))]
    link = meter.link(where(watched))
    rows = meter.run(link.ask_range(CLOSING, times[0], times[-1], step.total_seconds())).rows
    ranged = {labels["situation"]: dict(points) for labels, points in rows}
    for at in times:
        instant = counted(meter, watched, CLOSING, at)
        assert instant
        assert instant == {
            name: Decimal(points[at.timestamp()])
            for name, points in ranged.items()
            if at.timestamp() in points
        }


def test_a_ledger_is_what_brute_force_says_to_the_event(meter, tmp_path: Path):
    """A day of pods that come and go: backfilled fast, read exactly, then summed up."""
    shop = Shop().serve()
    to_come = shop.scrapes.withhold(lambda at, _: at > (THEN - NOW).total_seconds())
    one = slo("a", ratio('http_requests_total{code="500"}', "http_requests_total"), window="1d")
    with stored(shop.scrapes, tmp_path) as url:
        books = LedgerFixture(meter, url, to_come, dialect=Dialect.VICTORIA_METRICS)
        assert books.measure([one], THEN)["a"].kind is EvidenceKind.WARMING_UP
        books.keep_up(THEN)
        evidence = books.measure([one], THEN)["a"]
    assert evidence.kind is EvidenceKind.FRESH, evidence
    assert evidence.reading is not None
    whole = evidence.reading.window_counts
    assert (whole.bad, whole.total) == shop.true(THEN - timedelta(days=1), THEN)
    assert evidence.reading.coverage == 1
    for burn_window in LOOKS:
        start = THEN - timedelta(milliseconds=burn_window.milliseconds)
        assert evidence.reading.burn_windows[burn_window] == EventCounts(*shop.true(start, THEN))


def test_a_bucket_without_a_scrape_has_no_row(meter, tmp_path: Path):
    """So that the gap is seen, and counted when it is over."""
    scrapes = Scrapes()
    target = Target(scrapes, {"job": "shop", "instance": "pod"})
    counter = series(METRIC, situation="outage", code=ERROR)
    for at in range(-3_600, 1, 15):
        if at > -480:
            target.fails(at)
        else:
            target.answers(at, {counter: 10_000 + at}, started=-100_000)
    with stored(scrapes, tmp_path) as url:
        found = [counted(meter, url, CLOSING, NOW - timedelta(seconds=s)) for s in (480, 180, 0)]
    assert found == [{"outage": Decimal(300)}, {}, {}]

"""Every kind of indicator on a real VictoriaMetrics, and what is said of what it cannot answer."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from penstock.domain.evidence import EventCounts, Evidence, EvidenceKind
from penstock.domain.indicator import CountedEvents, Indicator
from penstock.domain.metrics_source import Dialect, MetricsSource
from penstock.domain.quantities import Duration
from penstock.domain.source_status import SourceReason
from support.history import NOW, ago
from support.indicators import latency, probe, query, ratio, raw_ratio
from support.measuring import TRIAL, Meter, slo, source
from support.remote_write import Histogram, Series, send
from support.scrapes import Scrapes, Target, series
from support.victoria_metrics import NAME, settle, stored

pytestmark = pytest.mark.servers(NAME)

FIVE, HOUR = Duration.parse("5m"), Duration.parse("1h")
CODES = {"200": 90, "404": 3, "500": 5, "503": 2}
BUCKETS = {"0.1": 50, "0.3": 80, "1": 95, "+Inf": 100}
RECORDED = {"5m": 0.25, "30m": 0.125, "1h": 0.0625}


def played() -> Scrapes:
    """Two hours of one target of each kind."""
    scrapes = Scrapes()
    shop, young, gone, crossed = (
        Target(scrapes, {"job": job, "instance": "pod"})
        for job in ("shop", "young", "gone", "crossed")
    )
    for n, at in enumerate(range(-7_200, 1, 15)):
        counters = {series("http_total", code=code): 10_000 + n * up for code, up in CODES.items()}
        buckets = {series("took_bucket", le=le): 500 + n * up for le, up in BUCKETS.items()}
        ratios = {series(f"recorded_{window}"): share for window, share in RECORDED.items()}
        nothing = {series(f"nothing_{window}"): float("nan") for window in RECORDED}
        check = {series("probe_success"): 0 if at > -90 else 1}
        shop.answers(at, {**counters, **buckets, **ratios, **nothing, **check})
        crossed.answers(at, {series("http_total", code="500"): float("nan")})
        few, many = series("few_total"), series("many_total")
        young.answers(at, {few: 7, many: 40} if at >= 0 else {})
        if at <= -180:
            gone.answers(at, {series("gone_total"): 1_000 + n, series("probe_success"): 1})
        else:
            gone.is_gone(at)
    return scrapes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MetricsSource]:
    with stored(played(), tmp_path_factory.mktemp("indicators")) as url:
        yield source(url, dialect=Dialect.VICTORIA_METRICS)


@pytest.fixture
def meter() -> Iterator[Meter]:
    with Meter() as found:
        yield found


OF_SHOP = 'http_total{job="shop"}'
TOLD_APART = ratio('http_total{job="shop",code=~"5.."}', OF_SHOP)
KINDS: dict[str, tuple[Indicator, EventCounts]] = {
    "bad told apart by a label": (TOLD_APART, EventCounts(Decimal(140), Decimal(2_000))),
    "bad by a selector of its own": (
        ratio('http_total{code="500",job=~"shop|shop"}', OF_SHOP),
        EventCounts(Decimal(100), Decimal(2_000)),
    ),
    "good": (
        ratio('http_total{job="shop",code=~"2.."}', OF_SHOP, CountedEvents.GOOD),
        EventCounts(Decimal(200), Decimal(2_000)),
    ),
    "classic histogram": (
        latency("took_bucket", "300ms"),
        EventCounts(Decimal(400), Decimal(2_000)),
    ),
    "probe": (probe('probe_success{job="shop"}'), EventCounts(Decimal(90), Decimal(300))),
    "two queries": (
        query(
            f'sum(increase({OF_SHOP[:-1]},code="404"}}[$window]))',
            f"sum(increase({OF_SHOP}[$window]))",
        ),
        EventCounts(Decimal(60), Decimal(2_000)),
    ),
    "recorded ratio": (raw_ratio("recorded_$window"), EventCounts(Decimal("0.25"), Decimal(1))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_indicator_is_counted_to_the_event(meter, server, kind):
    indicator, count = KINDS[kind]
    found = meter.one(server, slo("a", indicator), NOW)
    assert found.kind is EvidenceKind.FRESH, found
    assert found.reading is not None
    assert found.reading.burn_windows[FIVE] == count


def test_it_is_asked_once_for_all_of_them_and_is_connected(meter, server):
    slos = [slo(f"s{n}", indicator) for n, (indicator, _) in enumerate(KINDS.values())]
    assert {one.kind for one in meter.all(server, slos, NOW)} == {EvidenceKind.FRESH}
    assert meter.tally.requests == {"answered": TRIAL + 1}
    assert meter.look(server).reason is SourceReason.CONNECTED


@pytest.mark.parametrize("dialect", [one for one in Dialect if one is not Dialect.VICTORIA_METRICS])
def test_asked_in_another_dialect_it_answers_for_half_a_minute_ago_and_is_not_relied_on(
    meter, server, dialect
):
    found = meter.one(source(server.url, dialect=dialect), slo("a", TOLD_APART), NOW)
    assert found.kind is EvidenceKind.CLOCK_SKEW
    assert "30 s behind ours" in found.detail
    assert found.detail.endswith("of VictoriaMetrics say so in spec.dialect")


def test_more_than_it_reads_in_one_query_is_asked_in_parts(meter, server):
    """A query of 16 KiB is the longest by default."""
    slos = [
        slo(f"s{n}", ratio(f'{OF_SHOP[:-1]},code="500",a!="{n}"}}', f'{OF_SHOP[:-1]},b!="{n}"}}'))
        for n in range(60)
    ]
    for rejected in (True, False):
        meter.tally.requests.clear()
        assert {one.kind for one in meter.all(server, slos, NOW)} == {EvidenceKind.FRESH}
        assert ("rejected" in meter.tally.requests) is rejected


def test_why_it_refuses_is_reported_without_the_query_that_it_repeats(meter, server):
    own = query("sum(histogram_count(rate(x[$window])))", "sum(increase(x[$window]))")
    found = meter.one(server, slo("a", own), NOW)
    assert found == Evidence(
        EvidenceKind.REJECTED,
        '127.0.0.1: query rejected: unsupported function "histogram_count"',
    )


def test_a_native_histogram_is_reported_as_lost(meter, server):
    """It becomes series by ranges of the server's choice: none ends at a threshold."""
    counts = [Histogram(round(ago(15 * n).timestamp() * 1_000), -2, (10, 5)) for n in (2, 1, 0)]
    send(server.url, [Series({"__name__": "native", "job": "a"}, counts)])
    settle(server.url)
    slos = [slo("a", latency("native", "250ms")), slo("b", TOLD_APART)]
    lost, other = meter.all(server, slos, NOW)
    assert lost == Evidence(
        EvidenceKind.SLO_INVALID,
        "spec.indicator.latency.histogram: VictoriaMetrics stores no native histograms; name the "
        "series of a classic one, which end in _bucket",
    )
    assert other.kind is EvidenceKind.FRESH
    rows = meter.run(meter.link(server).ask("native_bucket", NOW)).rows
    assert rows
    assert all("vmrange" in labels and "le" not in labels for labels, _ in rows)


def test_a_threshold_that_is_not_a_bucket_is_reported_with_the_nearest(meter, server):
    found = meter.one(server, slo("a", latency("took_bucket", "500ms")), NOW)
    assert found.kind is EvidenceKind.SLO_INVALID
    assert found.detail.endswith("the nearest: 300ms and 1s")


def test_what_is_gone_is_stale_and_what_never_was_is_absent(meter, server):
    gone = meter.one(server, slo("a", ratio('gone_total{code="5"}', "gone_total")), NOW)
    assert gone.kind is EvidenceKind.STALE
    assert "3m old" in gone.detail
    ended = ago(100)
    assert (
        meter.one(server, slo("a", ratio("gone_total", "gone_total")), ended).kind
        is EvidenceKind.FRESH
    )
    never = meter.one(server, slo("b", ratio("never_bad", "never_total")), NOW)
    assert never.kind is EvidenceKind.ABSENT


@pytest.mark.parametrize(("metric", "events"), [("few_total", 7), ("many_total", 0)])
def test_a_first_sample_is_new_events_if_it_is_under_ten_where_prometheus_waits_for_a_second(
    meter, server, metric, events
):
    found = meter.one(server, slo("a", ratio("never_total", metric)), NOW)
    assert found.kind is (EvidenceKind.FRESH if events else EvidenceKind.NO_TRAFFIC)
    assert found.reading is not None
    assert found.reading.window_counts == EventCounts(Decimal(0), Decimal(events))


def test_what_is_no_number_is_never_stored(meter, server):
    """So a recorded ratio of nothing is absent; of a counter there is nothing to be seen."""
    assert (
        meter.one(server, slo("a", raw_ratio("nothing_$window")), NOW).kind is EvidenceKind.ABSENT
    )
    nothing = ratio('http_total{job="crossed",code="500"}', 'http_total{job="crossed"}')
    assert meter.one(server, slo("b", nothing), NOW).kind is EvidenceKind.ABSENT

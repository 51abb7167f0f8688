"""Every kind of indicator on a real Prometheus: what is counted, what is said where nothing is."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal

import pytest

from penstock.domain.evidence import EventCounts, Evidence, EvidenceKind
from penstock.domain.indicator import CountedEvents, Indicator
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.quantities import Duration
from penstock.engine.promql import (
    CountQuery,
    CountRange,
    Counts,
    ExactBucket,
    IncreaseOver,
    build_indicator_query,
    fetch_counts,
)
from penstock.engine.promql.query_client import QueryRange
from support.history import NOW, STEP, History, ago
from support.indicators import latency, probe, query, ratio, raw_ratio
from support.measuring import TRIAL, Meter, slo, source

pytestmark = pytest.mark.servers

FIVE, HOUR = Duration.parse("5m"), Duration.parse("1h")
CODES = {"200": 90, "404": 3, "500": 5, "503": 2}
SERVICES = ["plain", "a|b", 'quote"s', "back\\slash", "dots.and+more", "line\nbreak", "ü"]
BUCKETS = {"0.1": 50, "0.3": 80, "1.0": 95, "2.5": 99, "+Inf": 100}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    past = History()
    for service in SERVICES:
        written = service.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        for code, growth in CODES.items():
            past.steady("http_total", {"service": written, "code": code}, step_up=growth)
        past.steady("http_total", {"service": written}, step_up=1)
    for border, growth in BUCKETS.items():
        past.steady("took_seconds_bucket", {"job": "a", "le": border}, step_up=growth)
        old = border.replace(".0", "")
        past.steady("took_seconds_bucket", {"job": "old", "le": old}, step_up=growth)
        past.steady("idle_seconds_bucket", {"le": border}, step_up=0)
    up = [(at, 1.0) for at in range(-7_200, 1, STEP)]
    down = [(at, 0.0 if -90 < at <= 0 else 1.0) for at in range(-7_200, 1, STEP)]
    past.add("probe_success", {"job": "x", "instance": "up"}, up)
    past.add("probe_success", {"job": "x", "instance": "down"}, down)
    past.add("probe_success", {"job": "gone", "instance": "up"}, up)
    past.add(
        "probe_success", {"job": "gone", "instance": "gone"}, [one for one in up if one[0] < -150]
    )
    past.add("probe_success", {"job": "odd", "instance": "odd"}, [(at, 0.5) for at, _ in up])
    for name, value in (("5m", 0.25), ("30m", 0.125), ("1h", 0.0625)):
        past.add(f"recorded_{name}", {"job": "a"}, [(at, value) for at, _ in up])
        past.add(f"nothing_{name}", {"job": "a"}, [(at, float("nan")) for at, _ in up])
        past.add(f"percent_{name}", {"job": "a"}, [(at, 25.0) for at, _ in up])
    with past.served(tmp_path_factory.mktemp("indicators")) as url:
        yield url


@pytest.fixture
def meter() -> Iterator[Meter]:
    with Meter() as meter:
        yield meter


@pytest.fixture
def server(url: str) -> MetricsSource:
    return source(url)


def share(evidence: Evidence, burn_window: Duration = HOUR) -> float:
    assert evidence.reading is not None, evidence
    count = evidence.reading.events(burn_window)
    assert count is not None
    return float(count.bad / count.total)


def of_service(service: str, events: str, counted: CountedEvents = CountedEvents.BAD) -> Indicator:
    quoted = json.dumps(service, ensure_ascii=False)
    return ratio(
        f"http_total{{service={quoted},{events}}}", f"http_total{{service={quoted}}}", counted
    )


COMPARISONS = [
    ('code="500"', 5),
    ('code=~"5.."', 7),
    ('code=~"5..|404"', 10),
    ('code!~"[24].."', 8),
    ('code!="200"', 11),
    ('code!~"2..",code!="404"', 8),
    ('code=~".*3",code!="404"', 2),
    ('code=""', 1),
    ('code=~"|404"', 4),
    ('code=~"nothing"', 0),
    ('code=~".+"', 100),
]


@pytest.mark.parametrize(("events", "growth"), COMPARISONS)
@pytest.mark.parametrize("counted", list(CountedEvents))
def test_events_separated_by_a_label_are_those_that_a_selector_of_their_own_gives(
    meter, server, events, growth, counted
):
    told_apart = of_service("plain", events, counted)
    two_legs = ratio(
        f'http_total{{service="plain",{events},job=""}}', 'http_total{service="plain"}', counted
    )
    one, other = meter.all(server, [slo("a", told_apart), slo("b", two_legs)], NOW)
    if growth == 0 and counted is CountedEvents.GOOD:
        assert {one.kind, other.kind} == {EvidenceKind.ABSENT}
        assert one.detail == other.detail
        return
    bad = growth if counted is CountedEvents.BAD else 101 - growth
    assert share(one) == pytest.approx(bad / 101, rel=1e-9)
    assert share(other) == pytest.approx(share(one), rel=1e-9)


def samples(meter: Meter, server: MetricsSource, indicator: Indicator) -> int:
    meter.one(server, slo("a", indicator), NOW)
    before = meter.tally.samples
    meter.one(server, slo("a", indicator), NOW)
    return meter.tally.samples - before


def test_telling_apart_by_a_label_reads_every_series_once(meter, server):
    told_apart = samples(meter, server, of_service("plain", 'code=~"..."'))
    two_legs = ratio(
        'http_total{service="plain",code=~"...",job=""}', 'http_total{service="plain"}'
    )
    assert told_apart < 0.6 * samples(meter, server, two_legs)


def test_services_of_any_name_are_asked_at_once_and_separated(meter, server):
    slos = [
        slo(f"s{n}", of_service(name, f'code=~"{code}"'), window="30m")
        for n, (name, code) in enumerate(itertools.product(SERVICES, ["5.."]))
    ]
    found = meter.all(server, slos, NOW)
    assert [share(one, Duration.parse("30m")) for one in found] == [
        pytest.approx(7 / 101, rel=1e-9)
    ] * len(slos)
    assert meter.tally.requests == {"answered": TRIAL + 1}


@pytest.mark.parametrize("job", ["a", "old"])
@pytest.mark.parametrize(
    ("threshold", "good"), [("100ms", 50), ("300ms", 80), ("1s", 95), ("2s500ms", 99)]
)
def test_events_over_the_threshold_are_bad(meter, server, job, threshold, good):
    evidence = meter.one(
        server, slo("a", latency(f'took_seconds_bucket{{job="{job}"}}', threshold)), NOW
    )
    assert evidence.kind is EvidenceKind.FRESH
    assert share(evidence) == pytest.approx(1 - good / 100, rel=1e-9)
    assert share(evidence, FIVE) == pytest.approx(1 - good / 100, rel=1e-9)


@pytest.mark.parametrize(
    ("threshold", "nearest"),
    [("500ms", "300ms and 1s"), ("50ms", "100ms"), ("5s", "2s500ms")],
)
@pytest.mark.parametrize("metric", ["took_seconds_bucket", "idle_seconds_bucket"])
def test_a_threshold_that_is_not_a_bucket_is_reported_with_the_nearest(
    meter, server, metric, threshold, nearest
):
    wrong, right = slo("a", latency(metric, threshold)), slo("b", latency(metric, "1s"))
    found = meter.all(server, [wrong, right], NOW)
    assert found[0] == Evidence(
        EvidenceKind.SLO_INVALID,
        f"spec.indicator.latency.threshold: {threshold} is not a bucket of the histogram; the "
        f"nearest: {nearest}",
    )
    assert found[1].kind in (EvidenceKind.FRESH, EvidenceKind.NO_TRAFFIC)


def test_a_histogram_that_is_not_there_is_absent(meter, server):
    for histogram in ("missing_bucket", "missing"):
        evidence = meter.one(server, slo("a", latency(histogram, "1s")), NOW)
        assert evidence == Evidence(
            EvidenceKind.ABSENT, "no series matches spec.indicator.latency.histogram in the last 1h"
        )


def test_a_probe_is_weighted_by_time(meter, server):
    evidence = meter.one(server, slo("a", probe('probe_success{job="x"}')), NOW)
    assert evidence.reading is not None
    assert evidence.reading.burn_windows[FIVE] == EventCounts(Decimal(90), Decimal(600))
    assert evidence.reading.window_counts == EventCounts(Decimal(90), Decimal(7_200))


def test_a_probed_target_that_vanished_is_down(meter, server):
    evidence = meter.one(server, slo("a", probe('probe_success{job="gone"}')), NOW)
    assert evidence.reading is not None
    bad, total = evidence.reading.burn_windows[FIVE].bad, evidence.reading.burn_windows[FIVE].total
    assert total == 600
    assert 0 <= bad <= 150


def test_a_probe_of_another_value_is_malformed(meter, server):
    evidence = meter.one(server, slo("a", probe('probe_success{job="odd"}')), NOW)
    assert evidence == Evidence(
        EvidenceKind.MALFORMED, "spec.indicator.probe.metric was neither 0 nor 1 in the last 1h"
    )


def test_an_authors_own_expressions_are_asked_with_their_window(meter, server):
    plain = 'http_total{service="plain"'
    own = query(
        f'sum(increase({plain},code=~"5.."}}[$window])) # errors',
        f"sum(\n  increase({plain}}}[$window])\n)",
    )
    evidence = meter.one(server, slo("a", own), NOW)
    assert evidence.kind is EvidenceKind.FRESH
    assert share(evidence) == pytest.approx(7 / 101, rel=1e-9)
    assert share(evidence, FIVE) == pytest.approx(7 / 101, rel=1e-9)


def test_an_expression_of_several_rows_is_ambiguous(meter, server):
    many = query('increase(http_total{service="plain"}[$window])', "sum(rate(http_total[$window]))")
    found = meter.one(server, slo("a", many), NOW)
    assert found.kind is EvidenceKind.AMBIGUOUS
    assert "5 series for bad in the last" in found.detail


def test_an_expression_that_gives_nothing_is_absent(meter, server):
    evidence = meter.one(server, slo("a", query("a_$window", "b_$window")), NOW)
    assert evidence == Evidence(
        EvidenceKind.ABSENT, "spec.indicator.query.total gives no number for the last 1h"
    )


def test_an_expression_that_only_prometheus_can_refuse_is_refused_by_it(meter, server):
    evidence = meter.one(server, slo("a", query("sum(x[$window])", "sum(x[$window])")), NOW)
    assert evidence.kind is EvidenceKind.REJECTED
    assert "expected type instant vector" in evidence.detail


def test_a_ratio_is_read_from_the_recording_of_its_window(meter, server):
    recorded = slo("a", raw_ratio("recorded_$window"), minimum=100)
    evidence = meter.one(server, recorded, NOW)
    assert evidence.kind is EvidenceKind.FRESH
    assert evidence.reading is not None
    assert evidence.reading.window_counts == EventCounts(Decimal("0.0625"), Decimal(1))
    assert share(evidence, FIVE) == 0.25


def test_a_ratio_of_nothing_is_no_number_and_one_over_all_is_malformed(meter, server):
    nothing = meter.one(server, slo("a", raw_ratio("nothing_$window")), NOW)
    assert nothing.kind is EvidenceKind.ABSENT
    percent = meter.one(server, slo("a", raw_ratio("percent_$window")), NOW)
    assert percent.kind is EvidenceKind.MALFORMED
    assert "25, which is not a share" in percent.detail


ALL_KINDS = [
    of_service("plain", 'code=~"5.."'),
    of_service("ü", 'code=~"5.."'),
    ratio('http_total{service="plain",code="500",job=""}', 'http_total{service="plain"}'),
    latency('took_seconds_bucket{job="a"}', "300ms"),
    probe('probe_success{job="x"}'),
    raw_ratio("recorded_$window"),
]


def asked(
    meter: Meter,
    server: MetricsSource,
    indicators: Sequence[Indicator],
    count_range: CountRange,
    when,
) -> list[Counts]:
    count_queries = [
        CountQuery(n, build_indicator_query(one), frozenset({count_range}))
        for n, one in enumerate(indicators)
    ]
    found = meter.run(fetch_counts(meter.asker, server, count_queries, when))
    assert all(isinstance(one, Counts) for one in found.values()), found
    return [found[n] for n in range(len(count_queries))]


@pytest.mark.parametrize(
    "leg", [IncreaseOver(FIVE), ExactBucket(FIVE, HOUR)], ids=["look", "close"]
)
def test_a_span_is_the_same_as_its_instants(meter, server, leg):
    step = timedelta(minutes=5)
    times = [NOW - 3 * step + n * step for n in range(4)]
    span = asked(meter, server, ALL_KINDS, leg, QueryRange(times[0], times[-1], FIVE))
    assert all(len(one.at[leg]) == len(times) for one in span)
    for at in times:
        moment = round(at.timestamp() * 1_000)
        for whole, one in zip(span, asked(meter, server, ALL_KINDS, leg, at), strict=True):
            assert whole.at[leg][moment] == one.at[leg][moment]


def test_closes_asked_together_are_those_asked_alone(meter, server):
    count_range = ExactBucket(FIVE, HOUR)
    together = asked(meter, server, ALL_KINDS, count_range, ago(60))
    for indicator, counts in zip(ALL_KINDS, together, strict=True):
        assert asked(meter, server, [indicator], count_range, ago(60)) == [counts]
    moment = round(ago(60).timestamp() * 1_000)
    assert together[0].at[count_range][moment] == EventCounts(Decimal(7 * 20), Decimal(101 * 20))


def test_a_time_without_data_is_missing(meter, server):
    count_range = IncreaseOver(FIVE)
    long_ago = QueryRange(NOW - timedelta(hours=3), NOW - timedelta(hours=1), HOUR)
    found = asked(meter, server, ALL_KINDS[:1], count_range, long_ago)[0]
    assert [len(found.at[count_range])] == [1]
    assert asked(meter, server, ALL_KINDS[:1], count_range, NOW + timedelta(days=1))[0].at == {
        count_range: {}
    }


def test_a_cycle_and_a_close_cost_no_more_samples_than_they_may(meter, server):
    """By code, each live series: 5 minutes, the open part (half a bucket and a minute), its age."""
    series = len(CODES) + 1
    indicator_query = build_indicator_query(of_service("plain", 'code=~"5.."'))
    cycle = CountQuery(
        0,
        indicator_query,
        frozenset({IncreaseOver(FIVE), IncreaseOver(Duration.parse("3m30s"))}),
        Duration.parse("2m"),
    )
    close = CountQuery(0, indicator_query, frozenset({ExactBucket(FIVE, HOUR)}))
    for count_query, most in ((cycle, 45), (close, 900)):
        meter.run(fetch_counts(meter.asker, server, [count_query], NOW))
        before = meter.tally.samples
        meter.run(fetch_counts(meter.asker, server, [count_query], NOW))
        assert (meter.tally.samples - before) / series <= most

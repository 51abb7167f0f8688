"""What the adapter reads from a real Prometheus is what the samples say, or why it is nothing."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.indicator import CountedEvents, QueryIndicator
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.quantities import Duration
from penstock.domain.window import CalendarWindow, Period, length
from support.history import NOW, STEP, History, ago
from support.indicators import ratio
from support.measuring import TRIAL, Meter, slo, source

pytestmark = pytest.mark.servers

SEED = 20_260
HOUR = Duration.parse("1h")
FIVE = Duration.parse("5m")
MANY = 40
RANDOM_PODS, RANDOM_SCRAPES = 3, 480


def random_traffic() -> dict[tuple[int, str], list[tuple[float, float]]]:
    """Counters of three pods and two codes over two hours; one in sixty scrapes finds a reset."""
    draw = random.Random(SEED)
    series: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for pod in range(RANDOM_PODS):
        values = {"200": 50_000.0, "500": 5_000.0}
        for n in range(RANDOM_SCRAPES + 1):
            if draw.random() < 1 / 60:
                values = {code: value / 2 for code, value in values.items()}
            values["200"] += draw.randint(0, 40)
            values["500"] += draw.randint(0, 3)
            at = (n - RANDOM_SCRAPES) * STEP
            for code, value in values.items():
                series.setdefault((pod, code), []).append((at, value))
    return series


def growth(samples: list[tuple[float, float]], seconds: float) -> float:
    """Brute force: what was added between the samples of the last so many seconds."""
    inside = [value for at, value in samples if -seconds < at <= 0]
    return sum(new - old if new >= old else new for old, new in itertools.pairwise(inside))


RANDOM = random_traffic()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    past = History()
    for (pod, code), samples in RANDOM.items():
        past.add("random_total", {"pod": str(pod), "code": code}, samples)
    for name in ("clean", "calm", "minimum"):
        past.steady(f"{name}_total", {"code": "200"}, step_up=5)
    past.steady("idle_total", {"code": "200"}, step_up=0)
    past.steady("idle_total", {"code": "500"}, step_up=0)
    for n in range(MANY):
        past.steady("many_total", {"service": f"s{n}", "code": "200"}, step_up=9)
        past.steady("many_total", {"service": f"s{n}", "code": "500"}, step_up=1)
    past.add("single_total", {}, [(-5, 100)])
    past.steady("quotes_total", {"path": r"/a\\b \"c\" d", "code": "200"}, step_up=3)
    past.steady("quotes_total", {"path": r"/a\\b \"c\" d", "code": "500"}, step_up=1)
    for name, end in (("ended_180_total", -180), ("ended_600_total", -600)):
        past.steady(name, {"code": "200"}, step_up=5, end=end)
    past.steady("nan_total", {"code": "200"}, step_up=5)
    past.add("nan_total", {"code": "500"}, [(-n * STEP, float("nan")) for n in range(20)])
    past.steady("too_many_bad_total", {}, step_up=20)
    past.steady("slightly_more_bad_total", {}, step_up=10.05)
    past.steady("reference_total", {}, step_up=10)
    past.steady("plain_gauge_like", {}, step_up=10)
    burst = [(at, 0.0 if at < -3_600 else 900.0) for at in range(-7_200, 1, STEP)]
    past.add("before_window_total", {}, [(at, 100 + value) for at, value in burst])
    late = [(at, 100.0 if at < 0 else 160.0) for at in range(-7_200, 1, STEP)]
    past.add("at_the_end_total", {}, late)
    with past.served(tmp_path_factory.mktemp("past")) as url:
        yield url


@pytest.fixture
def meter() -> Iterator[Meter]:
    with Meter() as meter:
        yield meter


@pytest.fixture
def server(url: str) -> MetricsSource:
    return source(url)


def counts(evidence: Evidence, burn_window: Duration = HOUR) -> tuple[float, float]:
    assert evidence.reading is not None, evidence
    events = evidence.reading.events(burn_window)
    assert events is not None, evidence
    return float(events.bad), float(events.total)


def kind(evidence: Evidence) -> EvidenceKind:
    return evidence.kind


def in_half_hour(evidence: Evidence) -> tuple[float, float]:
    return counts(evidence, Duration.parse("30m"))


@pytest.mark.parametrize("window", ["1h", "95m", "7200s"])
@pytest.mark.parametrize("counted", list(CountedEvents))
def test_random_traffic_with_resets_is_what_brute_force_counts(meter, server, window, counted):
    code = "5.." if counted is CountedEvents.BAD else "2.."
    random_slo = slo(
        "random", ratio(f'random_total{{code=~"{code}"}}', "random_total", counted), window=window
    )
    evidence = meter.one(server, random_slo, NOW)
    assert evidence.kind is EvidenceKind.FRESH
    for look in (Duration.parse(window), FIVE, Duration.parse("30m")):
        seconds = float(look.seconds)
        true = {key: growth(samples, seconds) for key, samples in RANDOM.items()}
        bad = sum(value for (_, code), value in true.items() if code == "500")
        total = sum(true.values())
        got_bad, got_total = counts(evidence, look)
        # increase() stretches both alike, from the samples inside to the whole look back.
        assert got_bad / got_total == pytest.approx(bad / total, rel=1e-9)
        assert got_total == pytest.approx(total * seconds / (seconds - STEP), rel=1e-9)


def test_an_error_series_that_was_never_born_is_no_errors(meter, server):
    evidence = meter.one(server, slo("a", ratio('clean_total{code="500"}', "clean_total")), NOW)
    assert evidence.kind is EvidenceKind.FRESH
    assert counts(evidence)[0] == 0
    assert evidence.reading.remaining.value == 1


def test_a_good_series_that_was_never_born_is_a_slip_and_not_an_outage(meter, server):
    good = ratio('clean_total{code="2OO"}', "clean_total", CountedEvents.GOOD)
    evidence = meter.one(server, slo("a", good), NOW)
    assert evidence.kind is EvidenceKind.ABSENT
    assert "no series matches spec.indicator.ratio.good" in evidence.detail


def test_good_events_are_taken_from_the_total(meter, server):
    good = ratio(
        'many_total{service="s1",code="200"}', 'many_total{service="s1"}', CountedEvents.GOOD
    )
    bad, total = counts(meter.one(server, slo("a", good), NOW))
    assert bad / total == pytest.approx(0.1, rel=1e-9)


def test_series_without_growth_are_no_traffic_and_burn_nothing(meter, server):
    evidence = meter.one(server, slo("a", ratio('idle_total{code="500"}', "idle_total")), NOW)
    assert evidence.kind is EvidenceKind.NO_TRAFFIC
    assert evidence.reading.burn(FIVE).value == 0
    assert evidence.reading.remaining is None


def test_too_few_events_are_said_to_be(meter, server):
    few = slo("a", ratio('minimum_total{code="500"}', "minimum_total"), minimum=10_000_000)
    assert meter.one(server, few, NOW).kind is EvidenceKind.INSUFFICIENT_EVENTS


def test_what_no_series_matches_is_absent(meter, server):
    evidence = meter.one(server, slo("a", ratio("nothing_bad", "nothing")), NOW)
    assert evidence == Evidence(
        EvidenceKind.ABSENT, "no series matches spec.indicator.ratio.total in the last 1h"
    )


def test_a_single_sample_is_no_count(meter, server):
    evidence = meter.one(server, slo("a", ratio("single_total", "single_total")), NOW)
    assert evidence.kind is EvidenceKind.ABSENT
    assert "a single sample so far" in evidence.detail


def test_a_sample_that_is_no_number_makes_the_count_malformed(meter, server):
    evidence = meter.one(server, slo("a", ratio('nan_total{code="500"}', "nan_total")), NOW)
    assert evidence.kind is EvidenceKind.MALFORMED
    assert '"NaN"' in evidence.detail


def test_more_bad_events_than_events_are_malformed(meter, server):
    wrong = ratio("too_many_bad_total", "reference_total")
    evidence = meter.one(server, slo("a", wrong), NOW)
    assert evidence.kind is EvidenceKind.MALFORMED
    assert "does total count them too?" in evidence.detail


def test_bad_events_that_are_a_little_ahead_are_all_events(meter, server):
    ahead = ratio("slightly_more_bad_total", "reference_total")
    bad, total = counts(meter.one(server, slo("a", ahead), NOW))
    assert bad == total > 0


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        ("ended_180_total", "the newest sample is 3m old, more than 2m (freshness)"),
        ("ended_600_total", "no new sample for more than 2m (freshness)"),
    ],
)
def test_data_that_ended_is_stale(meter, server, metric, says):
    evidence = meter.one(server, slo("a", ratio(f'{metric}{{code="500"}}', metric)), NOW)
    assert evidence == Evidence(EvidenceKind.STALE, says)


def test_freshness_is_the_sources_own(meter, url):
    old = slo("a", ratio('ended_180_total{code="500"}', "ended_180_total"))
    assert meter.one(source(url, freshness="4m"), old, NOW).kind is EvidenceKind.FRESH
    older = slo("a", ratio('ended_600_total{code="500"}', "ended_600_total"))
    assert meter.one(source(url, freshness="9m"), older, NOW, ["30m"]).kind is EvidenceKind.STALE
    assert meter.one(source(url, freshness="11m"), older, NOW, ["30m"]).kind is EvidenceKind.FRESH


def test_samples_from_the_future_are_a_wrong_clock(meter, server):
    calm = slo("a", ratio('calm_total{code="500"}', "calm_total"))
    assert meter.one(server, calm, ago(30)).kind is EvidenceKind.FRESH
    evidence = meter.one(server, calm, ago(60))
    assert evidence.kind is EvidenceKind.STALE
    assert evidence.detail.startswith("the newest sample is 1m in the future")


def test_growth_before_the_window_does_not_count(meter, server):
    burst = slo("a", ratio("before_window_total", "reference_total"))
    # The sample just at the window's start is outside, so the step that ends there is too.
    assert counts(meter.one(server, burst, NOW))[0] == 0
    one_scrape_longer = slo("a", ratio("before_window_total", "reference_total"), window="3631s")
    bad, _ = counts(meter.one(server, one_scrape_longer, NOW), Duration.parse("3631s"))
    assert bad == pytest.approx(900, rel=0.01)


def test_growth_in_the_last_scrape_counts(meter, server):
    late = slo("a", ratio("at_the_end_total", "reference_total"))
    bad, total = counts(meter.one(server, late, NOW))
    assert bad == pytest.approx(60 * 3_600 / (3_600 - STEP), rel=1e-9)
    assert total == pytest.approx(2_400, rel=1e-9)


def test_windows_may_have_odd_lengths(meter, server):
    odd = slo("a", ratio('clean_total{code="500"}', "clean_total"), window="1h1s")
    evidence = meter.one(server, odd, NOW, ["90s500ms", "1m"])
    assert counts(evidence, Duration.parse("90s500ms"))[1] > 0


def test_a_burn_window_without_two_samples_is_left_out(meter, server):
    evidence = meter.one(
        server, slo("a", ratio('clean_total{code="500"}', "clean_total")), NOW, ["10s", "5m"]
    )
    assert evidence.kind is EvidenceKind.FRESH
    assert set(evidence.reading.burn_windows) == {FIVE}


def test_a_calendar_window_reaches_back_to_its_start(meter, server):
    zone = ZoneInfo("Europe/Berlin")
    windows = [CalendarWindow(period, zone, "Europe/Berlin") for period in Period]
    clean = ratio('clean_total{code="500"}', "clean_total")
    for window in [one for one in windows if NOW - one.start(NOW) > timedelta(hours=2)]:
        reading = meter.one(server, slo("a", clean, window=window), NOW).reading
        assert float(reading.window_counts.total) == pytest.approx(7_200 / STEP * 5, rel=0.02)
        assert reading.window == length(window, NOW)
    begun = slo("a", clean, window=windows[0])
    just_now = meter.one(server, begun, windows[0].start(NOW))
    assert just_now.kind is EvidenceKind.INSUFFICIENT_HISTORY


AUTHORS_FORMS = [
    '  many_total{service="s1",code="500"}\n',
    'sum by (code) (many_total{service="s1",code="500"})',
    'sum(many_total{service="s1",code="500"}) by (code, service)',
    'SUM without (service) ( many_total { code = "500" , service = "s1" , } )',
    '((many_total{service="s1",code="500"}))',
    '{__name__="many_total",service="s1",code="500"}',
    '{"many_total",service="s1",code="500"}',
    "many_total{service='s1',code=~`5..`}",
]


@pytest.mark.parametrize("written", AUTHORS_FORMS)
def test_every_form_of_a_selector_is_read_the_same(meter, server, written):
    evidence = meter.one(server, slo("a", ratio(written, 'many_total{service="s1"}')), NOW)
    assert evidence.kind is EvidenceKind.FRESH, evidence
    assert counts(evidence) == (pytest.approx(240), pytest.approx(2_400))


def test_labels_with_quotes_and_backslashes_are_found(meter, server):
    path = r'path="/a\\b \"c\" d"'
    odd = ratio(f'quotes_total{{{path},code="500"}}', f"quotes_total{{{path}}}")
    bad, total = counts(meter.one(server, slo("a", odd), NOW))
    assert bad / total == pytest.approx(0.25, rel=1e-9)


def test_infos_are_not_warnings(meter, server):
    """Prometheus remarks on every query of a counter whose name does not end in _total."""
    gauge_like = slo("a", ratio("plain_gauge_like", "plain_gauge_like"))
    assert meter.one(server, gauge_like, NOW).kind is EvidenceKind.FRESH
    assert meter.tally.requests == {"answered": TRIAL + 1}


REFUSED = 'many_total{code=~"5{1001}"}'  # RE2 repeats nothing so often


def many(broken: dict[int, str] | None = None) -> list:
    return [
        slo(
            f"s{n}",
            ratio(
                (broken or {}).get(n, f'many_total{{service="s{n}",code="500"}}'),
                f'many_total{{service="s{n}"}}',
            ),
        )
        for n in range(MANY)
    ]


def test_forty_slos_of_one_shape_take_one_request(meter, server):
    found = meter.all(server, many(), NOW)
    assert set(map(kind, found)) == {EvidenceKind.FRESH}
    assert meter.tally.requests == {"answered": TRIAL + 1}
    assert meter.tally.samples > 0


def test_an_unreadable_query_costs_nobody_else_and_is_queried_separately_from_then_on(
    meter, server
):
    slos = many({17: REFUSED})
    found = meter.all(server, slos, NOW)
    assert [n for n, one in enumerate(found) if one.kind is not EvidenceKind.FRESH] == [17]
    assert found[17].kind is EvidenceKind.REJECTED
    assert "invalid repeat count" in found[17].detail
    first = meter.tally.requests.total()
    # At most two for each halving of 40; a half that is answered shows that it is not the server.
    assert first <= TRIAL + 1 + 2 * 6
    found = meter.all(server, slos, NOW)
    assert [one.kind for one in found].count(EvidenceKind.FRESH) == MANY - 1
    assert meter.tally.requests.total() - first == 2
    meter.tally.requests.clear()
    found = meter.all(server, many(), NOW)
    assert set(map(kind, found)) == {EvidenceKind.FRESH}


def test_several_unreadable_queries_are_each_found(meter, server):
    broken = dict.fromkeys((0, 1, 24, 25, 39), REFUSED)
    found = meter.all(server, many(broken), NOW)
    rejected = [n for n, one in enumerate(found) if one.kind is EvidenceKind.REJECTED]
    assert rejected == sorted(broken)
    assert [one.kind for one in found].count(EvidenceKind.FRESH) == MANY - len(broken)


@pytest.mark.parametrize(
    "escape",
    [
        'sum(many_total[$window:]), "penstock", "1t3600000", "", "") or (vector(1)',
        "vector(1) or on () vector(1000)",
        'label_replace(vector(7), "penstock", "0e3600000", "", "")',
        "5",
        "sum(",
        "$window",
    ],
)
def test_no_text_gets_out_of_its_parentheses(meter, server, escape):
    slos = [slo("evil", QueryIndicator(escape, escape)), *many()]
    clean = [one.reading.window_counts for one in meter.all(server, slos[1:], NOW)]
    found = meter.all(server, slos, NOW)
    assert [one.reading.window_counts for one in found[1:]] == clean


def test_all_of_a_tick_is_for_one_instant(meter, server):
    found = meter.all(server, many(), NOW - timedelta(seconds=7))
    assert {one.reading.at for one in found} == {NOW - timedelta(seconds=7)}
    assert {one.reading.window_counts.total for one in found} == {
        found[0].reading.window_counts.total
    }
    assert found[0].reading.window_counts.total > Decimal(0)

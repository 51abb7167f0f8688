"""Counting on a real Prometheus: what it costs, gaps, newborns, probes, native histograms."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from penstock.domain.quantities import Duration
from penstock.engine.promql.counting import (
    exact_increase,
    native_count,
    native_fraction,
    plain_increase,
    probe_good,
    probe_strays,
    probe_total,
    reading,
)
from support.history import NOW, ago
from support.remote_write import Histogram, Series, send
from support.scrapes import Scrapes, Target, ask, ask_range, series

pytestmark = pytest.mark.servers

FIVE, HOUR = Duration.parse("5m"), Duration.parse("1h")
STEADY_PODS, STEADY_SERIES = 3, 6
GAP_ENDS = -150
EVENTS = series("events_total")


def times(start: float, end: float) -> list[float]:
    """Scrapes every 15 s, 8 s before the quarters of a minute."""
    return [at - 8.0 for at in range(int(start), int(end) + 1, 15)]


def target(scrapes: Scrapes, job: str, instance: str = "pod") -> Target:
    return Target(scrapes, {"job": job, "instance": instance})


def steady(scrapes: Scrapes) -> None:
    for pod in range(STEADY_PODS):
        one = target(scrapes, "steady", f"pod-{pod}")
        for at in times(-8_000, 0):
            codes = (series("events_total", code=str(code)) for code in range(STEADY_SERIES))
            one.answers(at, dict.fromkeys(codes, 10000 + at), started=-100_000)


def gap_of_two_hours(scrapes: Scrapes) -> None:
    """One event a second; the pod that was there is replaced in the middle of the gap."""
    old, new, kept = (target(scrapes, "gap", name) for name in ("old", "new", "kept"))
    for at in times(-15_000, 0):
        in_gap = -7_500 < at < GAP_ENDS
        if in_gap:
            continue
        kept.answers(at, {EVENTS: 100_000 + at}, started=-100_000)
        if at < GAP_ENDS:
            old.answers(at, {EVENTS: 100_000 + at}, started=-100_000)
        else:
            new.answers(at, {EVENTS: at + 3_600}, started=-3_600)


def canary(scrapes: Scrapes) -> None:
    """A pod that began 40 s ago, was seen three times and has failed with its first requests."""
    old, new = target(scrapes, "canary", "old"), target(scrapes, "canary", "new")
    for at in times(-4_000, 0):
        old.answers(at, {series("events_total", code="500"): 5}, started=-100_000)
        if at > -45:
            new.answers(at, {series("events_total", code="500"): 31}, started=-40)


def probes(scrapes: Scrapes) -> None:
    healthy, ill, gone, new = (
        target(scrapes, "probes", name) for name in ("healthy", "ill", "gone", "new")
    )
    up = series("probe_success")
    for at in times(-7_200, 0):
        healthy.answers(at, {up: 1})
        ill.answers(at, {up: 0 if -130 < at < -60 else 1})
        if at < -180:
            gone.answers(at, {up: 1})
        else:
            gone.is_gone(at)
        if at > -60:
            new.answers(at, {up: 1})
    odd = target(scrapes, "odd-probe")
    for at in times(-600, 0):
        odd.answers(at, {up: 0.5 if at > -40 else 1})


def histograms() -> list[Series]:
    """Each 15 s ten requests of up to 0.25 s, five of up to 0.5 s, one of up to a second."""
    return [
        Series(
            {"__name__": "seconds", "job": "native", "instance": f"pod-{pod}"},
            [
                Histogram(round((NOW.timestamp() + at) * 1_000), -2, (10 * n, 5 * n, n))
                for n, at in enumerate(times(-3_600, 0), 1)
            ],
        )
        for pod in range(2)
    ]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    scrapes = Scrapes()
    for play in (steady, gap_of_two_hours, canary, probes):
        play(scrapes)
    with scrapes.served(tmp_path_factory.mktemp("closing")) as url:
        send(url, histograms())
        yield url


@pytest.mark.parametrize(
    ("back", "thorough", "each", "bar"),
    [(HOUR, False, 389, 900), (HOUR, True, 486, 900), (FIVE, False, 169, 190)],
)
def test_a_close_reads_few_samples_of_each_series(url, back, thorough, each, bar):
    text = exact_increase(
        reading('events_total{job="steady"}'), ["code"], FIVE, back, thorough=thorough
    )
    asked = ask(url, text, NOW)
    assert set(asked.by("code").values()) == {Decimal(300 * STEADY_PODS)}
    live = STEADY_PODS * STEADY_SERIES
    assert asked.samples <= each * live + 31 * len(ask(url, "up", NOW).rows)
    assert asked.samples <= bar * live


def test_plain_increase_reads_each_sample_once(url):
    asked = ask(url, plain_increase('events_total{job="steady"}', ["code"], FIVE), NOW)
    assert asked.samples == 20 * STEADY_PODS * STEADY_SERIES
    assert asked.by("code")["0"] == pytest.approx(Decimal(300 * STEADY_PODS))


def test_after_a_gap_one_question_finds_all_that_happened_in_it(url):
    read, by = reading('events_total{job="gap"}'), ["instance"]
    back, gap = Duration.parse("2h10m"), Duration.parse("2h")
    found = ask(url, exact_increase(read, by, FIVE, back, unseen=gap), NOW).by("instance")
    # From the last scrape before the gap, 7,508 s ago, and from the new pod's beginning.
    assert found == {"kept": 7_500, "new": 3_592}
    closed = ask(url, exact_increase(read, by, FIVE, HOUR), NOW).by("instance")
    assert closed["kept"] < 200
    assert closed["new"] < 200


def test_in_a_window_that_ends_now_the_first_errors_of_a_newborn_pod_count(url):
    selector = 'events_total{job="canary",code="500"}'
    for length, back in ((FIVE, HOUR), (FIVE, FIVE), (Duration.parse("70s"), FIVE)):
        assert ask(url, exact_increase(reading(selector), [], length, back), NOW).value == 31
        assert ask(url, plain_increase(selector, [], length), NOW).value == 0


def test_closed_buckets_and_the_open_part_make_the_whole(url):
    """Whatever the moment: nothing is counted twice and nothing left out at the borders."""
    read = reading('events_total{job="steady"}')
    first, boundary = ago(3_600), ago(300)
    closed = ask_range(url, exact_increase(read, [], FIVE, HOUR), first, boundary, 300, "job")[""]
    for seconds in (1, 22, 60, 299):
        at = boundary + timedelta(seconds=seconds)
        part = ask(url, exact_increase(read, [], Duration.of_seconds(seconds), HOUR), at).value or 0
        last = (
            3_600 - 300 + seconds + 8
        ) // 15 * 15 - 8  # seconds after `first` of the last scrape
        series_there = STEADY_PODS * STEADY_SERIES
        assert sum(closed.values()) + part == series_there * (300 + last + 8), seconds


def test_a_probe_is_weighted_by_time_and_a_target_that_vanished_is_bad(url):
    selector = 'probe_success{job="probes"}'
    good = ask(url, probe_good(selector, ["instance"], FIVE), NOW).by("instance")
    total = ask(url, probe_total(selector, ["instance"], FIVE, HOUR), NOW).by("instance")
    assert good == {"healthy": 300, "ill": 225, "gone": 120, "new": 60}
    assert total == {"healthy": 300, "ill": 300, "gone": 300, "new": 60}
    assert ask(url, probe_strays(selector, [], FIVE), NOW).value is None


def test_a_probe_that_vanished_is_forgotten_after_the_lookback(url):
    selector = 'probe_success{instance="gone"}'
    for minutes, seconds in ((4, 300), (64, None)):
        at = NOW + timedelta(minutes=minutes)
        assert ask(url, probe_total(selector, [], FIVE, HOUR), at).value == seconds
        assert ask(url, probe_good(selector, [], FIVE), at).value is None


def test_seconds_of_a_probe_add_up_over_windows_of_any_length(url):
    selector = 'probe_success{instance="healthy"}'
    for length, seconds in (("1m", 60), ("15s", 15), ("50s", 60), ("10s", 15)):
        span = Duration.parse(length)
        assert ask(url, probe_good(selector, [], span), NOW).value == seconds
        assert ask(url, probe_total(selector, [], span, HOUR), NOW).value == seconds
    between = NOW + timedelta(seconds=5)
    span = Duration.of_seconds(4)
    assert ask(url, probe_total(selector, [], span, HOUR), between).value is None


def test_a_probe_that_is_neither_0_nor_1_is_reported(url):
    assert ask(url, probe_strays('probe_success{job="odd-probe"}', [], FIVE), NOW).value == 3


def test_a_native_histogram_is_counted_and_cut_at_a_threshold(url):
    selector = 'seconds{job="native"}'
    of_pods, all_events = 2, 320
    count = ask(url, native_count(selector, [], FIVE), NOW).value
    assert count == pytest.approx(Decimal(of_pods * all_events))
    for threshold, share in (("250ms", "0.625"), ("500ms", "0.9375"), ("1s", "1")):
        query = native_fraction(selector, [], FIVE, Duration.parse(threshold))
        assert ask(url, query, NOW).value == pytest.approx(Decimal(share))
    absent = native_fraction('seconds{job="no"}', [], FIVE, Duration.parse("1s"))
    assert ask(url, absent, NOW).value is None


def test_a_native_histogram_at_rest_has_no_share(url):
    past_its_end = NOW + timedelta(minutes=4)
    query = native_fraction('seconds{job="native"}', [], Duration.parse("5m"), FIVE)
    assert ask(url, query, past_its_end).value is not None
    send(
        url,
        [
            Series(
                {"__name__": "seconds", "job": "rest", "instance": "pod"},
                [
                    Histogram(round((NOW.timestamp() + at) * 1_000), -2, (10, 5, 1))
                    for at in times(-600, 0)
                ],
            )
        ],
    )
    assert ask(url, native_count('seconds{job="rest"}', [], FIVE), NOW).value == 0
    share = native_fraction('seconds{job="rest"}', [], FIVE, Duration.parse("1s"))
    assert ask(url, share, NOW).value.is_nan()

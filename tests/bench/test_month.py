"""The month is the same by its seed, and its truth is what a real Prometheus holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from benchmarks.month import promises
from benchmarks.month.asking import Client
from benchmarks.month.data import BUCKET, Month
from benchmarks.month.generated import Size, make
from benchmarks.month.served import Served, served

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.xdist_group("month")]

SCRAPE = 15_000
SMALL = Size(days=1, services=8, fleet=2)


@pytest.fixture
def client(server: Served) -> Iterable[Client]:
    asking = Client(server.url)
    yield asking
    asking.close()


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def samples(client: Client, selector: str, month: Month) -> list[tuple[dict[str, str], list]]:
    """All of them, as milliseconds and number; a range selector leaves stale markers out."""
    days = (month.end - month.begin) // 86_400_000
    rows = client.raw(f"{selector}[{days}d]", month.end)
    return [(row, [(round(t * 1_000), int(text)) for t, text in values]) for row, values in rows]


def growth(values: list[tuple[int, int]], month: Month) -> Counter[int]:
    """By brute force: events by number of the bucket in which they were scraped."""
    found: Counter[int] = Counter()
    before = None
    for at, value in values:
        if before is None:
            grown = 0 if at < month.begin + SCRAPE else value
        else:
            grown = value - before if value >= before else value
        found[(at - month.begin - 1) // BUCKET] += grown
        before = value
    return +found


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    first, again = (make(tmp_path / name, 7, SMALL) for name in ("first", "again"))
    assert contents(first.folder) == contents(again.folder)
    other = make(tmp_path / "other", 8, SMALL)
    assert contents(other.folder)["truth.jsonl"] != contents(first.folder)["truth.jsonl"]


def test_the_truth_is_brute_force_over_the_raw_samples(month, client):
    compared = 0
    for service in month.services:
        true = {tuple(sorted(one.labels.items())): one for one in month.series[service]}
        for row, values in samples(client, f'http_requests_total{{service="{service}"}}', month):
            one = true.pop(
                tuple(sorted((n, row[n]) for n in ("service", "instance", "method", "code")))
            )
            numbers = enumerate(one.scraped, one.first)
            assert +Counter(dict(numbers)) == growth(values, month), row
            compared += 1
        assert all(sum(one.scraped) == 0 for one in true.values()), (
            "the truth of what nobody scraped"
        )
    assert compared > 200


def test_an_objective_takes_just_the_series_that_its_selectors_take(month, client):
    def found(selector: str) -> set[tuple[str, str, str]]:
        rows = client.instant(f"count_over_time({selector}[2d])", month.end)
        return {(row["instance"], row["method"], row["code"]) for row, _ in rows}

    known = {name: found(f'http_requests_total{{service="{name}"}}') for name in month.services}
    for one in [*promises.of_services(month), *promises.distinct(month, 100)]:
        taken = {
            (series.labels["instance"], series.labels["method"], series.labels["code"])
            for series in month.series[one.service]
            if one.takes(series.labels)
        } & known[one.service]
        assert found(one.total) == taken
        assert found(one.bad) == {labels for labels in taken if one.is_bad(labels[2])}


def test_the_truth_of_a_window_is_that_of_its_buckets(month):
    start = month.end - month.window_days * 86_400_000
    for one in promises.distinct(month, 100):
        buckets = promises.by_bucket(month, one, start, month.end)
        assert len(buckets) == 288 * month.window_days
        true = promises.truth(month, one, start, month.end)
        assert true == (sum(b.bad for b in buckets), sum(b.total for b in buckets))


def test_scrapes_show_nearly_all_real_events(month):
    """All but those between the last scrape of a process and its end, and more in an outage."""
    seen = [one for one in promises.of_services(month) if one.kind != "gappy"]
    for one in seen:
        start = month.end - month.window_days * 86_400_000
        scraped = promises.truth(month, one, start, month.end)
        real = promises.truth(month, one, start, month.end, real=True)
        assert 0.99 * real.total - 5 <= scraped.total <= 1.01 * real.total + 5, one.name


def test_a_pod_that_was_replaced_is_gone_at_once_because_its_series_are_marked_stale(month, client):
    for row, values in samples(client, 'up{service="steady00"}', month):
        last = values[-1][0]
        if last < month.end - 2 * SCRAPE:
            one = f'{{instance="{row["instance"]}"}}'
            assert len(client.instant(one, last)) == 8
            assert client.instant(one, last + SCRAPE) == []
            return
    pytest.fail("no pod was replaced")


def test_an_outage_leaves_up_at_0_or_nothing_at_all_and_counters_jump_after_it(month, client):
    outages = month.services["gappy00"].outages
    kinds = []
    for start, end in outages:
        seen = [
            value
            for _, values in samples(client, 'up{service="gappy00"}', month)
            for at, value in values
            if start <= at < end
        ]
        kinds.append(set(seen))
        assert client.instant('http_requests_total{service="gappy00"}', end - 1) == []
    assert {0} in kinds
    assert set() in kinds


def test_a_crash_resets_counters_and_the_start_time_says_so(month, client):
    starts = samples_as_float(client, 'process_start_time_seconds{service="crashy00"}', month)
    assert any(len(values) > 1 for values in starts)
    query = f'sum(resets(http_requests_total{{service="crashy00"}}[{month.window}]))'
    assert client.number(query, month.end) > 0


def samples_as_float(client: Client, selector: str, month: Month) -> list[set[str]]:
    rows = client.raw(f"{selector}[{month.window}]", month.end)
    return [{text for _, text in values} for _, values in rows]


def test_a_lazy_counter_begins_with_its_first_event(month, client):
    """All but those that were there before the month."""
    born = [
        values[0][1]
        for _, values in samples(client, 'http_requests_total{service="lowlazy00"}', month)
        if values[0][0] >= month.begin + SCRAPE
    ]
    assert born
    assert min(born) > 0


def test_late_samples_are_missing_until_they_arrive(month):
    query = f'count_over_time(up{{service="medium00"}}[{month.window}])'
    with served(month, late=False) as server:
        client = Client(server.url)
        before = client.instant(query, month.end)
        server.arrive_late()
        client.close()
        client = Client(server.url)
        after = client.instant(query, month.end)
        client.close()
    there = dict(map(of_instance, before))
    grown = {one: n - there.get(one, 0) for one, n in map(of_instance, after)}
    assert {one.rpartition("-")[2] for one, n in grown.items() if n} == {"1:8080"}, "of one pod"
    lasted = sum(end - start for start, end in month.services["medium00"].late)
    assert sum(grown.values()) == pytest.approx(lasted / SCRAPE, abs=20)


def of_instance(row: tuple[dict[str, str], float]) -> tuple[str, float]:
    return row[0]["instance"], row[1]

"""Queries that are too much for a real Prometheus, and a window as long as they get."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from penstock.domain.evidence import EvidenceKind
from penstock.domain.quantities import Duration
from support.history import NOW, History, prometheus
from support.indicators import ratio
from support.measuring import Meter, slo, source

pytestmark = pytest.mark.servers

MONTH = Duration.parse("30d")
STEP = 60
SPIKE = {-86_400 * day: 400.0 for day in (3, 11, 29)}
MOST_SAMPLES = 20_000


def month(growth: float, spikes: dict[int, float]) -> list[tuple[float, float]]:
    times = range(-31 * 86_400, 1, STEP)
    values = itertools.accumulate((growth + spikes.get(at, 0) for at in times), initial=1_000)
    return list(zip(times, itertools.islice(values, 1, None), strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    past = History()
    past.add("month_total", {"code": "200"}, month(60, {}))
    past.add("month_total", {"code": "500"}, month(0, SPIKE))
    for n in range(30):
        past.steady("small_total", {"service": f"s{n}", "code": "200"}, step_up=4)
    folder = tmp_path_factory.mktemp("month")
    past.write(folder)
    return folder


def small(n: int):
    total = f'small_total{{service="s{n}"}}'
    return slo(f"s{n}", ratio(f'small_total{{service="s{n}",code="500"}}', total), window="10m")


def test_a_query_that_is_too_large_is_refused_to_its_own_slo_alone(folder):
    """A series of 43,200 samples where the server takes 20,000 at once."""
    dear = slo("dear", ratio('month_total{code="500"}', "month_total"), window="30d")
    slos = [*map(small, range(10)), dear, *map(small, range(10, 24))]
    with prometheus(folder, f"--query.max-samples={MOST_SAMPLES}") as url, Meter() as meter:
        found = meter.all(source(url), slos, NOW)
        assert [
            n for n, evidence in enumerate(found) if evidence.kind is not EvidenceKind.FRESH
        ] == [10]
        assert found[10].kind is EvidenceKind.REJECTED
        assert "too many samples" in found[10].detail
        meter.tally.requests.clear()
        assert [evidence.kind for evidence in meter.all(source(url), slos, NOW)] == [
            o.kind for o in found
        ]
        assert meter.tally.requests == {"answered": 1, "rejected": 1}


def test_a_batch_that_is_too_large_as_a_whole_is_answered_in_parts(folder):
    """One SLO takes 123 samples at once, 25 of them 375."""
    slos = [small(n) for n in range(25)]
    with prometheus(folder, "--query.max-samples=200") as url, Meter() as meter:
        for _ in range(2):
            found = meter.all(source(url), slos, NOW)
            assert {evidence.kind for evidence in found} == {EvidenceKind.FRESH}, found[0]
        once = meter.tally.requests.copy()
        meter.all(source(url), slos, NOW)
        assert meter.tally.requests["rejected"] == once["rejected"] > 0


def test_thirty_days_are_read_with_their_rare_errors(folder):
    whole = slo("a", ratio('month_total{code="500"}', "month_total"), window="30d")
    with prometheus(folder) as url, Meter() as meter:
        evidence = meter.one(source(url), whole, NOW, ["1h", "6h", "5m", "30m"])
    assert evidence.kind is EvidenceKind.FRESH
    events = evidence.reading.events(MONTH)
    assert float(events.bad) == pytest.approx(sum(SPIKE.values()), rel=1e-4)
    assert float(events.total) == pytest.approx(60 * 43_200 + sum(SPIKE.values()), rel=1e-4)
    assert {
        burn_window: count.bad for burn_window, count in evidence.reading.burn_windows.items()
    } == dict.fromkeys(map(Duration.parse, ("1h", "6h", "5m", "30m")), 0)

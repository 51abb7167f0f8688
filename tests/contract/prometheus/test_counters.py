"""Ledgers lost with their snapshots, restored from our own counters in a real Prometheus."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from penstock.adapters.health_routes import metrics_route
from penstock.adapters.http_server import HttpServer
from penstock.adapters.metrics import MetricsRegistry
from penstock.domain.bucket_ring import BucketState
from penstock.domain.evidence import EventCounts, EvidenceKind
from penstock.domain.exported_counters import CounterTotals
from penstock.domain.ledger import HOUR
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import Slo
from penstock.engine.budget.ledger_restore import COUNTERS, LedgerRestore
from penstock.engine.budget.source_ledgers import TrackedLedger, counters_of
from support.history import prometheus
from support.indicators import ratio
from support.ledger_fixture import THEN, LedgerFixture, Shop
from support.measuring import Meter, slo
from support.own_counters import JOB, Month, PlayedClock, Scraped
from support.remote_write import RECEIVER
from support.scrapes import ACCEPTING_LATE_SAMPLES, Answered, Scrapes, ask
from testbed.servers import free_ports

pytestmark = pytest.mark.servers

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
FROM_THEN = int(THEN.timestamp())
PATIENCE = 60.0
BY_SLO = (
    'sum by (sli) (increase(penstock_sli_events_total{kind="bad"}[1d])) '
    "* on (sli) group_right () penstock_slo_sli_info"
)


def availability(window: str = "1d") -> Slo:
    indicator = ratio('http_requests_total{code="500"}', "http_requests_total")
    return slo("availability", indicator, window=window, objective="95%")


@pytest.fixture
def meter() -> Iterator[Meter]:
    with Meter() as found:
        yield found


def account_of(books: LedgerFixture) -> TrackedLedger:
    (tracked,) = books.library.source_ledgers(books.source)
    return tracked


def restored_hours(tracked: TrackedLedger) -> dict[int, EventCounts]:
    coarse = tracked.ledger.coarse
    return {
        number: count
        for number in range(coarse.first, FROM_THEN // HOUR - 6)
        if coarse.state(number) is BucketState.SEALED
        and (count := coarse.count(number)) is not None
    }


async def upkeep_until_restored(books: LedgerFixture) -> None:
    """As the operator does it; what it then begins to read raw is not exact yet."""
    upkeep = asyncio.create_task(books.library.run())
    books.library.wake(books.source)
    async with asyncio.timeout(PATIENCE):
        while account_of(books).lacks_before is not None:  # noqa: ASYNC110 - none tells
            await asyncio.sleep(0.01)
    upkeep.cancel()
    await asyncio.gather(upkeep, return_exceptions=True)


class Life:
    """An operator that measures a shop, is scraped each minute, and is restarted at times."""

    def __init__(self, meter: Meter, url: str, start: datetime) -> None:
        self.clock, self.scrapes = PlayedClock(start), Scrapes()
        self.books = LedgerFixture(meter, url, Scrapes(), own_job=JOB, clock=self.clock)
        self.begin("10.0.0.1:8080")

    def begin(self, instance: str) -> None:
        self.books.begin()
        self.books.measure([availability()], self.clock.at)
        self.page = Scraped(self.scrapes, instance, self.books.library.counted)

    def live_until(self, end: datetime, *, scraped: bool = True, stuck: bool = False) -> None:
        while self.clock.at < end:
            if self.clock.at.minute % 10 == 2 and not stuck:
                self.books.keep_up(self.clock.at, most=1)
            if scraped:
                self.page.scrape(self.clock.at)
            else:
                self.page.fail(self.clock.at)
            self.clock.at += MINUTE


def test_what_was_counted_over_restarts_is_restored_to_the_event_and_the_rest_is_read(
    meter: Meter, tmp_path: Path
) -> None:
    """A day: restarts in place and elsewhere, two hours behind, one without a scrape, then loss."""
    shop = Shop().serve()
    with shop.served(tmp_path) as (url, _):
        life = Life(meter, url, THEN - DAY - timedelta(hours=4))
        life.live_until(THEN - timedelta(hours=20, minutes=13))
        life.books.save_now()
        life.begin("10.0.0.1:8080")
        life.live_until(THEN - timedelta(hours=16))
        life.live_until(THEN - timedelta(hours=14), stuck=True)
        life.live_until(THEN - timedelta(hours=12, minutes=38))
        life.books.save_now()
        life.begin("10.0.0.2:8080")
        life.live_until(THEN - timedelta(hours=9))
        life.live_until(THEN - timedelta(hours=8), scraped=False)
        life.live_until(THEN)
        life.scrapes.send(url)

        lost = LedgerFixture(meter, url, Scrapes(), own_job=JOB, clock=life.clock)
        slo = availability()
        assert lost.measure([slo], THEN)["availability"].kind is EvidenceKind.WARMING_UP
        meter.run(upkeep_until_restored(lost))
        restored = restored_hours(account_of(lost))
        # A number that is missing leaves two hours unproven: one where nobody scraped us, two in a
        # row where they said nothing, as they were behind.
        unproven = {-19, -18, -17, -12, -11}
        expected = set(range(-24, -6)) - unproven
        assert {number - FROM_THEN // HOUR for number in restored} == expected
        for number, count in restored.items():
            start = datetime.fromtimestamp(number * HOUR, UTC)
            assert (count.bad, count.total) == shop.true(start, start + timedelta(hours=1))

        lost.keep_up(THEN)
        evidence = lost.measure([slo], THEN)["availability"]
        assert evidence.kind is EvidenceKind.FRESH
        assert evidence.reading is not None
        whole = evidence.reading.window_counts
        assert (whole.bad, whole.total) == shop.true(THEN - DAY, THEN)


def test_a_month_is_restored_from_at_most_1500_samples(meter: Meter, tmp_path: Path) -> None:
    with prometheus(tmp_path, RECEIVER, config=ACCEPTING_LATE_SAMPLES) as url:
        books = LedgerFixture(meter, url, Scrapes())
        tracked = books.library.source_ledgers(books.source).ledger_for(
            availability("30d"), THEN, {}
        )
        ours = counters_of(books.source, tracked)
        elsewhere = counters_of(
            replace(books.source, ref=ObjectRef("shop", "default", "x")), tracked
        )
        month = Month(THEN)
        true, other = month.ledger(0), month.ledger(1)
        month.tell(ours, true)
        month.tell(elsewhere, other)
        month.tell(ours, other, "of-somebody-else")
        month.send(url)

        before = meter.tally.samples
        assert meter.run(LedgerRestore(meter.asker, JOB).once(books.source, [tracked], FROM_THEN))
        assert meter.tally.samples - before <= 1_500
    coarse, first = tracked.ledger.coarse, FROM_THEN // HOUR - 720
    assert tracked.ledger.to_backfill(FROM_THEN - tracked.ledger.retention) is None
    for number in range(first, FROM_THEN // HOUR - 6):
        assert coarse.count(number) == true.coarse.count(number)


def test_without_a_job_or_without_counters_the_past_is_read_as_ever(
    meter: Meter, tmp_path: Path
) -> None:
    shop = Shop().serve()
    with shop.served(tmp_path) as (url, _):
        for job in ("", JOB):
            books, slo = LedgerFixture(meter, url, Scrapes(), own_job=job), availability()
            books.measure([slo], THEN)
            books.keep_up(THEN)
            evidence = books.measure([slo], THEN)["availability"]
            assert evidence.reading is not None
            whole = evidence.reading.window_counts
            assert (whole.bad, whole.total) == shop.true(THEN - DAY, THEN)


def test_prometheus_takes_the_page_for_counters_and_forgets_those_of_a_former_process(
    tmp_path: Path,
) -> None:
    """Scraped for real, by a Prometheus of its own, while the page tells of another beginning."""
    (port,) = free_ports(1)
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            {"job_name": JOB, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        ],
    }

    async def life(since: int, url: str) -> tuple[Answered, Answered]:
        """Until just what this process tells is seen; with it, the query of the docs."""
        telemetry = MetricsRegistry()
        told = CounterTotals(since, since + HOUR, EventCounts(Decimal("2.5"), Decimal(10)))
        slos = [(("shop", "availability"), "abc"), (("shop", "strict"), "abc")]
        telemetry.register_ledger_collector(lambda: [("abc", told)], lambda: slos)
        web = HttpServer(f"127.0.0.1:{port}", [metrics_route(telemetry.exposition)])
        await web.start()
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    now = datetime.now(UTC)
                    found, by_slo = [
                        await asyncio.to_thread(ask, url, query, now)
                        for query in (COUNTERS, BY_SLO)
                    ]
                    if found.by("since").keys() == {str(since)} and by_slo.rows:
                        return found, by_slo
                    await asyncio.sleep(0.2)
        finally:
            await web.stop()

    with prometheus(tmp_path, config=config) as url:
        for since in (7_200, 10_800):
            found, by_slo = asyncio.run(life(since, url))
            rows = [(labels["kind"], number) for labels, number in found.rows]
            assert sorted(rows) == [("bad", Decimal("2.5")), ("total", Decimal(10))]
            assert found.by("job").keys() == {JOB}
            assert found.by("sli").keys() == {"abc"}
            assert by_slo.by("slo").keys() == {"availability", "strict"}
        where = f"{url}/api/v1/metadata?metric={COUNTERS}"
        with urllib.request.urlopen(where, timeout=10) as answer:
            assert json.load(answer)["data"][COUNTERS][0]["type"] == "counter"

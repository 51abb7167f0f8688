"""Ledgers while answers fail, and while the process that keeps them is ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from penstock.domain.evidence import EvidenceKind
from penstock.engine.budget.ledger_updater import LedgerUpdater
from support import draws
from support.indicators import ratio
from support.ledger_fixture import LAG, THEN, LedgerFixture, Shop
from support.measuring import Meter, slo
from testbed.fault_actions import Act, Garble, ReplaceBody, prometheus_error
from testbed.fault_plan import Match, Plan, Rule
from testbed.proxy import FaultProxy

pytestmark = pytest.mark.servers

ONE = slo(
    "availability", ratio('http_requests_total{code="500"}', "http_requests_total"), window="1d"
)
MOMENTS = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WARNED = """{"status": "success", "warnings": ["store 10.0.0.1 is unavailable"],
"data": {"resultType": "%s", "result": []}}"""


@pytest.fixture
def shop() -> Shop:
    return Shop().serve()


@pytest.fixture
def books(shop: Shop, tmp_path: Path) -> Iterator[LedgerFixture]:
    with Meter() as meter, shop.served(tmp_path) as (url, to_come):
        found = LedgerFixture(meter, url, to_come)
        found.measure([ONE], THEN)
        found.keep_up(THEN)
        yield found


def is_right(books: LedgerFixture, shop: Shop) -> None:
    """An hour later, after all that is due: the window to the event."""
    at = books.until(THEN + HOUR)
    books.measure([ONE], at)
    books.keep_up(at)
    evidence = books.measure([ONE], at)["availability"]
    assert evidence.kind is EvidenceKind.FRESH, evidence
    assert evidence.reading is not None
    whole = evidence.reading.window_counts
    assert (whole.bad, whole.total) == shop.true(at - DAY, at)


@pytest.mark.parametrize(
    "act",
    [
        ReplaceBody(WARNED % "vector", content_type="application/json"),
        prometheus_error(503, "unavailable", "starting"),
        prometheus_error(422, "execution", "too many samples"),
        Garble(3),
    ],
    ids=lambda act: type(act).__name__,
)
def test_an_answer_that_failed_or_was_partial_closes_nothing(
    books: LedgerFixture, shop: Shop, act: Act
) -> None:
    (account,) = books.library.source_ledgers(books.source)
    closed = account.ledger.closed_until
    at = books.until(THEN + timedelta(minutes=12))
    here = books.source
    with FaultProxy(here.url) as proxy, proxy.faults(Plan((Rule(Match(), act),))):
        book = books.library.source_ledgers(here)
        book.source = replace(here, url=proxy.url)
        upkeep = LedgerUpdater(books.meter.asker, book, LAG)
        books.meter.run(upkeep.once(at, books.meter.clock.monotonic()))
    assert account.ledger.closed_until == closed
    account.not_before = 0.0
    is_right(books, shop)


@pytest.mark.parametrize("seconds", MOMENTS if draws.is_full() else MOMENTS[1::3])
def test_ended_in_the_middle_of_a_close_it_continues_as_if_nothing_had_been(
    books: LedgerFixture, shop: Shop, seconds: float
) -> None:
    """The next process has what the last one saved, and asks for the rest again."""
    books.save_now()
    at = books.until(THEN + timedelta(minutes=40))

    async def killed() -> None:
        upkeep = LedgerUpdater(books.meter.asker, books.library.source_ledgers(books.source), LAG)
        work = asyncio.create_task(upkeep.once(at, books.meter.clock.monotonic()))
        await asyncio.sleep(seconds)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    books.meter.run(killed())
    books.begin()
    is_right(books, shop)


def test_a_lost_snapshot_costs_reading_again_and_nothing_else(
    books: LedgerFixture, shop: Shop
) -> None:
    books.save_now()
    books.saved = dict.fromkeys(books.saved, b"damaged")
    books.begin()
    is_right(books, shop)

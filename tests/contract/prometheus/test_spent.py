"""What a release has spent, over a real Prometheus, beside brute force over what was scraped."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from penstock.domain.quantities import Ratio
from support.indicators import ratio
from support.ledger_fixture import THEN, LedgerFixture, Shop
from support.measuring import Meter, slo
from support.scrapes import Scrapes

pytestmark = pytest.mark.servers

DAY = timedelta(days=1)


def test_what_was_spent_since_a_release_began_costs_no_request(tmp_path: Path) -> None:
    indicator = ratio('http_requests_total{code="500"}', "http_requests_total")
    one, shop = slo("availability", indicator, window="1d", objective="95%"), Shop().serve()
    ago = {hours: THEN - timedelta(hours=hours) for hours in (1, 3, 20)}
    with Meter() as meter, shop.served(tmp_path) as (url, _):
        books = LedgerFixture(meter, url, Scrapes())
        books.measure([one], THEN)
        books.keep_up(THEN)
        books.measure([one], THEN)
        before = sum(meter.tally.requests.values()), meter.tally.samples
        books.measure([one], THEN)
        plain = sum(meter.tally.requests.values()), meter.tally.samples
        evidence = books.measure([one], THEN, onsets=frozenset(ago.values()))["availability"]
        after = sum(meter.tally.requests.values()), meter.tally.samples
    assert [more - less for more, less in zip(after, plain, strict=True)] == [
        more - less for more, less in zip(plain, before, strict=True)
    ]
    assert evidence.reading is not None
    _, total = shop.true(THEN - DAY, THEN)
    for began in ago.values():
        bad, _ = shop.true(began, THEN)
        assert evidence.reading.bad_since[began] == bad
        assert evidence.reading.spent_since(began) == Ratio.of(bad / (total * Decimal("0.05")))

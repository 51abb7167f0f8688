"""What upkeep asks a source for where our own counters may know the past."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from penstock.domain.evidence import Count, Evidence, Kind
from penstock.domain.ledger import HOUR
from penstock.domain.quantities import Duration
from penstock.domain.ring import Stage
from penstock.domain.source import Source
from penstock.domain.source_report import Health
from penstock.engine.asking import Answer, Form, Q, Span
from penstock.engine.budget.book import Account, Book
from penstock.engine.budget.recall import COUNTERS
from penstock.engine.budget.upkeep import Upkeep
from penstock.engine.promql import Look, Question
from support.indicators import ratio
from support.measuring import slo, source

NOW = datetime.fromtimestamp(500_000 * HOUR + 600, UTC)
WHERE = source("http://127.0.0.1:9090")


class Silent:
    """Has no data; of counters it tells as a test says. Remembers what it was asked."""

    def __init__(self, counters: Answer | Evidence) -> None:
        self._counters = counters
        self.recalls, self.filled = 0, list[datetime | Span]()

    async def ask(
        self, source: Source, groups: Sequence[tuple[Form[Q], Sequence[Q]]], when: datetime | Span
    ) -> Mapping[Hashable, Answer | Evidence]:
        ((_, questions),) = groups
        ours = [one for one in questions if isinstance(one, Question)]
        if not ours:
            self.recalls += 1
            return {one.key: self._counters for one in questions}
        if any(isinstance(leg, Look) for one in ours for leg in one.legs):
            self.filled.append(when)
        return {one.key: {} for one in questions}

    async def look(self, source: Source) -> Health:
        raise AssertionError("nobody looks")


def begun() -> tuple[Book, Account]:
    book = Book(WHERE)
    one = slo("a", ratio('x{code="500"}', "x"), window="30d")
    return book, book.account(one, NOW, {})


def once(asker: Silent, book: Book, after: float = 0.0) -> bool:
    upkeep = Upkeep(asker, book, 60, "penstock")
    return asyncio.run(upkeep.once(NOW + timedelta(seconds=after), after))


def test_no_raw_past_is_read_while_our_counters_may_yet_be_reached() -> None:
    book, _ = begun()
    asker = Silent(Evidence(Kind.UNREACHABLE))
    assert not once(asker, book)
    assert (asker.recalls, asker.filled) == (1, [])


def test_what_counters_do_not_prove_is_read_raw() -> None:
    book, _ = begun()
    asker = Silent({COUNTERS: []})
    assert once(asker, book)
    assert once(asker, book, 1.0)
    assert asker.recalls == 1
    assert len(asker.filled) == 1


def test_just_the_hours_that_are_missing_are_read_raw() -> None:
    book, account = begun()
    account.lacks_before = None
    known, end = Count(Decimal(1), Decimal(10)), account.ledger.closed_until // HOUR
    for hour in range(end - 720, end):
        if hour not in (end - 9, end - 8, end - 3):
            account.ledger.fill(hour, [known], Stage.SEALED)
    asker = Silent({COUNTERS: []})
    while once(asker, book) and len(asker.filled) < 10:
        pass
    one, span = asker.filled
    assert one == datetime.fromtimestamp((end - 2) * HOUR, UTC)
    assert span == Span(
        datetime.fromtimestamp((end - 8) * HOUR, UTC),
        datetime.fromtimestamp((end - 7) * HOUR, UTC),
        Duration.parse("1h"),
    )

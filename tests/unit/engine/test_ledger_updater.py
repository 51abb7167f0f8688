"""What upkeep asks a source for: where our own counters may know the past, and what was guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from penstock.domain.bucket_ring import BucketState
from penstock.domain.evidence import EventCounts, Evidence, EvidenceKind
from penstock.domain.indicator import Indicator
from penstock.domain.ledger import HOUR
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.quantities import Duration
from penstock.domain.source_status import SourceHealth
from penstock.engine.budget.ledger_restore import COUNTERS
from penstock.engine.budget.ledger_updater import LedgerUpdater
from penstock.engine.budget.source_ledgers import SourceLedgers, TrackedLedger
from penstock.engine.promql import CountQuery, ExactBucket, IncreaseOver
from penstock.engine.promql.query_client import Q, QueryBatcher, QueryRange, QueryResult
from support.indicators import query, ratio
from support.measuring import slo, source

NOW = datetime.fromtimestamp(500_000 * HOUR + 600, UTC)
LONG = Duration.parse("6h")
WHERE = source("http://127.0.0.1:9090")


class Silent:
    """Has no data; of counters it tells as a test says. Remembers what it was asked."""

    def __init__(self, counters: QueryResult | Evidence) -> None:
        self._counters = counters
        self.recalls, self.filled = 0, list[datetime | QueryRange]()

    async def ask(
        self,
        source: MetricsSource,
        groups: Sequence[tuple[QueryBatcher[Q], Sequence[Q]]],
        when: datetime | QueryRange,
    ) -> Mapping[Hashable, QueryResult | Evidence]:
        ((_, questions),) = groups
        ours = [one for one in questions if isinstance(one, CountQuery)]
        if not ours:
            self.recalls += 1
            return {one.key: self._counters for one in questions}
        if any(isinstance(count_range, IncreaseOver) for one in ours for count_range in one.ranges):
            self.filled.append(when)
        return {one.key: {} for one in questions}

    async def look(self, source: MetricsSource) -> SourceHealth:
        raise AssertionError("nobody looks")


COUNTERS_OF_ERRORS = ratio('x{code="500"}', "x")


def begun(indicator: Indicator = COUNTERS_OF_ERRORS) -> tuple[SourceLedgers, TrackedLedger]:
    source_ledgers = SourceLedgers(WHERE)
    one = slo("a", indicator, window="30d")
    return source_ledgers, source_ledgers.ledger_for(one, NOW, {})


def once(asker: Silent, source_ledgers: SourceLedgers, after: float = 0.0) -> bool:
    updater = LedgerUpdater(asker, source_ledgers, 60, "penstock")
    return asyncio.run(updater.once(NOW + timedelta(seconds=after), after))


def test_no_raw_past_is_read_while_our_counters_may_yet_be_reached() -> None:
    source_ledgers, _ = begun()
    asker = Silent(Evidence(EvidenceKind.UNREACHABLE))
    assert not once(asker, source_ledgers)
    assert (asker.recalls, asker.filled) == (1, [])


def test_what_counters_do_not_prove_is_read_raw() -> None:
    source_ledgers, _ = begun()
    asker = Silent({COUNTERS: []})
    assert once(asker, source_ledgers)
    assert once(asker, source_ledgers, 1.0)
    assert asker.recalls == 1
    assert len(asker.filled) == 1


def test_just_the_hours_that_are_missing_are_read_raw() -> None:
    source_ledgers, tracked = begun()
    tracked.lacks_before = None
    known, end = EventCounts(Decimal(1), Decimal(10)), tracked.ledger.closed_until // HOUR
    for hour in range(end - 720, end):
        if hour not in (end - 9, end - 8, end - 3):
            tracked.ledger.backfill(hour, [known], BucketState.SEALED)
    asker = Silent({COUNTERS: []})
    while once(asker, source_ledgers) and len(asker.filled) < 10:
        pass
    one, query_range = asker.filled
    assert one == datetime.fromtimestamp((end - 2) * HOUR, UTC)
    assert query_range == QueryRange(
        datetime.fromtimestamp((end - 8) * HOUR, UTC),
        datetime.fromtimestamp((end - 7) * HOUR, UTC),
        Duration.parse("1h"),
    )


class Crashy:
    """Ten good events in each hour, or half an event more where a process crashed twice.

    By the bucket it is one in each, or nobody answers.
    """

    def __init__(self, crashed: set[int], by_the_bucket: str | None) -> None:
        self._crashed, self.by_the_bucket = crashed, by_the_bucket
        self.again = list[QueryRange]()

    async def ask(
        self,
        source: MetricsSource,
        groups: Sequence[tuple[QueryBatcher[Q], Sequence[Q]]],
        when: datetime | QueryRange,
    ) -> Mapping[Hashable, QueryResult | Evidence]:
        ((_, (question,)),) = groups
        assert isinstance(question, CountQuery)
        (count_range,) = question.ranges
        query_range = (
            when if isinstance(when, QueryRange) else QueryRange(when, when, Duration.parse("1h"))
        )
        is_again = count_range == ExactBucket(
            Duration.parse("5m"), LONG, unseen=LONG, thorough=True
        )
        if is_again:
            self.again.append(query_range)
        if is_again and self.by_the_bucket is None:
            return {question.key: Evidence(EvidenceKind.UNREACHABLE)}
        first, last = (int(moment.timestamp()) for moment in (query_range.start, query_range.end))
        points = tuple(
            (at * 1_000, (self.by_the_bucket or "") if is_again else self._hour(at // HOUR - 1))
            for at in range(first, last + 1, int(query_range.step.seconds))
        )
        return {question.key: {f"{part}{count_range}": [({}, points)] for part in "ot"}}

    def _hour(self, number: int) -> str:
        return "10.5" if number in self._crashed else "10"

    async def look(self, source: MetricsSource) -> SourceHealth:
        raise AssertionError("nobody looks")


def refined(
    crashed: set[int], by_the_bucket: str | None, indicator: Indicator = COUNTERS_OF_ERRORS
) -> tuple[Crashy, TrackedLedger]:
    """All that there is to do at once was done."""
    source_ledgers, tracked = begun(indicator)
    tracked.lacks_before = None
    asker = Crashy(crashed, by_the_bucket)
    updater = LedgerUpdater(asker, source_ledgers, 60)
    for _ in range(200):
        if not asyncio.run(updater.once(NOW, 0.0)):
            return asker, tracked
    raise AssertionError("there is no end to it")


def test_hours_that_are_no_whole_number_are_read_by_the_bucket() -> None:
    now = int(NOW.timestamp()) // HOUR
    crashed = {now - 20, now - 21, now - 100}
    asker, tracked = refined(crashed, "1")
    hours = {number: tracked.ledger.coarse.count(number) for number in range(now - 120, now - 10)}
    totals = {number: count and count.total for number, count in hours.items()}
    assert totals == {number: 12 if number in crashed else 10 for number in hours}
    assert {tracked.ledger.coarse.state(number) for number in hours} == {BucketState.SEALED}
    assert {(one.start, one.end) for one in asker.again} == {
        (border(number, 300), border(number, HOUR)) for number in crashed
    }
    assert len(asker.again) == len(crashed)


def border(hour: int, seconds: int) -> datetime:
    return datetime.fromtimestamp(hour * HOUR + seconds, UTC)


def test_what_is_no_whole_number_by_the_bucket_either_is_not_asked_again() -> None:
    number = int(NOW.timestamp()) // HOUR - 20
    asker, tracked = refined({number}, "0.75")
    assert tracked.ledger.coarse.count(number) == EventCounts(Decimal(0), Decimal(9))
    assert tracked.ledger.coarse.state(number) is BucketState.SEALED
    assert len(asker.again) == 1


def test_an_hour_that_could_not_be_read_by_the_bucket_is_guessed_until_it_can() -> None:
    number = int(NOW.timestamp()) // HOUR - 20
    asker, tracked = refined({number}, None)
    assert tracked.ledger.coarse.count(number) == EventCounts(Decimal(0), Decimal("10.5"))
    assert tracked.ledger.coarse.state(number) is BucketState.APPROXIMATE
    assert len(asker.again) == 1


def test_what_an_author_counts_by_expressions_need_be_no_whole_number() -> None:
    number = int(NOW.timestamp()) // HOUR - 20
    asker, tracked = refined({number}, "1", query("a[$window]", "b[$window]"))
    assert tracked.ledger.coarse.count(number) == EventCounts(Decimal(0), Decimal("10.5"))
    assert tracked.ledger.coarse.state(number) is BucketState.SEALED
    assert asker.again == []

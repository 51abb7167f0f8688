"""What is made of our own counters as a source gives them back."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from penstock.domain.bucket_ring import BucketState
from penstock.domain.evidence import EventCounts, Evidence, EvidenceKind
from penstock.domain.exported_counters import seen_at
from penstock.domain.ledger import HOUR
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.quantities import Duration, Percentage
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import Slo, Timeslices
from penstock.domain.source_status import SourceHealth
from penstock.engine.budget.ledger_restore import MOST_TRIES, TOGETHER, LedgerRestore
from penstock.engine.budget.source_ledgers import SourceLedgers, TrackedLedger, counters_of
from penstock.engine.promql.query_client import Q, QueryBatcher, QueryRange, QueryResult, Series
from support.indicators import ratio
from support.measuring import slo, source

NOW = 500_000 * HOUR + 600
FIRST = NOW // HOUR - 20
WHERE = source("http://127.0.0.1:9090")


class Answering:
    """Gives the rows that a test has; or for every question the same evidence."""

    def __init__(self, rows: Sequence[Series] | Evidence) -> None:
        self.rows, self.queries = rows, list[str]()
        self.when: list[datetime | QueryRange] = []

    async def ask(
        self,
        source: MetricsSource,
        groups: Sequence[tuple[QueryBatcher[Q], Sequence[Q]]],
        when: datetime | QueryRange,
    ) -> Mapping[Hashable, QueryResult | Evidence]:
        ((batcher, questions),) = groups
        batched = batcher.batched(questions)
        self.queries.append(batched.query)
        self.when.append(when)
        rows = self.rows
        if isinstance(rows, Evidence):
            return {one.key: rows for one in questions}
        answers = batched.demultiplex(rows)
        return {one.key: answer for one, answer in zip(questions, answers, strict=True)}

    async def look(self, source: MetricsSource) -> SourceHealth:
        raise AssertionError("nobody looks")


def accounts(*slos: Slo) -> list[TrackedLedger]:
    source_ledgers = SourceLedgers(WHERE)
    return [source_ledgers.ledger_for(slo, datetime.fromtimestamp(NOW, UTC), {}) for slo in slos]


def availability(number: int = 0, window: str = "1d") -> Slo:
    return slo(f"slo-{number}", ratio(f'x{{code="50{number}"}}', "x"), window=window)


def rows(
    tracked: TrackedLedger, bad: Sequence[str], total: Sequence[str], since: str = f"{FIRST * HOUR}"
) -> list[Series]:
    """Counters that were seen at each hour from the first on."""
    at = [seen_at((FIRST + nth + 1) * HOUR) * 1_000 for nth in range(len(total))]
    labels = {"sli": counters_of(WHERE, tracked), "since": since, "job": "p", "instance": "i"}
    return [
        ({**labels, "kind": kind}, tuple(zip(at, said, strict=False)))
        for kind, said in (("bad", bad), ("total", total))
    ]


def recall(asker: Answering, those: Sequence[TrackedLedger], job: str = "p") -> bool:
    return asyncio.run(LedgerRestore(asker, job).once(WHERE, those, NOW))


def known(tracked: TrackedLedger) -> dict[int, EventCounts | None]:
    coarse = tracked.ledger.coarse
    numbers = range(coarse.first, coarse.end)
    return {n: coarse.count(n) for n in numbers if coarse.state(n) is BucketState.SEALED}


def test_hours_that_are_proven_are_sealed_and_the_others_stay_unknown() -> None:
    (tracked,) = accounts(availability())
    asker = Answering(rows(tracked, ["1", "3", "3"], ["10", "30", "30"]))
    assert recall(asker, [tracked])
    assert known(tracked) == {
        FIRST: EventCounts(Decimal(1), Decimal(10)),
        FIRST + 1: EventCounts(Decimal(2), Decimal(20)),
        FIRST + 2: EventCounts(Decimal(0), Decimal(0)),
    }
    assert tracked.ledger.to_backfill(NOW - 24 * HOUR) == NOW // HOUR - 7
    assert not recall(asker, [tracked])


def test_it_asks_for_the_hours_before_the_first_bucket_and_no_more() -> None:
    (tracked,) = accounts(availability())
    asker = Answering([])
    recall(asker, [tracked])
    name = counters_of(WHERE, tracked)
    assert asker.queries == [f'penstock_sli_events_total{{job="p",sli=~"{name}"}}']
    (query_range,) = asker.when
    assert isinstance(query_range, QueryRange)
    assert int(query_range.start.timestamp()) == seen_at((NOW - 24 * HOUR) // HOUR * HOUR)
    assert int(query_range.end.timestamp()) == seen_at((NOW - 6 * HOUR) // HOUR * HOUR)
    assert query_range.end.timestamp() < NOW


@pytest.mark.parametrize("window", ["7h", "30d", "31d", "90d"])
def test_of_each_window_it_asks_for_1500_samples_at_most(window: str) -> None:
    (account,) = accounts(availability(window=window))
    asker = Answering([])
    recall(asker, [account])
    (span,) = asker.when
    assert isinstance(span, QueryRange)
    assert span.start <= span.end
    assert 2 * ((span.end - span.start) // timedelta(hours=1) + 1) <= 1_500


@pytest.mark.parametrize(
    ("bad", "total", "since"),
    [
        (["1", "NaN"], ["10", "20"], f"{FIRST * HOUR}"),
        (["1", "2"], ["10", "+Inf"], f"{FIRST * HOUR}"),
        (["1", "x"], ["10", "20"], f"{FIRST * HOUR}"),
        (["2", "1"], ["10", "20"], f"{FIRST * HOUR}"),
        (["1", "2"], ["10", "20"], "yesterday"),
        (["1", "2"], ["10", "20"], ""),
        ([], ["10", "20"], f"{FIRST * HOUR}"),
    ],
)
def test_what_cannot_be_read_proves_nothing(bad: list[str], total: list[str], since: str) -> None:
    (account,) = accounts(availability())
    recall(Answering(rows(account, bad, total, since)), [account])
    assert known(account) == {}
    assert account.lacks_before is None


def test_bad_and_all_events_of_two_processes_are_not_mixed() -> None:
    (tracked,) = accounts(availability())
    bad, total = rows(tracked, ["1", "2"], ["10", "20"])
    other = ({**total[0], "instance": "another"}, total[1])
    recall(Answering([bad, other]), [tracked])
    assert known(tracked) == {}


def test_hours_outside_of_what_was_asked_for_are_left_alone() -> None:
    (tracked,) = accounts(availability())
    tracked.ledger.coarse.put(FIRST + 1, None, BucketState.CLOSED)
    recall(Answering(rows(tracked, ["1"] * 19, ["10"] * 19)), [tracked])
    assert max(known(tracked)) == NOW // HOUR - 7
    assert tracked.ledger.coarse.state(FIRST + 1) is BucketState.CLOSED


def test_some_ledgers_at_a_time_and_each_once() -> None:
    those = accounts(*(availability(number) for number in range(TOGETHER + 5)))
    asker = Answering([])
    while recall(asker, those):
        pass
    assert [query.count("|") for query in asker.queries] == [TOGETHER - 1, 4]


@pytest.mark.parametrize(
    "kind",
    [
        EvidenceKind.REJECTED,
        EvidenceKind.PARTIAL,
        EvidenceKind.MALFORMED,
        EvidenceKind.UNAUTHORIZED,
    ],
)
def test_who_does_not_export_counters_is_not_asked_again(kind: EvidenceKind) -> None:
    (account,) = accounts(availability())
    assert recall(Answering(Evidence(kind)), [account])
    assert account.lacks_before is None


def test_who_cannot_be_reached_is_asked_again_but_not_for_ever_if_it_answers_otherwise() -> None:
    (tracked,) = accounts(availability())
    asker = Answering(Evidence(EvidenceKind.UNREACHABLE))
    for _ in range(2 * MOST_TRIES):
        assert not recall(asker, [tracked])
    tracked.ledger.close(tracked.ledger.closed_until + 300, None)
    for _ in range(MOST_TRIES - 1):
        assert not recall(asker, [tracked])
    assert recall(asker, [tracked])
    assert tracked.lacks_before is None


def test_without_a_job_and_of_slices_nothing_is_asked() -> None:
    (plain,) = accounts(availability())
    method = Timeslices(Duration.parse("5m"), Percentage.parse("97%"))
    (sliced,) = accounts(slo("s", ratio('x{code="500"}', "x"), window="1d", budgeting=method))
    asker = Answering([])
    assert not recall(asker, [plain], job="")
    assert not recall(asker, [sliced])
    assert asker.queries == []
    assert (plain.lacks_before, sliced.lacks_before) == (None, None)


def test_a_window_that_is_read_at_once_lacks_no_past() -> None:
    (tracked,) = accounts(availability(window="6h"))
    asker = Answering([])
    assert not recall(asker, [tracked])
    assert asker.queries == []
    assert tracked.lacks_before is None


def test_of_a_ledger_from_a_snapshot_nothing_is_asked() -> None:
    (former,) = accounts(availability())
    slo = availability()
    kept = {former.digest: former.ledger}
    tracked = SourceLedgers(WHERE).ledger_for(slo, datetime.fromtimestamp(NOW, UTC), kept)
    assert tracked.ledger is former.ledger
    asker = Answering([])
    assert not recall(asker, [tracked])
    assert asker.queries == []


def test_counters_of_a_namesake_source_are_others() -> None:
    (tracked,) = accounts(availability())
    elsewhere = replace(WHERE, ref=ObjectRef("shop", "default", "another uid"))
    assert counters_of(elsewhere, tracked) != counters_of(WHERE, tracked)

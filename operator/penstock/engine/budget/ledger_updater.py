"""Updates the ledgers of one source: closes and rereads buckets, repairs gaps, backfills.

All queries are idempotent: the same bucket, queried again by anybody, gives the same count, so a
crash in the middle costs only a repetition. An answer that failed or was partial leaves the bucket
as it was, to be queried another time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from penstock.domain.bucket_ring import BucketState
from penstock.domain.evidence import EventCounts, EvidenceKind
from penstock.domain.indicator import is_of_counters
from penstock.domain.ledger import HOUR, LONGEST_GAP, SEAL_AFTER
from penstock.domain.quantities import Duration
from penstock.engine.budget.ledger_restore import LedgerRestore
from penstock.engine.budget.source_ledgers import SourceLedgers, TrackedLedger
from penstock.engine.promql import (
    CountQuery,
    CountRange,
    Counts,
    ExactBucket,
    IncreaseOver,
    fetch_counts,
)
from penstock.engine.promql.query_client import QueryClient, QueryRange

COUNTER_HORIZON = Duration.parse("1h")
GAP = Duration.of_seconds(LONGEST_GAP)
GAP_SPARE = 600
# Bounds of one request: buckets of all indicators, and hours of the past.
MOST_BUCKETS, MOST_READ = 96, 500
FILL_HOURS, REFINE_HOURS = 24, 12
TOGETHER = 10


@dataclass(frozen=True, slots=True)
class BucketRange:
    """Buckets, from the first end to the last, that one request reads."""

    first: int
    last: int


class LedgerUpdater:
    """Updates the ledgers of one source.

    Args:
        client: queries the source.
        lag: seconds after its end at which a bucket is closed; samples may arrive this late.
        own_job: the job under which sources scrape us; empty if they do not.
    """

    def __init__(
        self, client: QueryClient, source_ledgers: SourceLedgers, lag: int, own_job: str = ""
    ) -> None:
        self._client, self._source_ledgers, self._lag = client, source_ledgers, lag
        self._restore = LedgerRestore(client, own_job)

    async def once(self, at: datetime, monotonic: float) -> bool:
        """Do what is due; returns whether there is more to do at once."""
        now = int(at.timestamp())
        tracked_ledgers = [one for one in self._source_ledgers if one.not_before <= monotonic]
        closed = await self._close(tracked_ledgers, now, monotonic)
        await self._reread(tracked_ledgers, now, monotonic)
        await self._repair_gaps(closed, monotonic)
        for tracked in tracked_ledgers:
            tracked.count(now)
        if await self._restore.once(self._source_ledgers.source, _hot_first(tracked_ledgers), now):
            return True
        ready = [one for one in tracked_ledgers if one.lacks_before is None]
        filled = await self._backfill(ready, now, monotonic)
        return filled or await self._refine(ready, now, monotonic)

    async def _close(
        self, tracked_ledgers: Sequence[TrackedLedger], now: int, monotonic: float
    ) -> list[tuple[TrackedLedger, int]]:
        """Close the buckets that have ended and return them: gaps before them are repaired next."""
        due: dict[tuple[int, BucketRange], list[TrackedLedger]] = defaultdict(list)
        for tracked in tracked_ledgers:
            resolution = tracked.key.resolution
            ends = tracked.ledger.to_close((now - self._lag) // resolution * resolution)
            if ends is not None:
                first, last = ends
                last = min(last, first + (MOST_BUCKETS - 1) * resolution)
                due[resolution, BucketRange(first, last)].append(tracked)
        closed: list[tuple[TrackedLedger, int]] = []
        for (_, run), those in due.items():
            for tracked in await self._buckets(those, run, now, monotonic):
                resolution = tracked.key.resolution
                closed += [(tracked, end) for end in range(run.first, run.last + 1, resolution)]
        return closed

    async def _reread(
        self, tracked_ledgers: Sequence[TrackedLedger], now: int, monotonic: float
    ) -> None:
        due: dict[tuple[int, BucketRange], list[TrackedLedger]] = defaultdict(list)
        for tracked in tracked_ledgers:
            for run in _runs(tracked.ledger.to_reread(now), tracked.key.resolution):
                due[tracked.key.resolution, run].append(tracked)
        for (_, run), those in due.items():
            await self._buckets(those, run, now, monotonic)

    async def _buckets(
        self, tracked_ledgers: Sequence[TrackedLedger], run: BucketRange, now: int, monotonic: float
    ) -> list[TrackedLedger]:
        """Read these buckets of these ledgers; returns those that were answered."""
        resolution, answered = tracked_ledgers[0].key.resolution, list[TrackedLedger]()
        together = MOST_READ // ((run.last - run.first) // resolution + 1)
        for some in _batched(tracked_ledgers, together):
            # The last read of a bucket is thorough: until then it is approximate.
            count_range = ExactBucket(
                tracked_ledgers[0].span, COUNTER_HORIZON, thorough=now - run.first >= SEAL_AFTER
            )
            for tracked, found in (
                await self._ask(some, count_range, run, resolution, monotonic)
            ).items():
                answered.append(tracked)
                ledger = tracked.ledger
                for end in range(run.first, run.last + 1, resolution):
                    count = found.get(end * 1_000) or ledger.fine.count(end // resolution - 1)
                    ledger.close(end, count, ledger.next_state(end, now))
        return answered

    async def _repair_gaps(
        self, closed: Iterable[tuple[TrackedLedger, int]], monotonic: float
    ) -> None:
        """Count what happened in a scrape outage in the first bucket that looks back over it."""
        for tracked, end in closed:
            gap = tracked.ledger.gap_before(end)
            if gap is None or end - gap[0] > LONGEST_GAP:
                continue
            missed = Duration.of_seconds(end - gap[0])
            back = Duration.of_seconds(end - gap[0] + GAP_SPARE)
            count_range = ExactBucket(tracked.span, back, unseen=missed, thorough=True)
            run = BucketRange(end, end)
            answered = await self._ask(
                [tracked], count_range, run, tracked.key.resolution, monotonic
            )
            count = answered.get(tracked, {}).get(end * 1_000)
            if count is not None:
                tracked.ledger.repair_gap(gap[0], end, count)

    async def _backfill(
        self, tracked_ledgers: Sequence[TrackedLedger], now: int, monotonic: float
    ) -> bool:
        """Read one request's worth of the past, first for SLOs that a release depends on."""
        hour, those = _alike(
            _hot_first(tracked_ledgers),
            lambda tracked: tracked.ledger.to_backfill(now - tracked.ledger.retention),
        )
        if not those:
            return False
        start = max(hour - FILL_HOURS + 1, (now - those[0].ledger.retention) // HOUR)
        run, step = _whole(those[0].ledger.unknown_up_to(hour, start), hour), _step(those[0])
        count_range = IncreaseOver(Duration.of_seconds(step))
        return bool(await self._hours(those, count_range, run, step, monotonic))

    async def _refine(
        self, tracked_ledgers: Sequence[TrackedLedger], now: int, monotonic: float
    ) -> bool:
        """Read exactly what plain increase backfilled, some hours of some ledgers at a time."""
        hour, those = _alike(
            tracked_ledgers,
            lambda tracked: tracked.ledger.to_refine(now - tracked.ledger.retention),
        )
        if not those:
            return False
        start = max(hour - REFINE_HOURS + 1, (now - those[0].ledger.retention) // HOUR)
        run, step = _whole(start, hour), _step(those[0])
        # Gaps in the past are not searched one by one: every hour looks back as far as a gap may
        # reach.
        count_range = ExactBucket(Duration.of_seconds(step), GAP, unseen=GAP, thorough=True)
        answered = await self._hours(those, count_range, run, step, monotonic)
        return bool(answered) and await self._refine_by_bucket(answered, start, hour, monotonic)

    async def _refine_by_bucket(
        self, tracked_ledgers: Sequence[TrackedLedger], start: int, hour: int, monotonic: float
    ) -> bool:
        """Read hours that are still approximate by the bucket; returns whether all could be read.

        A process crashed in them more than once, which is rare within five minutes: of a month of
        pods that crash every five hours, up to 0.05% of the errors would be wrong. An hour at a
        time, because the server then holds each 15 s of it.
        """
        due: dict[tuple[int, int], list[TrackedLedger]] = defaultdict(list)
        for tracked in tracked_ledgers:
            for number in tracked.ledger.coarse.in_state(BucketState.APPROXIMATE, start, hour + 1):
                due[tracked.key.resolution, number].append(tracked)
        answered = True
        for (resolution, number), some in due.items():
            count_range = ExactBucket(
                Duration.of_seconds(resolution), GAP, unseen=GAP, thorough=True
            )
            run = _whole(number, number)
            answered &= bool(await self._hours(some, count_range, run, resolution, monotonic))
        return answered

    async def _hours(
        self,
        tracked_ledgers: Sequence[TrackedLedger],
        count_range: CountRange,
        run: BucketRange,
        step: int,
        monotonic: float,
    ) -> Sequence[TrackedLedger]:
        """Read these hours; ``run`` has the ends of the first and of the last.

        Returns those that were answered.
        """
        first = BucketRange(run.first - HOUR + step, run.last)
        answered = await self._ask(tracked_ledgers, count_range, first, step, monotonic)
        for tracked, found in answered.items():
            for end in range(run.first, run.last + 1, HOUR):
                parts = [
                    found.get(moment * 1_000) for moment in range(end - HOUR + step, end + 1, step)
                ]
                is_guess = isinstance(count_range, IncreaseOver) or _is_guess(tracked, parts)
                state = BucketState.APPROXIMATE if is_guess else BucketState.SEALED
                tracked.ledger.backfill(end // HOUR - 1, parts, state)
        return list(answered)

    async def _ask(
        self,
        tracked_ledgers: Sequence[TrackedLedger],
        count_range: CountRange,
        run: BucketRange,
        step: int,
        monotonic: float,
    ) -> dict[TrackedLedger, Mapping[int, EventCounts]]:
        """Counts by ledger and time, for those ledgers that were answered."""
        ranges = frozenset({count_range})
        asked = [
            CountQuery(tracked, tracked.indicator_query, ranges) for tracked in tracked_ledgers
        ]
        when: datetime | QueryRange = _moment(run.last)
        if run.first != run.last:
            when = QueryRange(_moment(run.first), _moment(run.last), Duration.of_seconds(step))
        answers = await fetch_counts(self._client, self._source_ledgers.source, asked, when)
        found: dict[TrackedLedger, Mapping[int, EventCounts]] = {}
        for tracked in tracked_ledgers:
            read = answers[tracked]
            if isinstance(read, Counts):
                found[tracked] = read.at.get(count_range, {})
                tracked.answered()
            elif read.kind is not EvidenceKind.UNREACHABLE:
                tracked.refused(monotonic)
        return found


def _hot_first(tracked_ledgers: Sequence[TrackedLedger]) -> list[TrackedLedger]:
    return sorted(tracked_ledgers, key=lambda tracked: not tracked.is_hot)


def _batched(
    tracked_ledgers: Sequence[TrackedLedger], most: int
) -> Iterator[Sequence[TrackedLedger]]:
    """Batches of at most ``most``."""
    return (tracked_ledgers[first : first + most] for first in range(0, len(tracked_ledgers), most))


def _runs(ends: Sequence[int], step: int) -> list[BucketRange]:
    """Group consecutive ends."""
    runs: list[BucketRange] = []
    for end in ends:
        if runs and end - runs[-1].last == step and end - runs[-1].first < MOST_BUCKETS * step:
            runs[-1] = BucketRange(runs[-1].first, end)
        else:
            runs.append(BucketRange(end, end))
    return runs


def _alike(
    tracked_ledgers: Sequence[TrackedLedger], newest: Callable[[TrackedLedger], int | None]
) -> tuple[int, list[TrackedLedger]]:
    """The hour that the first ledger lacks, and some ledgers that lack it too."""
    chosen: list[TrackedLedger] = []
    wanted = (0, 0)
    for tracked in tracked_ledgers:
        hour = newest(tracked)
        if hour is None:
            continue
        wanted = wanted if chosen else (hour, _step(tracked))
        if (hour, _step(tracked)) == wanted:
            chosen.append(tracked)
        if len(chosen) == TOGETHER:
            break
    return wanted[0], chosen


def _is_guess(tracked: TrackedLedger, parts: Sequence[EventCounts | None]) -> bool:
    """Whether the count of an hour of counters is not a whole number.

    Then `increase` has extrapolated one of them: a process restarted in a way that only
    `increase` detects.
    """
    if len(parts) > 1 or parts[0] is None or not is_of_counters(tracked.key.indicator):
        return False
    return any(number % 1 for number in (parts[0].bad, parts[0].total))


def _step(tracked: TrackedLedger) -> int:
    """The past is read by the hour; with time slices, by the bucket."""
    return tracked.key.resolution if tracked.ledger.slices else HOUR


def _whole(first: int, last: int) -> BucketRange:
    """These hours, whole; it does no harm that some buckets of them are known."""
    return BucketRange((first + 1) * HOUR, (last + 1) * HOUR)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

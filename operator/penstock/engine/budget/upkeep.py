"""Keeps one source's ledgers: closes buckets, reads them again, mends gaps, fills in the past.

Everything asked for is idempotent: the same bucket, asked again by whoever, gives the same count,
so a crash in the middle of anything costs asking again. An answer that failed or was partial leaves
the bucket as it was, to be asked for another time.
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
from penstock.engine.asking import Asker, Span
from penstock.engine.budget.book import Account, Book
from penstock.engine.budget.recall import Recall
from penstock.engine.promql import Close, Counts, Leg, Look, Question, measured

LOOK_BACK = Duration.parse("1h")
GAP = Duration.of_seconds(LONGEST_GAP)
GAP_SPARE = 600
# Work of the server in one request is bounded: buckets of all indicators, and hours of the past.
MOST_BUCKETS, MOST_READ = 96, 500
FILL_HOURS, REFINE_HOURS = 24, 12
TOGETHER = 10


@dataclass(frozen=True, slots=True)
class Run:
    """Buckets, from the first end to the last, that are asked for in one request."""

    first: int
    last: int


class Upkeep:
    """Of one source's ledgers.

    Args:
        asker: asks the source.
        lag: seconds after its end at which a bucket is closed; samples take as long to come.
        own_job: the job under which sources scrape us; empty if they do not.
    """

    def __init__(self, asker: Asker, book: Book, lag: int, own_job: str = "") -> None:
        self._asker, self._book, self._lag = asker, book, lag
        self._recall = Recall(asker, own_job)

    async def once(self, at: datetime, monotonic: float) -> bool:
        """Do what is due; whether there is more to do right away."""
        now = int(at.timestamp())
        accounts = [one for one in self._book if one.not_before <= monotonic]
        closed = await self._close(accounts, now, monotonic)
        await self._read_again(accounts, now, monotonic)
        await self._mend(closed, monotonic)
        for account in accounts:
            account.count(now)
        if await self._recall.once(self._book.source, _hot_first(accounts), now):
            return True
        ready = [one for one in accounts if one.lacks_before is None]
        filled = await self._fill(ready, now, monotonic)
        return filled or await self._refine(ready, now, monotonic)

    async def _close(
        self, accounts: Sequence[Account], now: int, monotonic: float
    ) -> list[tuple[Account, int]]:
        """Close what has ended; the buckets that were, for a look at the gaps before them."""
        due: dict[tuple[int, Run], list[Account]] = defaultdict(list)
        for account in accounts:
            resolution = account.sli.grain
            ends = account.ledger.to_close((now - self._lag) // resolution * resolution)
            if ends is not None:
                first, last = ends
                last = min(last, first + (MOST_BUCKETS - 1) * resolution)
                due[resolution, Run(first, last)].append(account)
        closed: list[tuple[Account, int]] = []
        for (_, run), those in due.items():
            for account in await self._buckets(those, run, now, monotonic):
                resolution = account.sli.grain
                closed += [(account, end) for end in range(run.first, run.last + 1, resolution)]
        return closed

    async def _read_again(self, accounts: Sequence[Account], now: int, monotonic: float) -> None:
        due: dict[tuple[int, Run], list[Account]] = defaultdict(list)
        for account in accounts:
            for run in _runs(account.ledger.to_reread(now), account.sli.grain):
                due[account.sli.grain, run].append(account)
        for (_, run), those in due.items():
            await self._buckets(those, run, now, monotonic)

    async def _buckets(
        self, accounts: Sequence[Account], run: Run, now: int, monotonic: float
    ) -> list[Account]:
        """Read these buckets of these accounts; those that were answered."""
        resolution, answered = accounts[0].sli.grain, list[Account]()
        together = MOST_READ // ((run.last - run.first) // resolution + 1)
        for some in _batched(accounts, together):
            # Read for the last time, a bucket is read thoroughly: until then it is approximate.
            leg = Close(accounts[0].span, LOOK_BACK, thorough=now - run.first >= SEAL_AFTER)
            for account, found in (await self._ask(some, leg, run, resolution, monotonic)).items():
                answered.append(account)
                ledger = account.ledger
                for end in range(run.first, run.last + 1, resolution):
                    count = found.get(end * 1_000) or ledger.fine.count(end // resolution - 1)
                    ledger.close(end, count, ledger.next_state(end, now))
        return answered

    async def _mend(self, closed: Iterable[tuple[Account, int]], monotonic: float) -> None:
        """What happened while nothing was scraped is in the first bucket that looks back so far."""
        for account, end in closed:
            gap = account.ledger.gap_before(end)
            if gap is None or end - gap[0] > LONGEST_GAP:
                continue
            missed = Duration.of_seconds(end - gap[0])
            back = Duration.of_seconds(end - gap[0] + GAP_SPARE)
            leg = Close(account.span, back, unseen=missed, thorough=True)
            run = Run(end, end)
            answered = await self._ask([account], leg, run, account.sli.grain, monotonic)
            count = answered.get(account, {}).get(end * 1_000)
            if count is not None:
                account.ledger.repair_gap(gap[0], end, count)

    async def _fill(self, accounts: Sequence[Account], now: int, monotonic: float) -> bool:
        """One request's worth of the past, what a release hangs on first."""
        hour, those = _alike(
            _hot_first(accounts), lambda one: one.ledger.to_backfill(now - one.ledger.retention)
        )
        if not those:
            return False
        start = max(hour - FILL_HOURS + 1, (now - those[0].ledger.retention) // HOUR)
        run, step = _whole(those[0].ledger.unknown_up_to(hour, start), hour), _step(those[0])
        leg = Look(Duration.of_seconds(step))
        return bool(await self._hours(those, leg, run, step, monotonic))

    async def _refine(self, accounts: Sequence[Account], now: int, monotonic: float) -> bool:
        """What was filled in by plain increase is read exactly, some hours of some at a time."""
        hour, those = _alike(accounts, lambda one: one.ledger.to_refine(now - one.ledger.retention))
        if not those:
            return False
        start = max(hour - REFINE_HOURS + 1, (now - those[0].ledger.retention) // HOUR)
        run, step = _whole(start, hour), _step(those[0])
        # Nobody looks for gaps in the past one by one: every hour looks back as far as one may be.
        leg = Close(Duration.of_seconds(step), GAP, unseen=GAP, thorough=True)
        answered = await self._hours(those, leg, run, step, monotonic)
        return bool(answered) and await self._guesses(answered, start, hour, monotonic)

    async def _guesses(
        self, accounts: Sequence[Account], start: int, hour: int, monotonic: float
    ) -> bool:
        """Hours of these that are approximate still are read by the bucket; whether all could be.

        A process crashed in them more than once, which is rare in five minutes: of a month of pods
        that crash each five hours up to 0.05% of the errors would be wrong. An hour at a time, as
        the server then holds each 15 s of it.
        """
        due: dict[tuple[int, int], list[Account]] = defaultdict(list)
        for account in accounts:
            for number in account.ledger.coarse.in_state(BucketState.APPROXIMATE, start, hour + 1):
                due[account.sli.grain, number].append(account)
        answered = True
        for (resolution, number), some in due.items():
            leg = Close(Duration.of_seconds(resolution), GAP, unseen=GAP, thorough=True)
            run = _whole(number, number)
            answered &= bool(await self._hours(some, leg, run, resolution, monotonic))
        return answered

    async def _hours(
        self, accounts: Sequence[Account], leg: Leg, run: Run, step: int, monotonic: float
    ) -> Sequence[Account]:
        """Read these hours, of which ``run`` has the first's and the last's end.

        Gives those that were answered.
        """
        first = Run(run.first - HOUR + step, run.last)
        answered = await self._ask(accounts, leg, first, step, monotonic)
        for account, found in answered.items():
            for end in range(run.first, run.last + 1, HOUR):
                parts = [
                    found.get(moment * 1_000) for moment in range(end - HOUR + step, end + 1, step)
                ]
                is_guess = isinstance(leg, Look) or _is_guess(account, parts)
                state = BucketState.APPROXIMATE if is_guess else BucketState.SEALED
                account.ledger.backfill(end // HOUR - 1, parts, state)
        return list(answered)

    async def _ask(
        self, accounts: Sequence[Account], leg: Leg, run: Run, step: int, monotonic: float
    ) -> dict[Account, Mapping[int, EventCounts]]:
        """Counts by account and time, of those accounts that were answered."""
        legs = frozenset({leg})
        asked = [Question(account, account.measure, legs) for account in accounts]
        when: datetime | Span = _moment(run.last)
        if run.first != run.last:
            when = Span(_moment(run.first), _moment(run.last), Duration.of_seconds(step))
        answers = await measured(self._asker, self._book.source, asked, when)
        found: dict[Account, Mapping[int, EventCounts]] = {}
        for account in accounts:
            read = answers[account]
            if isinstance(read, Counts):
                found[account] = read.at.get(leg, {})
                account.answered()
            elif read.kind is not EvidenceKind.UNREACHABLE:
                account.refused(monotonic)
        return found


def _hot_first(accounts: Sequence[Account]) -> list[Account]:
    return sorted(accounts, key=lambda one: not one.is_hot)


def _batched(accounts: Sequence[Account], most: int) -> Iterator[Sequence[Account]]:
    """Batches of at most ``most``."""
    return (accounts[first : first + most] for first in range(0, len(accounts), most))


def _runs(ends: Sequence[int], step: int) -> list[Run]:
    """Consecutive ends together."""
    runs: list[Run] = []
    for end in ends:
        if runs and end - runs[-1].last == step and end - runs[-1].first < MOST_BUCKETS * step:
            runs[-1] = Run(runs[-1].first, end)
        else:
            runs.append(Run(end, end))
    return runs


def _alike(
    accounts: Sequence[Account], newest: Callable[[Account], int | None]
) -> tuple[int, list[Account]]:
    """The hour that the first account lacks, and some accounts that lack it too."""
    chosen: list[Account] = []
    wanted = (0, 0)
    for account in accounts:
        hour = newest(account)
        if hour is None:
            continue
        wanted = wanted if chosen else (hour, _step(account))
        if (hour, _step(account)) == wanted:
            chosen.append(account)
        if len(chosen) == TOGETHER:
            break
    return wanted[0], chosen


def _is_guess(account: Account, parts: Sequence[EventCounts | None]) -> bool:
    """Whether counters of an hour that was read as a whole make no whole number.

    Then `increase` has stretched one of them: a process restarted in a way that only it can tell.
    """
    if len(parts) > 1 or parts[0] is None or not is_of_counters(account.sli.indicator):
        return False
    return any(number % 1 for number in (parts[0].bad, parts[0].total))


def _step(account: Account) -> int:
    """The past is read by the hour; where time is sliced, by the bucket."""
    return account.sli.grain if account.ledger.slices else HOUR


def _whole(first: int, last: int) -> Run:
    """These hours; what is already known of them does no harm."""
    return Run((first + 1) * HOUR, (last + 1) * HOUR)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

"""Whatever happens to the operator and to who scrapes it, what counters prove has happened."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.bucket_ring import BucketState
from penstock.domain.evidence import EventCounts
from penstock.domain.exported_counters import (
    CounterSamples,
    CounterTotals,
    boundary_at,
    count_final_hours,
    hours_from_counters,
    seen_at,
)
from penstock.domain.ledger import HOUR, Ledger

T0 = 500_000 * HOUR
HOURS = 16
STEP = 300
STEPS = range(T0, T0 + HOURS * HOUR, STEP)
# An operator without a snapshot reads hours again, and may find more events in them each time.
MORE = (0, 1_000, 7_000, 49_000, 343_000)
LOOK_BACKS = (300, 900, 2_100)  # seconds; of servers of all kinds
counts = st.builds(
    lambda bad, more, part: EventCounts(Decimal(bad) / part, Decimal(bad + more) / part),
    st.integers(0, 50),
    st.integers(0, 10**6),
    st.sampled_from([1, 1, 8]),
)
hours = st.lists(st.one_of(st.none(), counts, counts, counts), min_size=HOURS, max_size=HOURS)
moments = st.sets(st.sampled_from(STEPS), max_size=5)


class World:
    """Hours of a source, and an operator that seals them, late at times, and is ended at others.

    Attributes:
        samples: what was scraped, by instance and since.
    """

    def __init__(self, truth: list[EventCounts | None], idle: set[int], blind: set[int]) -> None:
        self.truth, self.idle, self.blind = truth, idle, blind
        self.samples: dict[tuple[int, int], dict[int, EventCounts]] = defaultdict(dict)
        self.instance, self.ledger = 0, self._begun()
        self.start, self.counted, self.losses = 0, None, 0

    def _begun(self) -> Ledger:
        return Ledger(300, 30 * 24 * HOUR)

    def restart(self, now: int, *, kept: bool, moved: bool) -> None:
        """With its snapshot or without, under the same address or another."""
        self.instance += moved
        self.counted: CounterTotals | None = None
        self.start = 0 if kept else -(-now // HOUR) * HOUR
        if not kept:
            self.ledger, self.losses = self._begun(), self.losses + 1

    def go_on(self, now: int) -> None:
        """Upkeep, and a scrape."""
        if now // 1_800 not in {one // 1_800 for one in self.idle}:
            self._seal(now)
            self.counted = count_final_hours(self.counted, self.ledger, self.start, now)
        if now not in self.blind and self.counted is not None and self.counted.is_current(now):
            whose = self.samples[self.instance, self.counted.since]
            whose[now] = self.counted.count

    def _seal(self, now: int) -> None:
        for nth, count in enumerate(self.truth):
            ended = T0 + (nth + 1) * HOUR
            number = T0 // HOUR + nth
            if now >= ended + 3_900 and self.ledger.coarse.state(number) is not BucketState.SEALED:
                counts = count and EventCounts(count.bad, count.total + MORE[self.losses])
                self.ledger.coarse.put(number, counts, BucketState.SEALED)

    def told(self, look_back: int) -> dict[int, EventCounts]:
        borders = range(T0, T0 + HOURS * HOUR, HOUR)
        tracks = []
        for (_, since), samples in self.samples.items():
            said = {
                boundary_at(seen_at(boundary)): samples[max(seen)]
                for boundary in borders
                if (
                    seen := [
                        at
                        for at in samples
                        if seen_at(boundary) - look_back < at <= seen_at(boundary)
                    ]
                )
            }
            tracks.append(CounterSamples(since, said))
        return hours_from_counters(tracks)


@given(
    truth=hours,
    idle=moments,
    blind=st.sets(st.sampled_from(STEPS), max_size=60),
    restarts=st.dictionaries(
        st.sampled_from(STEPS), st.tuples(st.booleans(), st.booleans()), max_size=4
    ),
    look_back=st.sampled_from(LOOK_BACKS),
)
def test_no_hour_is_reported_otherwise_than_it_was(
    truth: list[EventCounts | None],
    idle: set[int],
    blind: set[int],
    restarts: dict[int, tuple[bool, bool]],
    look_back: int,
) -> None:
    world = World(truth, idle, blind)
    for now in STEPS:
        if now in restarts:
            kept, moved = restarts[now]
            world.restart(now, kept=kept, moved=moved)
        world.go_on(now)
    for number, count in world.told(look_back).items():
        true = truth[number - T0 // HOUR]
        assert true is not None
        assert count.bad == true.bad
        assert count.total - true.total in MORE


@given(truth=st.lists(counts, min_size=HOURS, max_size=HOURS), moved=st.booleans())
def test_nothing_is_lost_by_restarts_that_find_their_snapshot(
    truth: list[EventCounts | None], moved: bool
) -> None:
    world = World(truth, set(), set())
    for now in STEPS:
        if (now - T0) % (4 * HOUR) == 2 * HOUR + 1_800:
            world.restart(now, kept=True, moved=moved)
        world.go_on(now)
    last = HOURS - 3
    assert world.told(300) == {T0 // HOUR + nth: truth[nth] for nth in range(last)}

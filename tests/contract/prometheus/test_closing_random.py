"""Random lives of targets, closed bucket by bucket, against brute force over their raw samples.

``SEED=... pytest tests/contract/prometheus/test_closing_random.py`` draws other lives. A few in a
hundred hold a moment that samples cannot tell (a counter that is back after more than the look
back, a first error right after a failed scrape); what the seed below draws holds none.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from penstock.domain.quantities import Duration
from penstock.engine.promql.counting import exact_increase, reading
from support import draws
from support.history import NOW
from support.scrapes import Labels, Scrapes, Target, ask_range, series
from support.situations import EVERY, LAST, when

pytestmark = pytest.mark.servers

SEED = draws.seed(11)
TARGETS, SCRAPES = 16, 720
IN_BUCKET = 20
LOOK_BACK = 240  # scrapes in an hour
NEAR = 8  # in two minutes
BUCKETS = range(1, SCRAPES // IN_BUCKET)
LATE_BUCKETS = (20, 21)
LATE = 2
READ = reading("events_total")
QUERY = exact_increase(READ, ("one",), Duration.parse("5m"), Duration.parse("1h"), thorough=True)

Key = tuple[str, int]
"""A series, and the number of a bucket."""


@dataclass
class Life:
    """A target that serves, fails, crashes, dies and is born again; and what was scraped of it."""

    name: str
    draw: random.Random
    scrapes: Scrapes
    watched: bool
    instance: str = ""
    target: Target = field(init=False)
    samples: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    counters: dict[str, float] = field(default_factory=lambda: {"200": 50_000.0})
    started: float = -1_000_000.0
    down: int = 0  # scrapes that will fail
    gone: int = 0  # scrapes without a target
    calm: int = 2 * IN_BUCKET  # scrapes before the next outage may begin
    blind: bool = False  # since an outage no border was scraped: what begins here nobody can know

    def __post_init__(self) -> None:
        self._has_address(self.name)

    def live(self, scrape: int) -> None:
        at = when(scrape - SCRAPES + LAST)
        if self.gone:
            self.gone -= 1
            self.target.is_gone(at)
            if not self.gone:
                self._begin(at + EVERY)
                if self.draw.random() < 0.7:
                    self._has_address(f"{self.name}-since-{scrape}")
            return
        self._happen(at)
        if self.gone:
            self.target.is_gone(at)
        elif self.down:
            self.down -= 1
            self.target.fails(at)
        else:
            self.blind &= scrape % IN_BUCKET != 0
            self._answer(scrape, at)

    def _happen(self, at: float) -> None:
        chance = self.draw.random()
        if self.blind and self.down:
            self._count()
            return
        if chance < 1 / 120:
            self._begin(at)
        elif chance < 1 / 120 + 1 / 300:
            self.gone = self.draw.randint(1, 60)
        elif chance < 1 / 120 + 1 / 300 + 1 / 80 and not self.down:
            self.down = self.draw.randint(1, 3)
        elif chance < 1 / 120 + 1 / 300 + 1 / 80 + 1 / 300 and self.calm <= 0 and not self.down:
            self.down, self.blind = self.draw.randint(20, 160), True
        self.calm -= 1
        self._count()

    def _has_address(self, instance: str) -> None:
        labels = {"job": "shop", "instance": instance}
        self.instance = instance
        self.target = Target(self.scrapes, labels, watched=self.watched)

    def _begin(self, at: float) -> None:
        """A process starts between the scrape before and this one."""
        self.counters = {"200": 0.0}
        self.started = at - self.draw.uniform(1, EVERY - 1)
        self.calm = 2 * IN_BUCKET

    def _count(self) -> None:
        self.counters["200"] += self.draw.randint(0, 40)
        if self.draw.random() < 0.08 and ("500" in self.counters or not self.blind):
            self.counters["500"] = self.counters.get("500", 0) + self.draw.randint(1, 30)

    def _answer(self, scrape: int, at: float) -> None:
        values = {self._series(code): value for code, value in self.counters.items()}
        self.target.answers(at, values, self.started)
        for code, value in self.counters.items():
            self.samples[f"{self.instance}-{code}"][scrape] = value

    def _series(self, code: str) -> Labels:
        return series("events_total", code=code, one=f"{self.instance}-{code}")


@dataclass(frozen=True)
class Past:
    """What was scraped in three hours, and what brute force makes of it."""

    scrapes: Scrapes
    samples: dict[str, dict[int, float]]

    def true(self) -> dict[Key, float]:
        """Events of each bucket that has samples, if it has no reset, or one that can be seen."""
        return {
            (name, bucket): growth([base, *inside])
            for (name, bucket), base, inside in self._buckets()
            if not falls(inside) or self._fell_once(name, bucket, inside)
        }

    def between(self) -> dict[Key, tuple[float, float]]:
        """Bounds for the other buckets in which the counter began anew.

        Where it was seen at both borders, what was counted by steps is off by 4 millionths at most.
        `increase` stretches what it saw by at most 1.1 times the distance of its samples on both
        sides.
        """
        return {
            key: self._bounds(*key, base, inside)
            for key, base, inside in self._buckets()
            if falls(inside) and not self._fell_once(*key, inside)
        }

    def _bounds(
        self, name: str, bucket: int, base: float, inside: list[float]
    ) -> tuple[float, float]:
        boundaries = {bucket * IN_BUCKET, (bucket + 1) * IN_BUCKET}
        if boundaries <= self.samples[name].keys():
            true = growth([base, *inside])
            return true * (1 - 4e-6), true
        return growth(inside), growth(inside) * (1 + 2.2 / (len(inside) - 1))

    def _fell_once(self, name: str, bucket: int, inside: list[float]) -> bool:
        """From higher than it stands at the end, and not in the two minutes before."""
        boundary, samples = bucket * IN_BUCKET, self.samples[name]
        near = [samples[n] for n in range(boundary - NEAR + 1, boundary + 1) if n in samples]
        return bool(near) and falls(near + inside) == 1 and inside[-1] < max(inside)

    def kinds(self) -> Counter[str]:
        """How often a bucket was of a kind that takes care."""
        found: Counter[str] = Counter()
        for (name, bucket), base, inside in self._buckets():
            found["born"] += base == 0
            found["begun anew at the border"] += inside[0] < base
            found["begun anew inside"] += falls(inside) > 0
            found["begun anew inside, once"] += self._fell_once(name, bucket, inside)
            found["after a gap"] += base > 0 and bucket * IN_BUCKET not in self.samples[name]
        return found

    def _buckets(self) -> Iterator[tuple[Key, float, list[float]]]:
        for (name, samples), bucket in itertools.product(self.samples.items(), BUCKETS):
            boundary = bucket * IN_BUCKET
            inside = [samples[n] for n in range(boundary + 1, boundary + 21) if n in samples]
            before = [
                samples[n] for n in range(boundary - LOOK_BACK + 1, boundary + 1) if n in samples
            ]
            if inside:
                yield (name, bucket), before[-1] if before else 0.0, inside


def growth(values: list[float]) -> float:
    return sum(new - old if new >= old else new for old, new in itertools.pairwise(values))


def falls(values: list[float]) -> int:
    return sum(new < old for old, new in itertools.pairwise(values))


def lived(*, watched: bool) -> Past:
    print(f"SEED={SEED}")
    draw, scrapes = random.Random(SEED), Scrapes()
    names = [f"{'late' if n < LATE else 'pod'}-{n}" for n in range(TARGETS)]
    lives = [Life(name, draw, scrapes, watched) for name in names]
    for scrape, life in itertools.product(range(1, SCRAPES + 1), lives):
        life.live(scrape)
    return Past(scrapes, {key: one for life in lives for key, one in life.samples.items()})


def closed(url: str) -> dict[Key, Decimal]:
    ends = [NOW - timedelta(minutes=5 * (SCRAPES // IN_BUCKET - 1 - bucket)) for bucket in BUCKETS]
    rows = ask_range(url, QUERY, ends[0], ends[-1], 300, "one")
    return {
        (name, bucket): row[end.timestamp()]
        for name, row in rows.items()
        for bucket, end in zip(BUCKETS, ends, strict=True)
        if end.timestamp() in row
    }


def wrong(found: dict[Key, Decimal], past: Past) -> dict[Key, tuple[Decimal | None, object]]:
    """Each bucket that is not what brute force says, with both."""
    exactly = {
        key: (found.get(key), true) for key, true in past.true().items() if found.get(key) != true
    }
    about = {
        key: (found.get(key), bounds)
        for key, bounds in past.between().items()
        if not bounds[0] - 1e-6 <= float(found.get(key, -1)) <= bounds[1] + 1e-6
    }
    return {**exactly, **about}


def test_random_lives_are_counted_as_brute_force_does_and_late_samples_when_read_again(tmp_path):
    past = lived(watched=True)
    assert min(past.kinds()[kind] for kind in past.kinds()) >= 3, past.kinds()
    late = past.scrapes.withhold(
        lambda at, labels: (
            dict(labels)["instance"].startswith("late") and bucket_of(at) in LATE_BUCKETS
        )
    )
    with past.scrapes.served(tmp_path) as url:
        missed = wrong(closed(url), past)
        assert {key for key in missed if missed[key][0] is None}, f"SEED={SEED}"
        assert all(name.startswith("late") for name, _ in missed), f"SEED={SEED} {missed}"
        late.send(url)
        found = closed(url)
    assert not wrong(found, past), f"SEED={SEED}"
    assert found.keys() == past.true().keys() | past.between().keys(), f"SEED={SEED}"


def test_random_lives_without_up_are_never_counted_too_high_and_hardly_too_low(tmp_path: Path):
    past = lived(watched=False)
    bare = past.scrapes
    bare.withhold(lambda _, labels: dict(labels)["__name__"] == "process_start_time_seconds")
    with bare.served(tmp_path) as url:
        found = closed(url)
    true = past.true()
    too_high = {
        key: (found[key], true[key]) for key in found.keys() & true if found[key] > true[key]
    }
    assert not too_high, f"SEED={SEED}"
    counted, there = sum(float(found.get(key, 0)) for key in true), sum(true.values())
    assert counted >= 0.99 * there, f"SEED={SEED}"


def bucket_of(at: float) -> int:
    """The bucket in which a time lies."""
    return int((at + SCRAPES * EVERY) // (IN_BUCKET * EVERY))

"""The central loop: what is due, one batched question per source, evidence to whom it concerns.

One task for everything instead of one per object: that is what allows to batch, to bound what a
source is asked at once, and to stop at once. A source that is slow delays nobody else's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from penstock.domain.case import Judged
from penstock.domain.entry import Resource
from penstock.domain.evidence import Evidence, Kind
from penstock.domain.guard import Guard, guard
from penstock.domain.quantities import Duration
from penstock.domain.refs import ObjectRef
from penstock.domain.rollout import Rollout
from penstock.domain.slo import Slo
from penstock.domain.source import Source
from penstock.domain.window import length
from penstock.engine.catalog import Catalog, Key, Named, parsed_source
from penstock.engine.ports import Clock, Inquiry, Metrics, Tally
from penstock.engine.schedule import Schedule, phase
from penstock.errors import SpecInvalid

log = logging.getLogger(__name__)

# One source, apart for SLOs that a release hangs on, so that these never wait for all others.
Lane = tuple[str, str, bool]

# Looks back that every SLO's status shows, as far as they fit into its window.
SHOWN_LOOKS = tuple(Duration.parse(text) for text in ("5m", "30m", "1h", "2h", "6h", "1d", "3d"))
GATHER_SECONDS = 0.2
ASK_AGAIN_SECONDS = 0.5
MISSED_EVALUATIONS = 3


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, in seconds.

    Attributes:
        rest: an SLO is evaluated at rest.
        hot: it is while a release hangs on it.
        scrape: metrics are taken; a default burn pair sees at least four scrapes.
    """

    rest: float
    hot: float
    scrape: float = 15.0


@dataclass(frozen=True, slots=True)
class Known:
    """Evidence, when it came on the monotonic clock, and how far back was asked for it."""

    evidence: Evidence
    at: float
    uid: str
    looks: frozenset[Duration]


class Evaluator:
    """Keeps evidence of every SLO no older than its pace."""

    def __init__(
        self,
        catalog: Catalog,
        metrics: Metrics,
        clock: Clock,
        tally: Tally,
        pace: Pace,
        hot: Callable[[Key, bool], bool],
        tell: Callable[[Slo, Evidence], None],
        onsets: Callable[[Key], frozenset[datetime]] = lambda _: frozenset(),
    ) -> None:
        self._catalog, self._metrics, self._clock, self._tally = catalog, metrics, clock, tally
        self._pace, self._hot, self._onsets, self._tell = pace, hot, onsets, tell
        # What comes within so many seconds is asked together.
        self._gather = min(GATHER_SECONDS, pace.hot / 4)
        self._known: dict[Key, Known] = {}
        self._schedule: Schedule[Key] = Schedule()
        self._asking: dict[Lane, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self.beat = clock.monotonic()

    def due_now(self, slos: Iterable[Key]) -> None:
        """Evaluate these as soon as possible: something about them has changed."""
        now = self._clock.monotonic()
        for key in slos:
            self._schedule.sooner(key, now)
        self._woken.set()

    def hurry(self, rollout: Rollout) -> None:
        """All SLOs of a Rollout: a release must not go unwatched until the next round at rest."""
        named = self._catalog.slos_of(rollout)
        self.due_now((rollout.ref.namespace, one.name) for one in named if one.entry)

    def start(self, slos: Iterable[Key]) -> None:
        """Everything at once, as batches are cheapest so; the next round is spread."""
        self.due_now(slos)

    def forget(self, slo: Key) -> None:
        """The SLO is gone: what was known of it must not serve a namesake."""
        self._known.pop(slo, None)
        self._schedule.drop(slo)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self.beat = self._clock.monotonic()
                await self._wait()
                due = self._schedule.take(self._clock.monotonic() + self._gather)
                self._ask(due)
        finally:
            for task in self._asking.values():
                task.cancel()
            await asyncio.gather(*self._asking.values(), return_exceptions=True)

    def evidence(self, rollout: Rollout, now: datetime) -> tuple[Judged, ...]:
        """A Rollout's SLOs, each with what is known of it and the policy that applies."""
        return tuple(self._judged(named, rollout, now) for named in self._catalog.slos_of(rollout))

    def age(self) -> float:
        """Seconds since the oldest evidence came; 0 while there is none."""
        now = self._clock.monotonic()
        return max((now - known.at for known in self._known.values()), default=0.0)

    def _judged(self, named: Named, rollout: Rollout, now: datetime) -> Judged:
        entry = named.entry
        if entry is None:
            what = (
                "its sloSelector matches no SLO of the namespace"
                if named.name.startswith("(")
                else "there is no SLO of this name in the namespace; create it or correct spec.slos"
            )
            return Judged(named.name, Evidence(Kind.SLO_NOT_FOUND, what), None)
        if isinstance(entry.value, SpecInvalid):
            return Judged(named.name, Evidence(Kind.SLO_INVALID, str(entry.value)), None)
        if not isinstance(entry.value, Slo):
            raise TypeError(f"{named.name} is no SLO")
        slo = entry.value
        applies = self._guard_of(rollout, slo, length(slo.window, now))
        return Judged(named.name, self._current(slo, applies, now), applies)

    def _current(self, slo: Slo, applies: Guard, now: datetime) -> Evidence:
        """What is known, if it is of this very object, no older than it may be, and far-seeing.

        A policy that is new looks back otherwise than was asked so far: that is no missing data.
        """
        known = self._known.get((slo.ref.namespace, slo.ref.name))
        if known is None or known.uid != slo.ref.uid:
            return Evidence(Kind.WARMING_UP, "it has not been evaluated yet")
        age = self._clock.monotonic() - known.at
        if age > MISSED_EVALUATIONS * self._pace.rest:
            return Evidence(Kind.STALE, f"the last evaluation is {int(age)} s old")
        asked = known.looks | {length(slo.window, now)}
        if known.evidence.reading is not None and not applies.looks <= asked:
            return Evidence(Kind.WARMING_UP, "it has not been evaluated for this policy yet")
        return known.evidence

    async def _wait(self) -> None:
        at = self._schedule.next()
        seconds = 5.0 if at is None else max(0.0, min(5.0, at - self._clock.monotonic()))
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()
        await asyncio.sleep(self._gather)

    def _ask(self, due: list[Key]) -> None:
        groups: dict[Lane, list[Inquiry]] = defaultdict(list)
        sources: dict[Lane, Source] = {}
        for key in due:
            entry = self._catalog.get(Resource.SLO, key)
            if entry is None or not isinstance(entry.value, Slo):
                continue
            found = self._catalog.source_of(entry.value)
            source = parsed_source(found)
            spared = source is not None and self._metrics.is_overloaded(source)
            hot = self._hot(key, spared)
            self._set_next(key, source, hot=hot, rounds=2 if spared and not hot else 1)
            if source is None:
                self._learn(entry.value, _no_source(entry.value, found))
                continue
            lane = (source.ref.namespace, source.ref.name, hot)
            sources[lane] = source
            looks, onsets = self._looks(entry.value), self._onsets(key)
            groups[lane].append(Inquiry(entry.value, looks, hot, onsets))
        for lane, inquiries in groups.items():
            self._start_asking(lane, sources[lane], inquiries)

    def _set_next(self, key: Key, source: Source | None, *, hot: bool, rounds: int) -> None:
        """All SLOs of one source at the same moments, since what is asked together costs least.

        What is asked a little early is not asked again at its moment. A source that is to be spared
        is asked every second round: in every third, all evidence would be too old in between.
        """
        seconds = self._pace.hot if hot else self._pace.rest
        shift = phase(f"{source.ref.namespace}/{source.ref.name}" if source else "", seconds)
        now = self._clock.monotonic() + self._gather
        self._schedule.set(key, ((now - shift) // seconds + rounds) * seconds + shift)

    def _start_asking(self, lane: Lane, source: Source, inquiries: list[Inquiry]) -> None:
        """A source that still owes the last answer is not asked again: it is slow already."""
        running = self._asking.get(lane)
        if running is not None and not running.done():
            self._tally.count("penstock_evaluations_skipped_total")
            soon = self._clock.monotonic() + ASK_AGAIN_SECONDS
            for one in inquiries:
                self._schedule.set((one.slo.ref.namespace, one.slo.ref.name), soon)
            return
        self._asking[lane] = asyncio.create_task(self._measure(source, inquiries))

    async def _measure(self, source: Source, inquiries: list[Inquiry]) -> None:
        at = self._clock.now()
        try:
            answers = await self._metrics.measure(source, inquiries, at)
        except Exception:
            log.exception("measuring by source %s failed", source.ref)
            self._tally.count("penstock_errors_total", where="evaluator")
            answers = {}
        for one in inquiries:
            missing = Evidence(Kind.MALFORMED, "an internal error; the log of the operator has it")
            self._learn(one.slo, answers.get(one.slo.ref, missing), one.looks)

    def _learn(
        self, slo: Slo, evidence: Evidence, looks: frozenset[Duration] = frozenset()
    ) -> None:
        key = (slo.ref.namespace, slo.ref.name)
        entry = self._catalog.get(Resource.SLO, key)
        if entry is None or entry.ref.uid != slo.ref.uid:
            return
        if isinstance(entry.value, Slo) and entry.value.generation != slo.generation:
            return
        self._known[key] = Known(evidence, self._clock.monotonic(), slo.ref.uid, looks)
        self._tally.count("penstock_evidence_total", kind=evidence.kind)
        self._tell(slo, evidence)

    def _looks(self, slo: Slo) -> frozenset[Duration]:
        """Every look back that this SLO's status or any of its Rollouts' policies needs."""
        window = length(slo.window, self._clock.now())
        looks = {look for look in SHOWN_LOOKS if look < window}
        for key in self._catalog.rollouts_of((slo.ref.namespace, slo.ref.name)):
            entry = self._catalog.get(Resource.ROLLOUT, key)
            if entry is not None and isinstance(entry.value, Rollout):
                looks |= self._guard_of(entry.value, slo, window).looks
        return frozenset(look for look in looks if look != window)

    def _guard_of(self, rollout: Rollout, slo: Slo, window: Duration) -> Guard:
        scrape = Duration(int(self._pace.scrape * 1_000))
        return guard(rollout.policy, slo.objective, window, scrape)


def _no_source(slo: Slo, found: object) -> Evidence:
    named = f"{slo.source.kind} {slo.source.name}" if slo.source else "a source named default"
    if found is None:
        return Evidence(Kind.SOURCE_NOT_FOUND, f"{named} does not exist; create it")
    return Evidence(Kind.SOURCE_NOT_FOUND, f"{named} is invalid; its status says why")


def ref_key(ref: ObjectRef) -> Key:
    """How the catalog finds an object."""
    return ref.namespace, ref.name

"""When SLOs are asked about, by a simulated clock: at rest, and while a release hangs on them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise

from penstock.adapters.backpressure import OverloadDetector
from penstock.domain.cached_object import CachedObject, Resource
from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.metrics_source import MetricsSource, Tls
from penstock.domain.quantities import Duration
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import SourceKind
from penstock.domain.source_status import SourceHealth, SourceReason
from penstock.engine import triggers
from penstock.engine.active_releases import ActiveRelease, ActiveReleases
from penstock.engine.evaluator import Evaluator
from penstock.engine.evidence_store import EvidenceStore
from penstock.engine.evidence_view import MISSED_EVALUATIONS, EvaluationIntervals
from penstock.engine.manager_index import ManagerIndex
from penstock.engine.object_cache import ObjectCache
from penstock.engine.ports import EvidenceRequest
from penstock.engine.stores import Queues, Stores
from penstock.settings import Settings
from support.clocks import SimulatedLoop
from support.reports import SLO
from support.rollout_fixtures import ROLLOUT

INTERVALS = EvaluationIntervals(rest=60.0, hot=10.0)
NAMES = ("hot", "cold", "other")
SOURCE = MetricsSource(
    ObjectRef("shop", "default", "s1"),
    1,
    SourceKind.METRICS_SOURCE,
    "http://prometheus:9090",
    None,
    Tls(),
    (),
    Duration.parse("8s"),
    Duration.parse("2m"),
)


@dataclass(frozen=True)
class Round:
    """One request's worth: when, by the monotonic clock, and for which SLOs."""

    at: float
    slos: frozenset[str]
    hot: bool


@dataclass
class Scene:
    """An evaluator over three SLOs of one source, and what it asked."""

    clock: SimulatedLoop = field(default_factory=SimulatedLoop)
    hot: bool = False
    shut: bool = False
    overload: OverloadDetector = field(default_factory=OverloadDetector)
    complains: Callable[[float], bool] = lambda at: False
    takes: float = 0.05
    rounds: list[Round] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        cache = ObjectCache()
        cache.upsert(Resource.METRICS_SOURCE, CachedObject(SOURCE.ref, 1, SOURCE))
        for name in NAMES:
            ref = ObjectRef("shop", name, name)
            cache.upsert(Resource.SLO, CachedObject(ref, 2, replace(SLO, ref=ref)))
        self.rollout = replace(ROLLOUT, slos=("hot",))
        cache.upsert(Resource.ROLLOUT, CachedObject(ROLLOUT.ref, 3, self.rollout))
        queues = Queues(self.clock)
        self.stores = Stores(cache, EvidenceStore(), ActiveReleases(), ManagerIndex(), queues)
        self.evaluator = Evaluator(self.stores, self, self.clock, self, INTERVALS)

    def is_doing(self, *, under_way: bool = False, shut: bool = False) -> None:
        """What the Rollout is doing from now on, as its reconciler says it."""
        key, releases = ("shop", ROLLOUT.ref.name), self.stores.releases
        before = releases.get(key)
        after = ActiveRelease(ROLLOUT.ref.uid, is_under_way=under_way, is_closed=shut)
        releases.put(key, after)
        cache = self.stores.cache
        self.stores.queues.add(triggers.release_changed(cache, self.rollout, before, after))

    def is_overloaded(self, source: MetricsSource) -> bool:
        return self.overload.is_overloaded(self.clock.monotonic())

    async def measure(
        self, source: MetricsSource, inquiries: Sequence[EvidenceRequest], at: datetime
    ) -> Mapping[ObjectRef, Evidence]:
        names = frozenset(request.slo.ref.name for request in inquiries)
        self.rounds.append(Round(self.clock.monotonic(), names, inquiries[0].hot))
        await asyncio.sleep(self.takes)
        if self.complains(self.clock.monotonic()):
            self.overload.record_refusal()
        else:
            self.overload.record_answer(self.clock.monotonic())
        return {request.slo.ref: Evidence(EvidenceKind.NO_TRAFFIC) for request in inquiries}

    async def health(self, source: MetricsSource) -> SourceHealth:
        return SourceHealth(SourceReason.CONNECTED)

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        self.counted.append(name)

    def gauge(self, name: str, value: float, /, **labels: str) -> None: ...

    def forget(self, **labels: str) -> None: ...

    def times(self, slo: str, begin: float = 0.0) -> list[float]:
        """When it was asked about."""
        return [one.at for one in self.rounds if slo in one.slos and one.at >= begin]


def played(scene: Scene, *acts: tuple[float, Callable[[], None]], until: float) -> Scene:
    """Run it from a start on; what happens at which second is the test's."""

    async def story() -> None:
        scene.stores.queues.slos.add_all(("shop", name) for name in NAMES)
        scene.is_doing(under_way=scene.hot, shut=scene.shut)
        running = asyncio.create_task(scene.evaluator.run())
        for at, act in acts:
            await _until(scene, at)
            act()
        await _until(scene, until)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    scene.clock.play(story())
    return scene


def _until(scene: Scene, at: float) -> Awaitable[None]:
    return asyncio.sleep(max(0.0, at - scene.clock.monotonic()))


def gaps(times: Sequence[float]) -> set[float]:
    return {round(later - earlier) for earlier, later in pairwise(times)}


def test_the_defaults_are_those_of_the_contract() -> None:
    """A release under way is looked at every 5 to 15 seconds, everything else each minute."""
    settings = Settings()
    assert 5 <= settings.hot_interval <= 15
    assert settings.interval == 60


def test_at_rest_all_slos_of_a_source_are_evaluated_once_a_minute_and_together() -> None:
    scene = played(Scene(), until=3_600)
    first, *later = scene.rounds
    assert first.at < 1
    assert {one.slos for one in scene.rounds} == {frozenset(NAMES)}
    assert gaps([one.at for one in later]) == {60}


def test_what_a_release_depends_on_is_evaluated_every_ten_seconds_the_others_no_more_often() -> (
    None
):
    scene = played(Scene(hot=True), until=1_800)
    assert gaps(scene.times("hot")[1:]) == {10}
    assert gaps(scene.times("cold")[1:]) == {60}
    assert {one.slos for one in scene.rounds} == {frozenset({"hot"}), frozenset({"cold", "other"})}


def test_it_is_evaluated_the_moment_that_a_release_begins_and_calms_down_after_it() -> None:
    scene = Scene()

    def begins() -> None:
        scene.is_doing(under_way=True)

    played(scene, (305.0, begins), (605.0, scene.is_doing), until=1_200)
    first, *later = scene.times("hot", begin=305.0)
    assert first < 306
    under_way = [first, *(at for at in later if at < 616)]
    assert max(gaps(under_way)) <= 10
    assert gaps([at for at in later if at > 626]) == {60}
    assert gaps(scene.times("cold")[1:]) == {60}


def test_a_round_that_finds_the_last_one_unfinished_is_skipped_and_counted() -> None:
    """Those at rest, which are asked apart, do not wait for it."""
    scene = played(Scene(hot=True, takes=25.0), until=600)
    assert min(gaps(scene.times("hot"))) >= 25
    assert gaps(scene.times("cold")[1:]) == {60}
    assert scene.counted.count("penstock_evaluations_skipped_total") > 0


def test_a_source_with_too_much_to_do_is_asked_half_as_often_at_rest_until_it_is_well() -> None:
    def complains(at: float) -> bool:
        return 600 <= at < 1_200

    scene = played(Scene(hot=True, complains=complains), until=2_400)
    times = scene.times("cold")[1:]
    assert gaps([at for at in times if at < 660]) == {60}
    assert gaps([at for at in times if 660 <= at < 1_260]) == {120}
    assert gaps([at for at in times if at >= 1_440]) == {60}
    assert gaps(scene.times("hot")[1:]) == {10}


def test_no_evidence_gets_too_old_because_its_source_is_spared() -> None:
    scene = played(Scene(complains=lambda at: True), until=3_600)
    assert max(gaps(scene.times("cold"))) < MISSED_EVALUATIONS * INTERVALS.rest


def test_a_gate_that_is_merely_closed_does_not_press_a_source_with_too_much_to_do() -> None:
    """Else it would be asked six times as often, the moment that its answers fail."""
    scene = played(Scene(shut=True, complains=lambda at: at >= 600), until=2_400)
    times = scene.times("hot")
    assert gaps([at for at in times[1:] if at < 600]) == {10}
    assert gaps([at for at in times if at >= 700]) == {120}

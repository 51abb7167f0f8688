"""What has to be worked on after each kind of change; the table is pure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.domain.cached_object import CachedObject, Resource
from penstock.domain.metrics_source import MetricsSource, Tls
from penstock.domain.quantities import Duration
from penstock.domain.refs import ObjectRef, WorkloadRef
from penstock.domain.rollout import LabelSelector
from penstock.domain.slo import SourceKind
from penstock.engine import triggers
from penstock.engine.active_releases import ActiveRelease
from penstock.engine.object_cache import ObjectCache, ObjectChange
from penstock.engine.triggers import Keys
from penstock.errors import SpecInvalid
from support.reports import SLO
from support.rollout_fixtures import ROLLOUT, WORKLOAD

KEY = ("shop", "checkout")
TIME = Duration.parse("8s")
SOURCE = MetricsSource(
    ObjectRef("shop", "default", "s1"),
    1,
    SourceKind.METRICS_SOURCE,
    "http://prometheus:9090",
    None,
    Tls(),
    (),
    TIME,
    TIME,
)
INVALID = SpecInvalid("spec.slos", "give at least one")
IDLE = ActiveRelease("u1")
BUSY = ActiveRelease("u1", is_under_way=True)


def slo(name: str = "checkout") -> CachedObject:
    ref = ObjectRef("shop", name, name)
    return CachedObject(ref, 1, replace(SLO, ref=ref))


def rollout(name: str = "checkout", **facts: object) -> CachedObject:
    ref = ObjectRef("shop", name, name)
    return CachedObject(ref, 1, replace(ROLLOUT, ref=ref, **facts))  # type: ignore[arg-type]


def after(cache: ObjectCache, resource: Resource, obj: CachedObject) -> Keys:
    """The keys after an object was seen."""
    change = cache.upsert(resource, obj)
    assert change is not None
    return triggers.TRIGGERS[change.resource](cache, change)


def gone(cache: ObjectCache, resource: Resource, name: str) -> Keys:
    """The keys after an object was deleted."""
    change = cache.remove(resource, ("shop", name))
    assert change is not None
    return triggers.TRIGGERS[change.resource](cache, change)


def test_every_kind_has_a_trigger() -> None:
    assert set(triggers.TRIGGERS) == set(Resource)


def test_an_slo_is_evaluated_and_its_rollouts_are_reconciled() -> None:
    cache = ObjectCache()
    cache.upsert(Resource.ROLLOUT, rollout(slos=("checkout",)))
    cache.upsert(Resource.ROLLOUT, rollout("other", slos=("search",)))
    keys = Keys(slos=[KEY], slo_statuses=[KEY], rollouts=[KEY])
    assert after(cache, Resource.SLO, slo()) == keys
    assert after(cache, Resource.SLO, CachedObject(slo().ref, 2, INVALID)) == keys
    assert gone(cache, Resource.SLO, "checkout") == keys


def test_a_rollout_is_reconciled_with_its_rivals_of_before_and_after() -> None:
    cache = ObjectCache()
    cache.upsert(Resource.SLO, slo())
    other = WorkloadRef("apps/v1", "Deployment", "search")
    cache.upsert(Resource.ROLLOUT, rollout("a"))
    cache.upsert(Resource.ROLLOUT, rollout("b", workload=other))
    keys = after(cache, Resource.ROLLOUT, rollout("c"))
    assert keys == Keys(slos=[KEY], rollouts=[("shop", "c"), ("shop", "a")], observe=True)
    moved = replace(rollout("c", workload=other), generation=2)
    keys = after(cache, Resource.ROLLOUT, moved)
    assert keys.rollouts == [("shop", "c"), ("shop", "a"), ("shop", "b")]
    assert gone(cache, Resource.ROLLOUT, "c") == Keys(
        rollouts=[("shop", "c"), ("shop", "b")], observe=True
    )


def test_an_invalid_rollout_is_reconciled_and_asks_for_nothing() -> None:
    cache = ObjectCache()
    cache.upsert(Resource.SLO, slo())
    keys = after(cache, Resource.ROLLOUT, CachedObject(rollout().ref, 1, INVALID))
    assert keys == Keys(rollouts=[KEY], observe=True)


def test_slos_that_a_rollout_names_and_that_are_not_there_are_not_evaluated() -> None:
    keys = after(ObjectCache(), Resource.ROLLOUT, rollout(slos=("checkout",)))
    assert keys.slos == []
    selecting = rollout(slos=(), selector=LabelSelector((("team", "a"),)))
    assert after(ObjectCache(), Resource.ROLLOUT, selecting).slos == []


def test_a_source_is_probed_and_the_slos_that_it_serves_are_evaluated() -> None:
    cache = ObjectCache()
    cache.upsert(Resource.SLO, slo())
    where = (Resource.METRICS_SOURCE, ("shop", "default"))
    keys = Keys(slos=[KEY], sources=[where])
    assert after(cache, Resource.METRICS_SOURCE, CachedObject(SOURCE.ref, 1, SOURCE)) == keys
    assert gone(cache, Resource.METRICS_SOURCE, "default") == keys


def test_a_workload_that_changes_is_observed_for_all_its_rollouts() -> None:
    cache = ObjectCache()
    cache.upsert(Resource.ROLLOUT, rollout("a"))
    keys = triggers.workload_changed(cache, "shop", WORKLOAD)
    assert keys == Keys(rollouts=[("shop", "a")], observe=True)
    assert triggers.workload_changed(cache, "bank", WORKLOAD).rollouts == []


def test_new_evidence_goes_to_the_status_and_to_the_rollouts_without_a_look_at_workloads() -> None:
    cache = ObjectCache()
    cache.upsert(Resource.ROLLOUT, rollout("a", slos=("checkout",)))
    assert triggers.evidence_changed(cache, KEY) == Keys(
        slo_statuses=[KEY], rollouts=[("shop", "a")]
    )


@pytest.mark.parametrize(
    ("before", "now", "begins"),
    [(None, BUSY, True), (IDLE, BUSY, True), (BUSY, BUSY, False), (BUSY, IDLE, False)],
)
def test_a_release_that_begins_has_its_slos_evaluated(
    before: ActiveRelease | None, now: ActiveRelease, begins: bool
) -> None:
    cache = ObjectCache()
    cache.upsert(Resource.SLO, slo())
    value = replace(ROLLOUT, slos=("checkout",))
    keys = triggers.release_changed(cache, value, before, now)
    assert keys == (Keys(slos=[KEY]) if begins else Keys())


def test_a_change_of_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="nothing"):
        _ = ObjectChange(Resource.SLO, None, None).key

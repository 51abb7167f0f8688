"""What exists, and who concerns whom: beside a naive model that looks everything up afresh."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from penstock.domain.cached_object import CachedObject, Resource
from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.metrics_source import MetricsSource, Tls
from penstock.domain.quantities import Duration
from penstock.domain.refs import ObjectRef, WorkloadRef
from penstock.domain.rollout import LabelExpression, LabelSelector, Operator, Rollout
from penstock.domain.rollout_state import RolloutState, StableTemplate
from penstock.domain.slo import Slo, SourceKind, SourceRef
from penstock.domain.slo_status import slo_status
from penstock.domain.template import PodTemplate
from penstock.engine.object_cache import Named, ObjectCache, ObjectChange, key_of, parsed_source
from penstock.errors import SpecInvalid
from support.decision_fixtures import NOW
from support.reports import SLO
from support.rollout_fixtures import ROLLOUT, WORKLOAD, version

NAMESPACES, NAMES = ("shop", "bank"), ("default", "checkout", "search")
INVALID = SpecInvalid("spec.slos", "give at least one")
SELECTORS = (
    None,
    LabelSelector((("team", "a"),)),
    LabelSelector((), (LabelExpression("team", Operator.NOT_IN, frozenset("a")),)),
)
WORKLOADS = (
    WORKLOAD,
    WorkloadRef("apps/v1beta1", "Deployment", "checkout"),
    WorkloadRef("argoproj.io/v1alpha1", "Deployment", "checkout"),
    WorkloadRef("apps/v1", "Deployment", "search"),
)
SOURCES = (
    None,
    SourceRef(SourceKind.METRICS_SOURCE, "search"),
    SourceRef(SourceKind.CLUSTER_METRICS_SOURCE, "search"),
)


def ref(namespace: str, name: str, uid: str = "u1") -> ObjectRef:
    return ObjectRef(namespace, name, uid)


def slo_entry(namespace: str = "shop", name: str = "checkout", **facts: Any) -> CachedObject:
    where = ref(namespace, name, facts.pop("uid", "u1"))
    return CachedObject(where, facts.pop("version", 1), replace(SLO, ref=where, **facts))


def rollout_entry(namespace: str = "shop", name: str = "checkout", **facts: Any) -> CachedObject:
    where, created = ref(namespace, name, facts.pop("uid", "u1")), facts.pop("created", "")
    value = replace(ROLLOUT, ref=where, **facts)
    return CachedObject(where, 1, value, created)


def source_entry(namespace: str = "shop", name: str = "default") -> CachedObject:
    kind = SourceKind.METRICS_SOURCE if namespace else SourceKind.CLUSTER_METRICS_SOURCE
    where, time = ref(namespace, name), Duration.parse("8s")
    value = MetricsSource(where, 1, kind, "http://prometheus:9090", None, Tls(), (), time, time)
    return CachedObject(where, 1, value)


def cache(**entries: list[CachedObject]) -> ObjectCache:
    known = ObjectCache()
    for name, listed in entries.items():
        for obj in listed:
            assert known.upsert(Resource[name.upper()], obj)
    return known


def test_an_answer_older_than_what_is_known_is_refused() -> None:
    known = cache(slo=[slo_entry(version=2)])
    assert not known.upsert(Resource.SLO, slo_entry(version=1))
    assert known.get(Resource.SLO, ("shop", "checkout")).generation == 2
    assert known.upsert(Resource.SLO, slo_entry(version=2, labels={"team": "a"}))
    assert known.upsert(Resource.SLO, slo_entry(version=1, uid="u2"))


def with_state(*stable: int, bodies: tuple[int, ...] = (), uid: str = "u1") -> CachedObject:
    """A Rollout whose status names some versions as stable, with the templates of some."""
    named = tuple(StableTemplate(version(one).hash, (), NOW) for one in stable)
    known = {version(one).hash: version(one) for one in bodies}
    return replace(rollout_entry(uid=uid), status=RolloutState(stable=named, bodies=known))


def bodies_in(known: ObjectCache) -> dict[str, PodTemplate]:
    found = known.get(Resource.ROLLOUT, ("shop", "checkout"))
    assert found is not None
    assert found.rollout_state is not None
    return dict(found.rollout_state.bodies)


def test_a_watch_event_keeps_the_templates_that_the_list_had_from_the_gate_record() -> None:
    known = cache(rollout=[with_state(1, 2, bodies=(1, 2))])
    known.upsert(Resource.ROLLOUT, with_state(3, 2))
    assert bodies_in(known) == {version(2).hash: version(2)}
    known.upsert(Resource.ROLLOUT, with_state(3, 2, bodies=(3,)))
    assert bodies_in(known).keys() == {version(2).hash, version(3).hash}
    known.upsert(Resource.ROLLOUT, with_state(3, 2, uid="u2"))
    assert bodies_in(known) == {}


def test_a_sweep_forgets_what_a_list_no_longer_shows_and_says_what() -> None:
    kept, gone = slo_entry(), slo_entry(name="search")
    known = cache(slo=[kept, gone], rollout=[rollout_entry(name="search")])
    known.begin_relist(Resource.SLO)
    assert known.replace(Resource.SLO, [kept]) == [ObjectChange(Resource.SLO, gone, None)]
    assert known.all(Resource.SLO) == [kept]
    assert len(known.all(Resource.ROLLOUT)) == 1


def test_what_is_made_while_a_list_is_awaited_is_not_swept() -> None:
    """The list was made before, so it does not show it; nobody would tell of it a second time."""
    old, new = slo_entry(), slo_entry(name="search")
    known = cache(slo=[old])
    known.begin_relist(Resource.SLO)
    known.upsert(Resource.SLO, new)
    assert known.replace(Resource.SLO, [old]) == []
    assert known.all(Resource.SLO) == [old, new]
    known.begin_relist(Resource.SLO)
    assert known.replace(Resource.SLO, [old]) == [ObjectChange(Resource.SLO, new, None)]


def test_what_vanishes_while_a_list_is_awaited_does_not_come_back_by_it() -> None:
    kept, gone = slo_entry(), slo_entry(name="search")
    known = cache(slo=[kept, gone])
    known.begin_relist(Resource.SLO)
    known.remove(Resource.SLO, ("shop", "search"))
    assert known.replace(Resource.SLO, [kept, gone]) == []
    assert known.all(Resource.SLO) == [kept]


def test_a_late_list_does_not_undo_what_the_watch_has_shown_since() -> None:
    old, new = slo_entry(), slo_entry(labels={"team": "a"})
    known = cache(slo=[old])
    known.begin_relist(Resource.SLO)
    assert known.upsert(Resource.SLO, new) == ObjectChange(Resource.SLO, old, new)
    assert known.replace(Resource.SLO, [old]) == []
    assert known.all(Resource.SLO) == [new]


def test_a_list_shows_what_the_watch_has_missed() -> None:
    old, new = slo_entry(), slo_entry(version=2)
    known = cache(slo=[old])
    known.begin_relist(Resource.SLO)
    made = slo_entry(name="search")
    assert known.replace(Resource.SLO, [new, made]) == [
        ObjectChange(Resource.SLO, old, new),
        ObjectChange(Resource.SLO, None, made),
    ]


def test_a_change_of_the_status_alone_is_stored_and_no_change() -> None:
    old = slo_entry()
    known = cache(slo=[old])
    told = replace(old, status=slo_status(SLO, Evidence(EvidenceKind.NO_TRAFFIC), NOW, None))
    assert known.upsert(Resource.SLO, told) is None
    assert known.get(Resource.SLO, ("shop", "checkout")) is told


def test_what_is_removed_is_given_back_once() -> None:
    known = cache(slo=[slo_entry()])
    key = ("shop", "checkout")
    assert known.remove(Resource.SLO, key) == ObjectChange(Resource.SLO, slo_entry(), None)
    assert known.remove(Resource.SLO, key) is None


def test_slos_are_named_once_in_order_and_missing_ones_too() -> None:
    listed = [slo_entry(name=name, labels={"team": "a"}) for name in ("b", "c")]
    known = cache(slo=[*listed, slo_entry("bank", "d", labels={"team": "a"})])
    rollout = replace(ROLLOUT, slos=("c", "a"), selector=SELECTORS[1])
    assert known.slos_for_rollout(rollout) == [
        Named("a", None),
        Named("b", listed[0]),
        Named("c", listed[1]),
    ]


def test_a_selector_that_finds_none_is_an_slo_not_found() -> None:
    known = cache(slo=[slo_entry(name="b", labels={"team": "b"})])
    alone = replace(ROLLOUT, slos=(), selector=SELECTORS[1])
    assert known.slos_for_rollout(alone) == [Named("(sloSelector)", None)]
    both = replace(alone, slos=("b",))
    assert [one.name for one in known.slos_for_rollout(both)] == ["(sloSelector)", "b"]


def test_an_invalid_slo_is_there_by_name_and_chosen_by_no_selector() -> None:
    invalid = CachedObject(ref("shop", "checkout"), 1, INVALID)
    known = cache(slo=[invalid])
    assert known.slos_for_rollout(ROLLOUT) == [Named("checkout", invalid)]
    chosen = replace(ROLLOUT, slos=(), selector=SELECTORS[2])
    assert known.slos_for_rollout(chosen) == [Named("(sloSelector)", None)]


def test_a_change_of_an_slo_concerns_who_names_it_and_every_selector_of_its_namespace() -> None:
    known = cache(
        rollout=[
            rollout_entry(name="by-name"),
            rollout_entry(name="by-selector", slos=(), selector=SELECTORS[1]),
            rollout_entry(name="other", slos=("search",)),
            rollout_entry("bank", "elsewhere"),
            CachedObject(ref("shop", "invalid"), 1, INVALID),
        ]
    )
    assert known.rollouts_for_slo(("shop", "checkout")) == [
        ("shop", "by-name"),
        ("shop", "by-selector"),
    ]


def test_a_source_is_the_named_one_or_the_namespaces_default_or_the_clusters() -> None:
    own, cluster = source_entry(), source_entry("")
    unnamed = slo_entry().spec
    assert isinstance(unnamed, Slo)
    only_cluster = cache(cluster_metrics_source=[cluster])
    both = cache(metrics_source=[own], cluster_metrics_source=[cluster])
    assert only_cluster.source_for_slo(unnamed) is cluster
    assert both.source_for_slo(unnamed) is own
    named = replace(unnamed, source=SourceRef(SourceKind.CLUSTER_METRICS_SOURCE, "default"))
    assert both.source_for_slo(named) is cluster
    lost = replace(unnamed, source=SourceRef(SourceKind.METRICS_SOURCE, "gone"))
    assert both.source_for_slo(lost) is None
    assert ObjectCache().source_for_slo(unnamed) is None


def test_slos_of_a_default_source_change_with_what_else_is_there() -> None:
    own, cluster = source_entry(), source_entry("")
    known = cache(slo=[slo_entry(), slo_entry("bank")], cluster_metrics_source=[cluster])
    assert known.slos_for_source(Resource.CLUSTER_METRICS_SOURCE, ("", "default")) == [
        ("bank", "checkout"),
        ("shop", "checkout"),
    ]
    known.upsert(Resource.METRICS_SOURCE, own)
    assert known.slos_for_source(Resource.CLUSTER_METRICS_SOURCE, ("", "default")) == [
        ("bank", "checkout")
    ]
    assert known.slos_for_source(Resource.METRICS_SOURCE, ("shop", "default")) == [
        ("shop", "checkout")
    ]


def test_a_default_source_that_is_gone_served_those_that_the_next_one_serves_now() -> None:
    own, cluster = source_entry(), source_entry("")
    known = cache(slo=[slo_entry()], metrics_source=[own], cluster_metrics_source=[cluster])
    known.remove(Resource.METRICS_SOURCE, ("shop", "default"))
    served = known.slos_for_source(Resource.METRICS_SOURCE, ("shop", "default"))
    assert served == [("shop", "checkout")]


def test_the_older_one_of_two_rollouts_guards_a_workload_the_name_breaks_a_tie() -> None:
    known = cache(
        rollout=[
            rollout_entry(name="a", created="2026-11-24T10:00:01Z"),
            rollout_entry(name="c", created="2026-11-24T10:00:00Z"),
            rollout_entry(name="b", created="2026-11-24T10:00:00Z"),
            rollout_entry("bank", "elsewhere"),
        ]
    )
    assert [name for _, name in known.rollouts_for_workload("shop", WORKLOAD)] == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (WorkloadRef("apps/v1beta1", "Deployment", "checkout"), True),
        (WorkloadRef("argoproj.io/v1", "Deployment", "checkout"), False),
        (WorkloadRef("v1", "Deployment", "checkout"), False),
        (WorkloadRef("apps/v1", "StatefulSet", "checkout"), False),
        (WorkloadRef("apps/v1", "Deployment", "search"), False),
    ],
)
def test_the_group_of_a_workload_counts_and_its_version_does_not(
    other: WorkloadRef, same: bool
) -> None:
    known = cache(rollout=[rollout_entry(workload=other)])
    assert known.rollouts_for_workload("shop", WORKLOAD) == ([("shop", "checkout")] if same else [])
    assert same_object(WORKLOAD, other) is same


def test_a_source_that_is_invalid_or_missing_cannot_be_used() -> None:
    obj = source_entry()
    assert parsed_source(obj) is obj.spec
    assert parsed_source(CachedObject(ref("shop", "default"), 1, INVALID)) is None
    assert parsed_source(None) is None


SOURCE_RESOURCES = (Resource.METRICS_SOURCE, Resource.CLUSTER_METRICS_SOURCE)
KEYS = st.tuples(st.sampled_from(NAMESPACES), st.sampled_from(NAMES))
UIDS = st.sampled_from(["u1", "u2"])


@st.composite
def slo_entries(draw: st.DrawFn) -> CachedObject:
    where = ref(*draw(KEYS), draw(UIDS))
    if draw(st.integers(0, 4)) == 0:
        return CachedObject(where, draw(st.integers(1, 3)), INVALID)
    labels = draw(st.sampled_from([{}, {"team": "a"}, {"team": "b"}]))
    value = replace(SLO, ref=where, labels=labels, source=draw(st.sampled_from(SOURCES)))
    return CachedObject(where, draw(st.integers(1, 3)), value)


@st.composite
def rollout_entries(draw: st.DrawFn) -> CachedObject:
    where = ref(*draw(KEYS), draw(UIDS))
    if draw(st.integers(0, 4)) == 0:
        return CachedObject(where, draw(st.integers(1, 3)), INVALID)
    value = replace(
        ROLLOUT,
        ref=where,
        slos=tuple(draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))),
        selector=draw(st.sampled_from(SELECTORS)),
        workload=draw(st.sampled_from(WORKLOADS)),
    )
    return CachedObject(where, draw(st.integers(1, 3)), value, draw(st.sampled_from("123")))


@st.composite
def source_entries(draw: st.DrawFn) -> tuple[Resource, CachedObject]:
    namespace = draw(st.sampled_from([*NAMESPACES, ""]))
    resource = Resource.METRICS_SOURCE if namespace else Resource.CLUSTER_METRICS_SOURCE
    return resource, source_entry(namespace, draw(st.sampled_from(NAMES)))


class CacheMachine(RuleBasedStateMachine):
    """The cache beside a list of all entries that is searched from end to end."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = ObjectCache()
        self.known: list[tuple[Resource, CachedObject]] = []

    # What happens

    @rule(entry=slo_entries())
    def slo_is_seen(self, entry: CachedObject) -> None:
        self.seen(Resource.SLO, entry)

    @rule(entry=rollout_entries())
    def rollout_is_seen(self, entry: CachedObject) -> None:
        self.seen(Resource.ROLLOUT, entry)

    @rule(source=source_entries())
    def source_is_seen(self, source: tuple[Resource, CachedObject]) -> None:
        self.seen(*source)

    @rule(resource=st.sampled_from(Resource), key=KEYS)
    def one_vanishes(self, resource: Resource, key: tuple[str, str]) -> None:
        former = self.find(resource, key)
        change = self.cache.remove(resource, key)
        assert (change and change.old) is former
        self.known = [one for one in self.known if one[1] is not former]

    @rule(resource=st.sampled_from(Resource), keep=st.sets(KEYS, max_size=4))
    def a_list_shows_fewer(self, resource: Resource, keep: set[tuple[str, str]]) -> None:
        listed = [one for one in self.of(resource) if key_of(one) in keep]
        gone = [one for one in self.of(resource) if one not in listed]
        self.cache.begin_relist(resource)
        changes = self.cache.replace(resource, listed)
        assert sorted(change.key for change in changes) == sorted(map(key_of, gone))
        assert all(change.new is None for change in changes)
        self.known = [one for one in self.known if one[0] is not resource or one[1] in listed]

    def seen(self, resource: Resource, entry: CachedObject) -> None:
        former = self.find(resource, key_of(entry))
        stale = (
            former is not None
            and former.ref.uid == entry.ref.uid
            and entry.generation < former.generation
        )
        change = self.cache.upsert(resource, entry)
        assert change is None or not stale
        if change is not None:
            assert (change.old, change.new) == (former, entry)
        if not stale:
            self.known = [one for one in self.known if one[1] is not former]
            self.known.append((resource, entry))

    def of(self, resource: Resource) -> list[CachedObject]:
        return [obj for kind, obj in self.known if kind is resource]

    def find(self, resource: Resource, key: tuple[str, str]) -> CachedObject | None:
        return next((obj for obj in self.of(resource) if key_of(obj) == key), None)

    # What must hold

    @invariant()
    def it_knows_what_was_seen(self) -> None:
        for resource in Resource:
            entries = self.of(resource)
            assert sorted(map(key_of, self.cache.all(resource))) == sorted(map(key_of, entries))
            for entry in entries:
                assert self.cache.get(resource, key_of(entry)) is entry

    @invariant()
    def rollouts_find_their_slos_and_slos_their_rollouts(self) -> None:
        for entry in self.of(Resource.ROLLOUT):
            if not isinstance(entry.spec, Rollout):
                continue
            named = self.cache.slos_for_rollout(entry.spec)
            assert named == self.naive_slos(entry.spec)
            for one in named:
                if one.obj is not None:
                    assert key_of(entry) in self.cache.rollouts_for_slo(key_of(one.obj))

    def naive_slos(self, rollout: Rollout) -> list[Named]:
        here = [obj for obj in self.of(Resource.SLO) if obj.ref.namespace == rollout.ref.namespace]
        found = dict.fromkeys(rollout.slos) | {
            obj.ref.name: obj for obj in here if obj.ref.name in rollout.slos
        }
        if rollout.selector is not None:
            chosen = {
                obj.ref.name: obj
                for obj in here
                if isinstance(obj.spec, Slo) and rollout.selector.matches(obj.spec.labels)
            }
            found |= chosen or {"(sloSelector)": None}
        return [Named(name, found[name]) for name in sorted(found)]

    @invariant()
    def each_slo_has_one_source_and_is_its_user(self) -> None:
        for entry in self.of(Resource.SLO):
            if not isinstance(entry.spec, Slo):
                continue
            serving = self.cache.source_for_slo(entry.spec)
            using = [
                one
                for resource in SOURCE_RESOURCES
                for one in self.of(resource)
                if key_of(entry) in self.cache.slos_for_source(resource, key_of(one))
            ]
            assert using == ([] if serving is None else [serving])
            if serving is not None:
                assert serving.ref.namespace in ("", entry.ref.namespace)

    @invariant()
    def of_each_workload_just_one_rollout_is_the_guard(self) -> None:
        for namespace in NAMESPACES:
            for workload in WORKLOADS:
                guards = self.cache.rollouts_for_workload(namespace, workload)
                assert len(set(guards)) == len(guards)
                ages = [(self.find(Resource.ROLLOUT, key).created, key) for key in guards]
                assert ages == sorted(ages)
                assert set(guards) == {
                    key_of(one)
                    for one in self.of(Resource.ROLLOUT)
                    if isinstance(one.spec, Rollout)
                    and one.ref.namespace == namespace
                    and same_object(one.spec.workload, workload)
                }


def same_object(one: WorkloadRef, other: WorkloadRef) -> bool:
    groups = [ref.api_version.rpartition("/")[0] for ref in (one, other)]
    return groups[0] == groups[1] and (one.kind, one.name) == (other.kind, other.name)


TestCacheMachine = CacheMachine.TestCase

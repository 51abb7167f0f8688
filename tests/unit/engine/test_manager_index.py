"""What other tools' objects refer to: found by the workload, and forgotten with the object."""

from __future__ import annotations

from penstock.domain.refs import ApiResource, WorkloadRef
from penstock.domain.workload import Phase, WorkloadState
from penstock.engine.manager_index import ManagerIndex, ManagerRef, with_manager
from penstock.engine.watches import WatchManager

CANARIES = ApiResource("flagger.app", "v1beta1", "Canary", "canaries")
ARGO = ApiResource("argoproj.io", "v1alpha1", "Rollout", "rollouts")
WEB, API = (WorkloadRef("apps/v1", "Deployment", name) for name in ("web", "api"))
CANARY = ManagerRef("Flagger", CANARIES, "shop", "web")
ROLLOUT = ManagerRef("Argo Rollouts", ARGO, "shop", "web")


def test_a_workload_has_a_manager_for_as_long_as_an_object_refers_to_it() -> None:
    index = ManagerIndex()
    assert index.put(CANARY, WEB) == [("shop", WEB)]
    assert index.manager_of("shop", WorkloadRef("apps/v1beta1", "Deployment", "web")) == CANARY
    assert index.manager_of("shop", API) is None
    assert index.manager_of("bank", WEB) is None

    assert index.put(CANARY, WEB) == []
    assert index.put(CANARY, API) == [("shop", WEB), ("shop", API)]
    assert index.manager_of("shop", WEB) is None
    assert index.manager_of("shop", API) == CANARY

    assert index.put(CANARY, None) == [("shop", API)]
    assert index.put(CANARY, None) == []
    assert index.manager_of("shop", API) is None


def test_a_workload_with_two_managers_keeps_one_when_the_other_goes() -> None:
    index = ManagerIndex()
    index.put(CANARY, WEB)
    index.put(ROLLOUT, WEB)
    assert index.manager_of("shop", WEB) == ROLLOUT
    index.put(ROLLOUT, None)
    assert index.manager_of("shop", WEB) == CANARY


def test_a_list_of_one_kind_forgets_what_is_gone_of_that_kind_alone() -> None:
    index = ManagerIndex()
    index.put(CANARY, WEB)
    index.put(ROLLOUT, API)

    assert index.replace(CANARIES, {}) == [("shop", WEB)]

    assert index.manager_of("shop", WEB) is None
    assert index.manager_of("shop", API) == ROLLOUT
    assert index.replace(ARGO, {ROLLOUT: API}) == []


def test_a_managed_workload_cannot_be_held_and_the_reason_names_its_manager() -> None:
    workload = WorkloadState("shop", WEB, "u1", Phase.COMPLETE)
    assert with_manager(workload, None) is workload
    assert with_manager(workload, CANARY).unsupported_reason == (
        "is managed by Canary web of Flagger; point the Rollout at that instead"
    )
    gone = WorkloadState("shop", WEB, "", Phase.MISSING)
    assert with_manager(gone, CANARY) is gone
    deleted = WorkloadState(
        "shop", WEB, "u1", Phase.COMPLETE, unsupported_reason="is being deleted"
    )
    assert with_manager(deleted, CANARY) is deleted


def test_what_an_object_refers_to_is_read_from_its_field_and_nothing_else_is() -> None:
    watch = WatchManager(CANARIES, "Flagger", "targetRef")
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    assert watch.workload_of({"spec": {"targetRef": ref}}) == WEB
    assert watch.workload_of({"spec": {"targetRef": {"kind": "Deployment", "name": "web"}}}) == WEB
    for spec in ({}, {"targetRef": None}, {"targetRef": {"kind": "Deployment"}}, {"x": ref}):
        assert watch.workload_of({"spec": spec}) is None
    assert watch.workload_of({}) is None

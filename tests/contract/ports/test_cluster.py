"""The contract of ``engine.ports.StatusApi``: our objects are listed, and what we write is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from penstock.domain.cached_object import CachedObject, Resource
from penstock.domain.conditions import conditions
from penstock.domain.evidence import EventCounts, Evidence, EvidenceKind, Reading
from penstock.domain.gate import StepResult
from penstock.domain.quantities import Duration
from penstock.domain.refs import ObjectRef
from penstock.domain.rollout import Rollout
from penstock.domain.rollout_state import RolloutState
from penstock.domain.slo import Slo, SourceKind
from penstock.domain.slo_status import SloStatus, slo_status
from penstock.domain.source_status import SourceHealth, SourceReason, SourceStatus, source_status
from penstock.engine.ports import StatusApi
from penstock.errors import NotFound, SpecInvalid
from support.decision_fixtures import NOW, slo
from support.doubles.sides import NAME, Side
from support.rollout_fixtures import GateStory as Rounds

INDICATOR = {"ratio": {"bad": "errors", "total": "requests"}}
SLO = {"objective": "99%", "window": {"rolling": "30d"}, "indicator": INDICATOR}
ROLLOUT: dict[str, Any] = {
    "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
    "slos": [{"name": NAME}],
}
RECORDS = "gaterecords"


async def only(status_api: StatusApi, resource: Resource) -> CachedObject:
    (found,) = await status_api.list(resource)
    return found


def decided(*, left: str = "0.5") -> StepResult:
    """A Rollout at rest, judged for the first time."""
    return Rounds(slos=(slo(left),)).goes()


async def test_what_authors_wrote_is_listed_parsed_with_its_identity(side: Side) -> None:
    status_api = side.cluster()
    assert await status_api.list(Resource.SLO) == []
    side.put(Resource.SLO, NAME, SLO)
    found = await only(status_api, Resource.SLO)
    assert isinstance(found.spec, Slo)
    assert (found.ref.namespace, found.ref.name) == (side.namespace, NAME)
    assert found.ref.uid
    assert found.generation == 1
    assert found.created
    assert (found.slo_or_source_status, found.rollout_state) == (None, None)
    side.put(Resource.SLO, NAME, {**SLO, "objective": "99.9%"})
    changed = await only(status_api, Resource.SLO)
    assert (changed.generation, changed.ref) == (2, found.ref)


async def test_what_cannot_be_acted_on_is_listed_with_its_problem_and_reported_so(
    side: Side,
) -> None:
    status_api = side.cluster()
    broken = {"ratio": {"bad": "errors{", "total": "requests"}}
    side.put(Resource.SLO, NAME, {**SLO, "indicator": broken})
    found = await only(status_api, Resource.SLO)
    assert isinstance(found.spec, SpecInvalid)
    await status_api.write_invalid(Resource.SLO, found, found.spec, NOW)
    status = side.read("slos", NAME)["status"]
    (ready,) = status["conditions"]
    assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "False", "SpecInvalid")
    assert status["observedGeneration"] == 1
    assert (await only(status_api, Resource.SLO)).generation == 1


PROBLEM = SpecInvalid("spec.slos", "give at least one")


async def test_an_invalid_rollout_keeps_all_of_its_status_but_its_ready_condition(
    side: Side,
) -> None:
    status_api = side.cluster()
    side.put(Resource.ROLLOUT, NAME, ROLLOUT)
    found = await only(status_api, Resource.ROLLOUT)
    state = with_conditions(decided(left="-0.5").state)
    await status_api.write_status(Resource.ROLLOUT, found.ref, state)
    before = side.read("rollouts", NAME)["status"]
    for minutes in (1, 2):
        at = NOW + timedelta(minutes=minutes)
        await status_api.write_invalid(Resource.ROLLOUT, found, PROBLEM, at)
    after = side.read("rollouts", NAME)["status"]
    assert {**after, "conditions": [], "observedGeneration": 0} == {
        **before,
        "conditions": [],
        "observedGeneration": 0,
    }
    others, former = by_type(after), by_type(before)
    ready = others.pop("Ready")
    assert former.pop("Ready")["status"] == "True"
    assert others == former
    assert (ready["status"], ready["reason"]) == ("False", "SpecInvalid")
    since = datetime.fromisoformat(ready["lastTransitionTime"])
    assert since == NOW + timedelta(minutes=1), "it was not ready before the second write"
    assert after["observedGeneration"] == 1
    read = await only(side.cluster(), Resource.ROLLOUT)
    assert read.rollout_state is not None
    for fact in ("gate", "memory", "workload", "stable", "complete", "history", "hold"):
        assert getattr(read.rollout_state, fact) == getattr(state, fact), fact
    await status_api.write_status(Resource.ROLLOUT, found.ref, state)
    again = side.read("rollouts", NAME)["status"]
    assert by_type(again) == by_type(before)
    assert {**again, "conditions": []} == {**before, "conditions": []}


def with_conditions(state: RolloutState) -> RolloutState:
    """As the engine writes it."""
    rounds = Rounds()
    return replace(state, conditions=conditions(rounds.rollout, state, rounds.seen, NOW))


def by_type(status: Any) -> dict[str, Any]:
    return {one["type"]: one for one in status["conditions"]}


async def test_what_an_invalid_rollout_keeps_is_what_others_have_written_since(side: Side) -> None:
    one, two = side.cluster(), side.cluster()
    side.put(Resource.ROLLOUT, NAME, ROLLOUT)
    found = await only(one, Resource.ROLLOUT)
    await one.write_status(Resource.ROLLOUT, found.ref, decided().state)
    await two.write_status(Resource.ROLLOUT, found.ref, decided(left="-0.5").state)
    await one.write_invalid(Resource.ROLLOUT, found, PROBLEM, NOW)
    status = side.read("rollouts", NAME)["status"]
    assert (status["gate"]["state"], by_type(status)["Ready"]["status"]) == ("Closed", "False")


async def test_a_namesake_is_not_called_invalid(side: Side) -> None:
    status_api = side.cluster()
    side.put(Resource.ROLLOUT, NAME, ROLLOUT)
    old = await only(status_api, Resource.ROLLOUT)
    side.delete(Resource.ROLLOUT, NAME)
    with pytest.raises(NotFound):
        await status_api.write_invalid(Resource.ROLLOUT, old, PROBLEM, NOW)
    side.put(Resource.ROLLOUT, NAME, ROLLOUT)
    with pytest.raises(NotFound):
        await status_api.write_invalid(Resource.ROLLOUT, old, PROBLEM, NOW)
    assert "status" not in side.read("rollouts", NAME)


async def test_an_invalid_slo_claims_nothing_of_what_was_measured_before(side: Side) -> None:
    status_api = side.cluster()
    side.put(Resource.SLO, NAME, SLO)
    found = await only(status_api, Resource.SLO)
    assert isinstance(found.spec, Slo)
    measured = Evidence(EvidenceKind.FRESH, reading=read_of(found.spec))
    status = slo_status(found.spec, measured, NOW, None)
    await status_api.write_status(Resource.SLO, found.ref, status)
    assert side.read("slos", NAME)["status"]["budget"]
    await status_api.write_invalid(Resource.SLO, found, PROBLEM, NOW)
    left = side.read("slos", NAME)["status"]
    # An apply leaves an empty list where a list has lost all that it had.
    assert {field for field, value in left.items() if value} == {"observedGeneration", "conditions"}
    assert by_type(left).keys() == {"Ready"}


def read_of(slo: Slo) -> Reading:
    whole = EventCounts(Decimal(5_000), Decimal(1_000_000))
    return Reading(NOW, slo.objective, Duration.parse("30d"), whole)


async def test_a_rollouts_status_and_record_are_read_back_as_they_were_written(side: Side) -> None:
    status_api = side.cluster()
    side.put(Resource.ROLLOUT, NAME, ROLLOUT)
    found = await only(status_api, Resource.ROLLOUT)
    assert isinstance(found.spec, Rollout)
    step = decided()
    await status_api.write_record(found.ref, step.record)
    await status_api.write_status(Resource.ROLLOUT, found.ref, step.state)
    read = await only(status_api, Resource.ROLLOUT)
    assert read.generation == 1, "a status is no change of what its author wrote"
    assert read.rollout_state is not None
    for fact in ("gate", "memory", "workload", "stable", "complete", "history", "hold"):
        assert getattr(read.rollout_state, fact) == getattr(step.state, fact), fact
    assert read.rollout_state.bodies.keys() == step.state.bodies.keys()
    data = side.read(RECORDS, NAME)["data"]
    assert data["admits"] is True
    assert len(data["templates"]) == len(step.record.templates)


async def test_an_slos_status_is_read_back_as_it_was_written(side: Side) -> None:
    status_api = side.cluster()
    side.put(Resource.SLO, NAME, SLO)
    found = await only(status_api, Resource.SLO)
    assert isinstance(found.spec, Slo)
    measured = Evidence(EvidenceKind.FRESH, reading=read_of(found.spec))
    status = slo_status(found.spec, measured, NOW, None)
    await status_api.write_status(Resource.SLO, found.ref, status)
    read = (await only(status_api, Resource.SLO)).slo_or_source_status
    assert isinstance(read, SloStatus)
    for fact in ("state", "reason", "remaining", "generation", "evaluated_at", "conditions"):
        assert getattr(read, fact) == getattr(status, fact), fact


async def test_a_sources_status_is_read_back_as_it_was_written(side: Side) -> None:
    status_api = side.cluster()
    side.put(Resource.METRICS_SOURCE, NAME, {"url": "http://127.0.0.1:9"})
    found = await only(status_api, Resource.METRICS_SOURCE)
    health = SourceHealth(SourceReason.UNREACHABLE, "connection refused")
    made = source_status(SourceKind.METRICS_SOURCE, found.ref, 1, health, NOW, None)
    await status_api.write_status(Resource.METRICS_SOURCE, found.ref, made)
    read = (await only(status_api, Resource.METRICS_SOURCE)).slo_or_source_status
    assert isinstance(read, SourceStatus)
    assert (read.ready, read.generation) == (made.ready, 1)


async def test_what_is_gone_is_not_written_to(side: Side) -> None:
    status_api = side.cluster()
    ref = ObjectRef(side.namespace, NAME, "11111111-no-such-uid")
    with pytest.raises(NotFound):
        await status_api.write_status(Resource.ROLLOUT, ref, decided().state)
    assert side.read("rollouts", NAME) == {}


async def test_a_namesake_is_not_written_to(side: Side) -> None:
    status_api = side.cluster()
    side.put(Resource.ROLLOUT, NAME, ROLLOUT)
    old = (await only(status_api, Resource.ROLLOUT)).ref
    side.delete(Resource.ROLLOUT, NAME)
    side.put(Resource.ROLLOUT, NAME, ROLLOUT)
    with pytest.raises(NotFound):
        await status_api.write_status(Resource.ROLLOUT, old, decided().state)
    assert "status" not in side.read("rollouts", NAME)


async def test_what_a_namesake_recorded_is_not_written_over(side: Side) -> None:
    """Neither by one that has just read it nor by one that knows it from a write of its own."""
    status_api, successor = side.cluster(), side.cluster()
    side.put(Resource.ROLLOUT, NAME, ROLLOUT)
    old = (await only(status_api, Resource.ROLLOUT)).ref
    await status_api.write_record(old, decided().record)
    side.delete(Resource.ROLLOUT, NAME)
    side.put(Resource.ROLLOUT, NAME, ROLLOUT)
    new = (await only(successor, Resource.ROLLOUT)).ref
    await successor.write_record(new, decided(left="-0.5").record)
    recorded = side.read(RECORDS, NAME)
    assert recorded["metadata"]["ownerReferences"][0]["uid"] == new.uid
    for writer in (status_api, successor, side.cluster()):
        for _ in range(2):
            with pytest.raises(NotFound):
                await writer.write_record(old, decided().record)
    assert side.read(RECORDS, NAME) == recorded


async def test_for_a_rollout_that_is_gone_nothing_is_recorded(side: Side) -> None:
    status_api = side.cluster()
    ref = ObjectRef(side.namespace, NAME, "11111111-no-such-uid")
    with pytest.raises(NotFound):
        await status_api.write_record(ref, decided().record)
    side.put(Resource.ROLLOUT, NAME, ROLLOUT)
    with pytest.raises(NotFound):
        await status_api.write_record(ref, decided().record)
    assert side.read(RECORDS, NAME) == {}


async def test_what_a_deleted_rollout_left_is_written_over_by_its_namesake(side: Side) -> None:
    """Garbage collection may come late: what admission reads is the namesake's meanwhile."""
    status_api = side.cluster()
    side.put(Resource.ROLLOUT, NAME, ROLLOUT)
    ref = (await only(status_api, Resource.ROLLOUT)).ref
    await status_api.write_record(ref, decided(left="-0.5").record)
    # It exists, or else garbage collection would take the record in the midst of the test.
    other = {**ROLLOUT, "workloadRef": {**ROLLOUT["workloadRef"], "name": "other"}}
    side.put(Resource.ROLLOUT, "other", other)
    for writer in (status_api, side.cluster()):
        side.give_record(NAME, "other")
        await writer.write_record(ref, decided().record)
        recorded = side.read(RECORDS, NAME)
        assert recorded["metadata"]["ownerReferences"][0]["uid"] == ref.uid
        assert recorded["data"]["admits"]


async def test_the_same_status_once_more_is_no_new_version(side: Side) -> None:
    status_api = side.cluster()
    side.put(Resource.ROLLOUT, NAME, ROLLOUT)
    ref = (await only(status_api, Resource.ROLLOUT)).ref
    step = decided()
    await status_api.write_status(Resource.ROLLOUT, ref, step.state)
    await status_api.write_record(ref, step.record)
    versions = [version(side, plural) for plural in ("rollouts", RECORDS)]
    await status_api.write_status(Resource.ROLLOUT, ref, step.state)
    await status_api.write_record(ref, step.record)
    assert [version(side, plural) for plural in ("rollouts", RECORDS)] == versions


def version(side: Side, plural: str) -> str:
    found: str = side.read(plural, NAME)["metadata"]["resourceVersion"]
    return found


async def test_what_others_have_written_since_is_written_over_upon_the_newer_version(
    side: Side,
) -> None:
    status_api = side.cluster()
    side.put(Resource.ROLLOUT, NAME, ROLLOUT)
    ref = (await only(status_api, Resource.ROLLOUT)).ref
    step = decided()
    await status_api.write_status(Resource.ROLLOUT, ref, step.state)
    gate = side.read("rollouts", NAME)["status"]["gate"]
    status = side.read("rollouts", NAME)["status"]
    side.falsify(NAME, {**status, "gate": {**gate, "message": "what somebody made of it"}})
    await status_api.write_status(Resource.ROLLOUT, ref, step.state)
    assert side.read("rollouts", NAME)["status"]["gate"]["message"] == gate["message"]


async def test_two_clients_write_one_after_the_other(side: Side) -> None:
    one, two = side.cluster(), side.cluster()
    side.put(Resource.ROLLOUT, NAME, ROLLOUT)
    ref = (await only(one, Resource.ROLLOUT)).ref
    well, ill = decided(), decided(left="-0.5")
    await two.list(Resource.ROLLOUT)
    for status_api, step in ((one, well), (two, ill), (one, well), (two, ill)):
        await status_api.write_status(Resource.ROLLOUT, ref, step.state)
        await status_api.write_record(ref, step.record)
        read = await only(one if status_api is two else two, Resource.ROLLOUT)
        assert read.rollout_state is not None
        assert read.rollout_state.gate == step.state.gate
        assert side.read(RECORDS, NAME)["data"]["admits"] is step.record.admits


async def test_the_record_of_a_closed_gate_carries_the_label_that_admission_chooses_by(
    side: Side,
) -> None:
    status_api = side.cluster()
    side.put(Resource.ROLLOUT, NAME, ROLLOUT)
    ref = (await only(status_api, Resource.ROLLOUT)).ref
    for left, labels in (("-0.5", {"penstock.dev/closed": "Deny"}), ("0.5", {})):
        await status_api.write_record(ref, decided(left=left).record)
        metadata = side.read(RECORDS, NAME)["metadata"]
        assert metadata.get("labels", {}) == labels
        (owner,) = metadata["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("Rollout", ref.uid)


async def test_a_record_outlives_a_decision_of_which_nothing_changes(side: Side) -> None:
    status_api = side.cluster()
    side.put(Resource.ROLLOUT, NAME, ROLLOUT)
    ref = (await only(status_api, Resource.ROLLOUT)).ref
    step = decided()
    await status_api.write_record(ref, step.record)
    await status_api.write_record(ref, replace(step.record, message="another sentence"))
    assert side.read(RECORDS, NAME)["data"]["message"] == "another sentence"

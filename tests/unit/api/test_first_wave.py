"""What the operator of the first wave wrote is read by this one, and nothing of it is lost."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

from penstock.api.decode import decode_object
from penstock.api.gate_record import record_labels
from penstock.api.kinds import KIND_BY_PLURAL
from penstock.api.status_decoding import decode_rollout_status
from penstock.api.status_encoding import encode_gate_record, encode_rollout_status
from penstock.domain.cached_object import CachedObject, Resource
from penstock.domain.decision import ReleaseOrigin
from penstock.domain.gate import hold_manager
from penstock.domain.ledger_codec import decode, encode
from penstock.domain.memory import HoldCause
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.rollout import Rollout
from penstock.domain.rollout_state import GateRecord, RolloutState
from penstock.domain.slo import Slo
from penstock.domain.slo_status import SloState, SloStatus
from penstock.domain.source_status import SourceStatus
from penstock.domain.timeslices import bucket_seconds
from penstock.domain.verdict import GateState, Verdict
from penstock.domain.workload import HoldEffect
from penstock.engine.budget.source_ledgers import LedgerKey, name_of
from support.first_wave import LEDGER, left, moment


def decoded(
    resource: Resource, body: dict[str, Any], record: dict[str, Any] | None = None
) -> CachedObject:
    return decode_object(KIND_BY_PLURAL[resource], body, record)


def standing() -> RolloutState:
    state = decoded(Resource.ROLLOUT, left("rollouts"), left("gaterecords")).rollout_state
    assert state is not None
    return state


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    match value:
        case dict():
            for key, one in value.items():
                yield from leaves(one, f"{path}.{key}")
        case list():
            for number, one in enumerate(value):
                yield from leaves(one, f"{path}[{number}]")
        case _:
            yield path, value


def test_the_hold_in_force_is_known() -> None:
    written, found = left("rollouts")["status"]["hold"], standing().hold
    assert found.active is written["active"] is True
    assert found.effect is HoldEffect.PARTIAL
    assert found.since == moment(written["since"])
    rollout = decoded(Resource.ROLLOUT, left("rollouts")).spec
    assert isinstance(rollout, Rollout)
    assert found.manager == written["manager"] == hold_manager(rollout)
    managers = [one["manager"] for one in left("deployments")["metadata"]["managedFields"]]
    assert found.manager in managers


def test_the_memory_is_kept() -> None:
    written, found = left("rollouts")["status"]["memory"], standing().memory
    assert found.held_for is HoldCause.BUDGET
    assert found.held_by == tuple(written["heldBy"]) == ("web",)
    assert found.calm_since == moment(written["calmSince"])
    assert timedelta(milliseconds=found.calm_required.milliseconds) == timedelta(minutes=10)
    assert found.recent_holds == tuple(moment(at) for at in written["recentHolds"])
    assert len(found.recent_holds) == 1


def test_gate_and_history_stand() -> None:
    status, state = left("rollouts")["status"], standing()
    assert state.gate is not None
    assert (state.gate.verdict, state.gate.state) == (Verdict.HOLD, GateState.CLOSED)
    assert state.gate.since == moment(status["gate"]["since"])
    assert len(state.history) == len(status["history"]) > 1
    assert [transition.at for transition in state.history] == [
        moment(transition["at"]) for transition in status["history"]
    ]


def test_the_release_and_the_ways_back_are_known() -> None:
    status, state = left("rollouts")["status"], standing()
    assert state.release is not None
    assert state.release.id == status["release"]["id"]
    assert state.release.origin is ReleaseOrigin.ADMITTED
    assert state.release.started_at == moment(status["release"]["startedAt"])
    (stable,) = state.stable
    assert stable.images == ("example.com/web:1",)
    assert set(state.bodies) == {stable.hash}
    assert state.bodies[stable.hash].hash == stable.hash, "its body is hashed as it was then"


def test_no_leaf_of_a_status_is_lost_when_it_is_written_again() -> None:
    written = left("rollouts")["status"]
    again = dict(leaves(encode_rollout_status(standing())))
    lost = {path: one for path, one in leaves(written) if again.get(path) != one}
    assert lost == {}


def test_no_leaf_of_a_record_is_lost_when_it_is_written_again() -> None:
    written, state = left("gaterecords"), standing()
    data = written["data"]
    kept = [(state.bodies[one["hash"]], moment(one["completedAt"])) for one in data["templates"]]
    workload = data["workload"]
    record = GateRecord(
        workload["name"],
        workload["apiVersion"],
        workload["kind"],
        data["admits"],
        data["admission"] == "Warn",
        data["message"],
        tuple(kept),
    )
    assert encode_gate_record(record) == data
    assert record_labels(data) == written["metadata"]["labels"]


def test_statuses_of_slos_and_sources_are_read() -> None:
    for name in ("web", "hour"):
        written = left("slos", name)["status"]
        found = decoded(Resource.SLO, left("slos", name)).slo_or_source_status
        assert isinstance(found, SloStatus)
        assert found.state is SloState(written["state"])
        assert found.remaining == Decimal(written["budget"]["remainingRatio"])
        assert found.evaluated_at == moment(written["evaluatedAt"])
    source = decode_object(
        KIND_BY_PLURAL[Resource.METRICS_SOURCE], left("metricssources", "default")
    ).slo_or_source_status
    assert isinstance(source, SourceStatus)
    assert source.ready.reason == "Connected"


def test_the_ledger_is_found_under_its_name_and_is_whole() -> None:
    slo = decoded(Resource.SLO, left("slos", "hour")).spec
    source = decode_object(
        KIND_BY_PLURAL[Resource.METRICS_SOURCE], left("metricssources", "default")
    ).spec
    assert isinstance(slo, Slo)
    assert isinstance(source, MetricsSource)
    ((name, text),) = left("configmaps", LEDGER)["binaryData"].items()
    assert LedgerKey(name_of(source), slo.indicator, bucket_seconds(slo.budgeting)).digest == name
    data = base64.b64decode(text)
    ledger = decode(data)
    assert ledger is not None
    assert encode(ledger) == data
    counts = ledger.fine.sums(ledger.fine.first, ledger.fine.end)
    assert counts.total > 1_000
    assert 0 < counts.bad < counts.total


def test_a_status_without_its_record_still_holds() -> None:
    state = decode_rollout_status(left("rollouts")["status"], None)
    assert state is not None
    assert state.hold.active
    assert state.memory == standing().memory

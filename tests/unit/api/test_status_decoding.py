"""What was printed is read back; what nobody printed never raises and never opens a gate."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.api.status_decoding import decode_rollout_status
from penstock.api.status_encoding import encode_gate_record, encode_rollout_status
from penstock.domain.conditions import conditions
from penstock.domain.gate_record import record
from penstock.domain.memory import HoldCause
from penstock.domain.rollout_state import GateRecord, RolloutState, Spent
from penstock.domain.verdict import GateState
from support.decision_fixtures import HOT_FAST, NOW, slo, unmeasured
from support.rollout_fixtures import ROLLOUT, GateStory, version
from support.statuses import JSON, garbled, rollout_states, with_each

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ODD: list[Any] = [
    None,
    True,
    -1,
    10**30,
    0.5,
    "",
    "now",
    "Unheard",
    "2026-11-24T14:02:00",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    [],
    [None],
    [[]],
    {},
    {"a": 1},
]


def printed(state: RolloutState) -> tuple[dict[str, Any], dict[str, Any]]:
    """Status and record, as they come back over the wire."""
    known = [(body, NOW) for body in state.bodies.values()]
    data = GateRecord("checkout", "apps/v1", "Deployment", True, False, "", tuple(known))
    status, body = encode_rollout_status(state), {"data": encode_gate_record(data)}
    return json.loads(json.dumps(status)), json.loads(json.dumps(body))


def held() -> RolloutState:
    """A real standing in the middle of a hold."""
    story = GateStory()
    story.goes()
    story.release()
    story.goes("1s")
    story.acts("1s", slos=(slo(looks=HOT_FAST),))
    state = story.state
    told = conditions(ROLLOUT, state, story.seen, story.now)
    return replace(state, conditions=told)


@UNHURRIED
@given(rollout_states())
def test_what_was_printed_is_read_back(standing: RolloutState) -> None:
    assert decode_rollout_status(*printed(standing)) == standing


def test_a_real_state_is_read_back() -> None:
    state = held()
    assert state.hold.active
    assert state.memory.held_for is HoldCause.BURN
    assert decode_rollout_status(*printed(state)) == state


def test_a_status_without_the_parts_of_its_message_resumes_as_it_stood() -> None:
    state = held()
    status, record_body = printed(state)
    for part in ("summary", "effect", "opensWhen", "advice"):
        del status["gate"][part]
    gate = replace(state.gate, summary="", effect="", opens_when="", advice="")
    assert decode_rollout_status(status, record_body) == replace(state, gate=gate)


@pytest.mark.parametrize("status", [None, {}])
def test_a_rollout_without_status_has_no_state(status: Any) -> None:
    assert decode_rollout_status(status, None) is None


def test_a_status_without_a_record_lacks_only_the_bodies() -> None:
    state = held()
    for record_body in (None, {}, {"data": None}, {"data": {"admits": "no"}}):
        assert decode_rollout_status(printed(state)[0], record_body) == replace(state, bodies={})


def goes_on(state: RolloutState | None) -> None:
    """From there on, evidence against a release decides, and all can be told again."""
    before = state or RolloutState()
    for slos in ((slo("-1", "20"),), (slo(looks=HOT_FAST),), (unmeasured(),)):
        story = GateStory(state=before, slos=slos)
        stepped = story.goes()
        assert not stepped.record.admits
        assert stepped.state.gate is not None
        assert stepped.state.gate.state is not GateState.OPEN
        told = conditions(ROLLOUT, stepped.state, story.seen, story.now)
        after = replace(stepped.state, conditions=told)
        assert decode_rollout_status(encode_rollout_status(after), None) is not None


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: json.dumps(odd)[:30])
def test_one_odd_value_anywhere_in_a_status_neither_raises_nor_opens_a_gate(odd: Any) -> None:
    status, record_body = printed(held())
    for changed in with_each(status, odd):
        if isinstance(changed, dict):
            goes_on(decode_rollout_status(changed, record_body))


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: json.dumps(odd)[:30])
def test_one_odd_value_anywhere_in_a_record_costs_no_more_than_its_template(odd: Any) -> None:
    standing = held()
    status, record_body = printed(standing)
    for changed in with_each(record_body, odd):
        if isinstance(changed, dict):
            read = decode_rollout_status(status, changed)
            assert read is not None
            assert replace(read, bodies={}) == replace(standing, bodies={})
            record(ROLLOUT, read, None)


@UNHURRIED
@given(st.data())
def test_many_odd_values_neither_raise_nor_open_a_gate(data: st.DataObject) -> None:
    status, record_body = printed(held())
    status = data.draw(garbled(status))
    record_body = data.draw(garbled(record_body))
    if isinstance(status, dict) and isinstance(record_body, dict):
        goes_on(decode_rollout_status(status, record_body))


@UNHURRIED
@given(st.dictionaries(st.sampled_from(sorted(printed(held())[0])), JSON), JSON)
def test_what_was_never_a_status_neither_raises_nor_opens_a_gate(status: Any, body: Any) -> None:
    goes_on(decode_rollout_status(status, {"data": body}))


def test_a_reason_of_a_newer_version_costs_only_what_it_is_in() -> None:
    state = held()
    status, record_body = printed(state)
    status["gate"]["reason"] = status["history"][0]["reason"] = "SpentOnHolidays"
    read = decode_rollout_status(status, record_body)
    assert read == replace(state, gate=None, history=state.history[1:])


@pytest.mark.parametrize(
    "written",
    [
        {"spentRatio": "much"},
        {"spentRatio": "NaN"},
        {"spentRatio": ""},
        {"spentSlo": ""},
        {"spentSlo": None},
    ],
)
def test_what_was_spent_and_cannot_be_read_is_unknown(written: dict[str, object]) -> None:
    unknown = held()
    assert unknown.release is not None
    spent = Spent("checkout", Decimal("0.0512"))
    known = replace(unknown, release=replace(unknown.release, spent=spent))
    status, record_body = printed(known)
    assert (status["release"]["spentRatio"], status["release"]["spentSlo"]) == (
        "0.0512",
        "checkout",
    )
    assert decode_rollout_status(status, record_body) == known
    status["release"] |= written
    assert decode_rollout_status(status, record_body) == unknown


def test_a_releases_reason_of_a_newer_version_costs_nothing_else() -> None:
    state = held()
    status, record_body = printed(state)
    assert state.release is not None
    status["release"]["reason"] = "SpentOnHolidays"
    read = decode_rollout_status(status, record_body)
    assert read == replace(state, release=replace(state.release, reason=None))


def with_more(value: Any) -> Any:
    """The same with fields in each object that this version does not know."""
    match value:
        case dict():
            more = {"later": "word", "laterToo": {"since": "2027-01-01T00:00:00Z", "parts": [1]}}
            return {key: with_more(part) for key, part in value.items()} | more
        case list():
            return [with_more(part) for part in value]
    return value


def test_fields_of_a_newer_version_cost_nothing_after_a_downgrade() -> None:
    state = held()
    status, record_body = printed(state)
    bodies = record_body["data"].pop("templates", [])
    more = with_more(record_body)
    # A template is the API server's own; a field more would be another template.
    more["data"]["templates"] = [one | {"later": "word"} for one in bodies]
    read = decode_rollout_status(with_more(status), more)
    assert read == state
    assert read is not None
    assert read.hold.active
    assert read.stable == state.stable
    assert set(read.bodies) == {one.hash for one in state.stable} != set()


@pytest.mark.parametrize(
    ("part", "field", "lost"),
    [
        ("workload", "phase", {"workload": None}),
        ("release", "onset", {"release": None}),
        ("hold", "effective", {}),
    ],
)
def test_a_word_of_a_newer_version_costs_neither_the_hold_nor_the_ways_back(
    part: str, field: str, lost: dict[str, None]
) -> None:
    standing = held()
    status, record_body = printed(standing)
    status[part][field] = "Unheard"
    read = decode_rollout_status(status, record_body)
    without = replace(standing, hold=replace(standing.hold, effect=None), **lost)  # type: ignore[arg-type]
    assert read == (without if part == "hold" else replace(without, hold=standing.hold))


def test_a_hold_for_a_cause_of_a_newer_version_lasts_as_long_as_one_for_the_budget() -> None:
    state = held()
    status, record_body = printed(state)
    status["memory"]["heldFor"] = "Holidays"
    memory = replace(state.memory, held_for=HoldCause.BUDGET)
    assert decode_rollout_status(status, record_body) == replace(state, memory=memory)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("calmRequired", -1),
        ("calmRequired", 10**12),
        ("calmSince", "0001-01-01T00:00:00+14:00"),
        ("calmSince", "2026-11-24T14:02:00"),
        ("recentHolds", ["soon"]),
        ("lastKnown", "Maybe"),
    ],
)
def test_a_memory_that_cannot_be_read_is_none_and_all_is_decided_afresh(
    field: str, value: Any
) -> None:
    status, record_body = printed(held())
    status["memory"][field] = value
    assert decode_rollout_status(status, record_body) is None


def test_a_moment_in_another_zone_is_the_same_moment() -> None:
    status, record_body = printed(held())
    at = status["gate"]["since"]
    assert at.endswith("Z")
    status["gate"]["since"] = at.replace("Z", "+00:00")
    read = decode_rollout_status(status, record_body)
    assert read == held()
    assert version(1).hash in read.bodies

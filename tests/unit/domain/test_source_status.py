"""What a source's status says, when it is written, and what a restart reads back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from penstock.api.status_decoding import decode_source_status
from penstock.api.status_encoding import encode_source_status
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import SourceKind
from penstock.domain.source_status import SourceHealth, SourceReason, SourceStatus, source_status
from penstock.engine.status_policy import should_write_source, source_is_transition
from support.decision_fixtures import NOW

REF = ObjectRef("shop", "default", "uid-1")
KIND = SourceKind.METRICS_SOURCE
WELL = SourceHealth(SourceReason.CONNECTED, answered_at=NOW)
AWAY = SourceHealth(SourceReason.UNREACHABLE, "prometheus: connection refused")


def told(
    health: SourceHealth = WELL,
    before: SourceStatus | None = None,
    after: float = 0,
    ref: ObjectRef = REF,
    generation: int = 1,
) -> SourceStatus:
    return source_status(KIND, ref, generation, health, NOW + timedelta(seconds=after), before)


def test_a_source_that_answers_is_ready():
    ready = told().ready
    assert (ready.status, ready.reason) == ("True", "Connected")
    assert ready.message == "it answers, and its clock agrees with Penstock's"


def test_one_that_does_not_says_why_and_keeps_when_it_last_did():
    away = told(AWAY, told(), 60)
    assert (away.ready.status, away.ready.reason) == ("False", "MetricsUnreachable")
    assert away.ready.message == "prometheus: connection refused"
    assert away.answered_at == NOW


def test_the_time_of_transition_moves_only_when_ready_does():
    away = told(AWAY, told(), 60)
    skewed = told(SourceHealth(SourceReason.CLOCK_SKEW, "its clock"), away, 120)
    assert skewed.ready.since == away.ready.since == NOW + timedelta(seconds=60)
    assert told(WELL, skewed, 180).ready.since == NOW + timedelta(seconds=180)


def test_a_namesakes_past_is_not_its_own():
    other = told(AWAY, told(), 60, replace(REF, uid="uid-2"))
    assert other.answered_at is None
    assert other.ready.since == NOW + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("health", "after", "generation", "written"),
    [
        (WELL, 299, 1, False),
        (WELL, 600, 1, True),
        (AWAY, 1, 1, True),
        (WELL, 1, 2, True),
        (replace(WELL, detail="in other words"), 59, 1, False),
        (replace(WELL, detail="in other words"), 60, 1, True),
    ],
)
def test_it_is_written_on_a_change_and_now_and_then(health, after, generation, written):
    before = told()
    now = told(health, before, after, generation=generation)
    assert should_write_source(now, before) is written
    assert should_write_source(now, None)


def test_words_that_follow_what_an_author_does_are_written_at_once():
    missing = told(SourceHealth(SourceReason.SECRET_NOT_FOUND, "there is no Secret"))
    keyless = told(SourceHealth(SourceReason.SECRET_NOT_FOUND, "it has no key"), missing, 1)
    assert should_write_source(keyless, missing)
    assert not should_write_source(replace(missing, reported_at=keyless.reported_at), missing)


def test_an_event_is_for_another_reason_and_not_for_other_words():
    away = told(AWAY, told())
    assert source_is_transition(told(), None)
    assert source_is_transition(away, told())
    assert not source_is_transition(told(replace(AWAY, detail="other words"), away), away)
    assert source_is_transition(told(SourceHealth(SourceReason.UNAUTHORIZED, "401"), away), away)


@pytest.mark.parametrize("health", [WELL, AWAY])
def test_a_restart_reads_back_what_was_written(health):
    written = told(health)
    read = decode_source_status(KIND, REF, encode_source_status(written))
    assert read is not None
    assert replace(read, reported_at=NOW) == written
    assert not should_write_source(told(health, read, 1), replace(read, reported_at=NOW))


@pytest.mark.parametrize("status", [None, {}, {"conditions": []}, {"conditions": 3}, {"a": 1}])
def test_a_status_that_says_nothing_readable_is_written_again(status):
    assert decode_source_status(KIND, REF, status) is None

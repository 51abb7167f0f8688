"""When a source is given up, for how long, and how it is believed again."""

from __future__ import annotations

import pytest

from penstock.adapters.backpressure import (
    FAILURES_TO_OPEN,
    LONGEST_ASKED_BREAK,
    LONGEST_BREAK,
    SHORTEST_BREAK,
    CircuitBreaker,
)


def opened(at: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker()
    breaker.failed(at, at_once=True)
    return breaker


def test_it_opens_after_failures_in_a_row():
    breaker = CircuitBreaker()
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker.failed(0)
    assert not breaker.is_open
    breaker.failed(0)
    assert breaker.is_open


def test_a_success_between_failures_keeps_it_closed():
    breaker = CircuitBreaker()
    for _ in range(10):
        breaker.failed(0)
        breaker.succeeded()
    assert not breaker.is_open


def test_it_stays_open_until_a_trial_succeeds():
    breaker = opened(100)
    assert not breaker.may_try(100 + SHORTEST_BREAK / 2)
    assert breaker.may_try(100 + SHORTEST_BREAK)
    assert breaker.is_open
    breaker.succeeded()
    assert not breaker.is_open
    assert not breaker.may_try(200)


def test_breaks_grow_with_each_trial_that_fails_up_to_a_bound():
    breaker, now, breaks = opened(0), 0.0, []
    for _ in range(20):
        begun = now
        while not breaker.may_try(now):
            now += 0.5
        breaks.append(now - begun)
        breaker.failed(now)
    assert breaks[:4] == [SHORTEST_BREAK, 2, 4, 8]
    assert max(breaks) == LONGEST_BREAK


def test_after_a_success_breaks_are_short_again():
    breaker = opened(0)
    breaker.failed(10)
    breaker.succeeded()
    breaker.failed(20, at_once=True)
    assert breaker.may_try(20 + SHORTEST_BREAK)


@pytest.mark.parametrize(("asked", "waits"), [(30, 30), (10_000, LONGEST_ASKED_BREAK)])
def test_a_source_that_names_a_time_is_left_alone_for_it_within_reason(asked, waits):
    circuit = CircuitBreaker()
    circuit.failed(0, asked=asked)
    assert circuit.is_open
    assert not circuit.may_try(waits - 1)
    assert circuit.may_try(waits)


def test_answers_that_come_late_during_a_break_do_not_prolong_it():
    breaker = opened(0)
    breaker.failed(SHORTEST_BREAK / 2, at_once=True)
    assert breaker.may_try(SHORTEST_BREAK)

"""When a source is given up, for how long, and how it is believed again."""

from __future__ import annotations

import pytest

from penstock.adapters.circuit import (
    FAILURES_TO_OPEN,
    LONGEST_ASKED_BREAK,
    LONGEST_BREAK,
    SHORTEST_BREAK,
    Circuit,
)


def opened(at: float = 0.0) -> Circuit:
    circuit = Circuit()
    circuit.failed(at, at_once=True)
    return circuit


def test_it_opens_after_failures_in_a_row():
    circuit = Circuit()
    for _ in range(FAILURES_TO_OPEN - 1):
        circuit.failed(0)
    assert not circuit.is_open
    circuit.failed(0)
    assert circuit.is_open


def test_a_success_between_failures_keeps_it_closed():
    circuit = Circuit()
    for _ in range(10):
        circuit.failed(0)
        circuit.succeeded()
    assert not circuit.is_open


def test_it_stays_open_until_a_trial_succeeds():
    circuit = opened(100)
    assert not circuit.may_try(100 + SHORTEST_BREAK / 2)
    assert circuit.may_try(100 + SHORTEST_BREAK)
    assert circuit.is_open
    circuit.succeeded()
    assert not circuit.is_open
    assert not circuit.may_try(200)


def test_breaks_grow_with_each_trial_that_fails_up_to_a_bound():
    circuit, now, breaks = opened(0), 0.0, []
    for _ in range(20):
        begun = now
        while not circuit.may_try(now):
            now += 0.5
        breaks.append(now - begun)
        circuit.failed(now)
    assert breaks[:4] == [SHORTEST_BREAK, 2, 4, 8]
    assert max(breaks) == LONGEST_BREAK


def test_after_a_success_breaks_are_short_again():
    circuit = opened(0)
    circuit.failed(10)
    circuit.succeeded()
    circuit.failed(20, at_once=True)
    assert circuit.may_try(20 + SHORTEST_BREAK)


@pytest.mark.parametrize(("asked", "waits"), [(30, 30), (10_000, LONGEST_ASKED_BREAK)])
def test_a_source_that_names_a_time_is_left_alone_for_it_within_reason(asked, waits):
    circuit = Circuit()
    circuit.failed(0, asked=asked)
    assert circuit.is_open
    assert not circuit.may_try(waits - 1)
    assert circuit.may_try(waits)


def test_answers_that_come_late_during_a_break_do_not_prolong_it():
    circuit = opened(0)
    circuit.failed(SHORTEST_BREAK / 2, at_once=True)
    assert circuit.may_try(SHORTEST_BREAK)

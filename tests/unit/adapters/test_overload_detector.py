"""For how long a source is spared that has said that it has too much to do."""

from __future__ import annotations

from penstock.adapters.backpressure import WELL_SECONDS, OverloadDetector


def test_a_source_that_never_complained_is_not_spared() -> None:
    overload_detector = OverloadDetector()
    assert not overload_detector.is_overloaded(0.0)
    overload_detector.record_answer(5.0)
    assert not overload_detector.is_overloaded(5.0)


def test_one_refusal_lasts_until_it_has_answered_well_for_a_while() -> None:
    overload_detector = OverloadDetector()
    overload_detector.record_refusal()
    assert overload_detector.is_overloaded(1e9)
    overload_detector.record_answer(100.0)
    overload_detector.record_answer(100.0 + WELL_SECONDS / 2)
    assert overload_detector.is_overloaded(100.0 + WELL_SECONDS - 1)
    assert not overload_detector.is_overloaded(100.0 + WELL_SECONDS)


def test_a_refusal_in_between_restarts_it() -> None:
    overload_detector = OverloadDetector()
    overload_detector.record_refusal()
    overload_detector.record_answer(0.0)
    overload_detector.record_refusal()
    assert overload_detector.is_overloaded(WELL_SECONDS)
    overload_detector.record_answer(WELL_SECONDS)
    assert overload_detector.is_overloaded(2 * WELL_SECONDS - 1)
    assert not overload_detector.is_overloaded(2 * WELL_SECONDS)

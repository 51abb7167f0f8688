"""For how long a source is spared that has said that it has too much to do."""

from __future__ import annotations

from penstock.adapters.overload import WELL_SECONDS, Overload


def test_a_source_that_never_complained_is_not_spared() -> None:
    overload = Overload()
    assert not overload.lasts(0.0)
    overload.answered(5.0)
    assert not overload.lasts(5.0)


def test_one_complaint_lasts_until_it_has_answered_well_for_a_while() -> None:
    overload = Overload()
    overload.told()
    assert overload.lasts(1e9)
    overload.answered(100.0)
    overload.answered(100.0 + WELL_SECONDS / 2)
    assert overload.lasts(100.0 + WELL_SECONDS - 1)
    assert not overload.lasts(100.0 + WELL_SECONDS)


def test_a_complaint_in_between_begins_it_anew() -> None:
    overload = Overload()
    overload.told()
    overload.answered(0.0)
    overload.told()
    assert overload.lasts(WELL_SECONDS)
    overload.answered(WELL_SECONDS)
    assert overload.lasts(2 * WELL_SECONDS - 1)
    assert not overload.lasts(2 * WELL_SECONDS)

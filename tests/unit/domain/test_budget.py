"""Golden values of budget arithmetic, independent of any tool that computes them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from penstock.domain.budget import (
    allowed_events,
    allowed_time,
    burn_rate,
    consumed,
    exhausted_in,
    highest_burn_rate,
    remaining,
    spent,
)
from penstock.domain.quantities import Duration, Objective, Ratio

THREE_NINES = Objective.parse("99.9%")
MONTH = Duration.parse("30d")


@pytest.mark.parametrize(
    ("objective", "window", "allowed"),
    [
        ("99.9%", "30d", "43m12s"),
        ("99.95%", "1w", "5m2s400ms"),
        ("99.9%", "28d", "40m19s200ms"),
        ("95%", "2w", "16h48m"),
        ("50%", "1m", "30s"),
    ],
)
def test_allowed_time_is_the_budget_share_of_the_window(
    objective: str, window: str, allowed: str
) -> None:
    time = allowed_time(Objective.parse(objective), Duration.parse(window))
    assert str(time) == allowed


def test_allowed_events_are_the_budget_share_of_all() -> None:
    assert allowed_events(THREE_NINES, 1_000_000) == 1_000


def test_two_weeks_of_minute_slices_at_95_percent_allow_1008_bad_ones() -> None:
    slices = Duration.parse("2w").milliseconds // Duration.parse("1m").milliseconds
    bad = allowed_events(Objective.parse("95%"), slices)
    assert bad == 1_008
    assert Duration(int(bad) * Duration.parse("1m").milliseconds) == Duration.parse("16h48m")


@pytest.mark.parametrize(
    ("bad", "left"), [("0", "1"), ("500", "0.5"), ("1000", "0"), ("1500", "-0.5"), ("10000", "-9")]
)
def test_what_remains_is_never_clamped(bad: str, left: str) -> None:
    assert remaining(THREE_NINES, Decimal(bad), Decimal(1_000_000)) == Ratio.parse(left)


def test_without_events_there_is_no_share_and_no_rate() -> None:
    assert remaining(THREE_NINES, Decimal(0), Decimal(0)) is None
    assert burn_rate(THREE_NINES, Decimal(0), Decimal(0)) is None


def test_a_burn_rate_is_the_error_ratio_in_budgets() -> None:
    assert burn_rate(THREE_NINES, Decimal(144), Decimal(10_000)) == Ratio.parse("14.4")
    assert burn_rate(THREE_NINES, Decimal(0), Decimal(10_000)) == Ratio.parse("0")


@pytest.mark.parametrize(
    ("burn", "span", "share"), [("14.4", "1h", "0.02"), ("6", "6h", "0.05"), ("1", "3d", "0.1")]
)
def test_a_burn_rate_consumes_its_share_of_the_budget(burn: str, span: str, share: str) -> None:
    assert consumed(Ratio.parse(burn), Duration.parse(span), MONTH) == Ratio.parse(share)


def test_forty_percent_at_burn_two_of_thirty_days_last_six_days() -> None:
    """The window's tail is left out: no old error leaves the window meanwhile."""
    assert exhausted_in(Ratio.parse("0.4"), Ratio.parse("2"), MONTH) == Duration.parse("6d")


def test_a_budget_that_is_overspent_is_exhausted_now() -> None:
    assert exhausted_in(Ratio.parse("-0.5"), Ratio.parse("2"), MONTH) == Duration(0)


@pytest.mark.parametrize("burn", ["0", "-1"])
def test_a_budget_that_is_not_spent_never_runs_out(burn: str) -> None:
    assert exhausted_in(Ratio.parse("0.4"), Ratio.parse(burn), MONTH) is None


@pytest.mark.parametrize(("objective", "highest"), [("99%", "100"), ("90%", "10"), ("50%", "2")])
def test_a_full_outage_burns_at_one_over_the_budget(objective: str, highest: str) -> None:
    assert highest_burn_rate(Objective.parse(objective)) == Ratio.parse(highest)


@pytest.mark.parametrize(
    ("bad", "total", "share"),
    [("50", "1000000", "0.05"), ("1500", "1000000", "1.5"), ("0", "1", "0")],
)
def test_what_some_of_the_windows_bad_events_have_spent(bad: str, total: str, share: str) -> None:
    assert spent(THREE_NINES, Decimal(bad), Decimal(total)) == Ratio(Decimal(share))


def test_without_events_nothing_can_be_said_of_what_was_spent() -> None:
    assert spent(THREE_NINES, Decimal(0), Decimal(0)) is None

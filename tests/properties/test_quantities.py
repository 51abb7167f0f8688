"""What is printed reads back as itself, order is of size, and text of any kind is only refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.budget import burn_rate, consumed, exhausted_in, remaining
from penstock.domain.quantities import LONGEST_PARSED, Duration, Objective, Percentage, Ratio
from penstock.domain.window import CalendarWindow, Period, RollingWindow, length

durations = st.integers(0, LONGEST_PARSED - 1).map(Duration)
percentages = st.decimals(0, Decimal("999.999999"), places=6).map(Percentage)
objectives = st.decimals(50, Decimal("99.999999"), places=6).map(Percentage).map(Objective)
ratios = st.decimals(-(10**18) + 1, 10**18 - 1, places=18).map(Ratio)
counts = st.decimals(0, 10**9, places=3)
zones = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/Havana",
        "America/Santiago",
        "America/Sao_Paulo",
        "Asia/Kolkata",
        "Asia/Beirut",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Africa/Cairo",
    ]
)
instants = st.integers(631_152_000, 3_786_912_000).map(
    lambda seconds: datetime.fromtimestamp(seconds, UTC)
)


@given(durations)
def test_a_printed_duration_reads_back_as_itself(duration: Duration) -> None:
    assert Duration.parse(str(duration)) == duration


@given(percentages)
def test_a_printed_percentage_reads_back_as_itself(percentage: Percentage) -> None:
    assert Percentage.parse(str(percentage)) == percentage


@given(objectives)
def test_a_printed_objective_reads_back_as_itself(objective: Objective) -> None:
    assert Objective.parse(str(objective)) == objective
    assert 0 < objective.budget <= Decimal("0.5")
    assert objective.budget + objective.percentage.ratio.value == 1


@given(ratios)
def test_a_printed_ratio_reads_back_as_itself(ratio: Ratio) -> None:
    assert Ratio.parse(str(ratio)) == ratio


@given(durations.map(RollingWindow))
def test_a_printed_rolling_window_reads_back_as_itself(window: RollingWindow) -> None:
    assert RollingWindow(Duration.parse(str(window))) == window


@given(st.sampled_from(Period), zones, instants)
def test_calendar_periods_follow_each_other_without_gap(
    period: Period, zone: str, at: datetime
) -> None:
    window = CalendarWindow(period, ZoneInfo(zone), zone)
    start, end = window.start(at), window.end(at)
    assert start <= at < end
    assert window.start(start) == start
    assert window.start(end) == end
    assert length(window, at).milliseconds > 0
    assert str(window) == f"{period} ({zone})"


@given(objectives, counts, counts)
def test_computed_ratios_survive_being_written_down(
    objective: Objective, bad: Decimal, total: Decimal
) -> None:
    left, burn = remaining(objective, bad, total), burn_rate(objective, bad, total)
    for ratio in (left, burn):
        assert ratio is None or Ratio.parse(str(ratio)) == ratio


@given(objectives, counts, counts, st.decimals(Decimal("0.001"), 10**9, places=3))
def test_spending_more_never_leaves_more(
    objective: Objective, less: Decimal, more: Decimal, total: Decimal
) -> None:
    less, more = sorted((less, more))
    left, left_after_more = (remaining(objective, bad, total) for bad in (less, more))
    assert left is not None
    assert left_after_more is not None
    assert left_after_more <= left


@given(st.decimals(Decimal("0.01"), 1000, places=2), st.decimals(Decimal("0.01"), 1, places=2))
def test_burning_until_exhaustion_consumes_what_was_left(burn: Decimal, left: Decimal) -> None:
    window = Duration.parse("30d")
    span = exhausted_in(Ratio(left), Ratio(burn), window)
    assert span is not None
    one_millisecond = burn / window.milliseconds
    assert abs(consumed(Ratio(burn), span, window).value - left) <= one_millisecond


@given(st.lists(durations, min_size=2), st.lists(ratios, min_size=2))
def test_order_is_of_size(some_durations: list[Duration], some_ratios: list[Ratio]) -> None:
    lengths = [one.milliseconds for one in sorted(some_durations)]
    values = [one.value for one in sorted(some_ratios)]
    assert lengths == sorted(lengths)
    assert values == sorted(values)


@pytest.mark.parametrize("parse", [Duration.parse, Percentage.parse, Ratio.parse, Objective.parse])
@given(
    text=st.text()
    | st.from_regex(r"[0-9.%wdhms+-]{1,20}")
    | st.text("0123456789wdhms.%- eEnN_٣", max_size=20)
)
def test_text_of_any_kind_is_read_or_refused(parse: Callable[[str], object], text: str) -> None:
    try:
        value = parse(text)
    except ValueError:
        return
    assert parse(str(value)) == value

"""What people may write as a duration, a percentage, a ratio or an objective, and how it prints."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from decimal import Decimal

import pytest

import penstock.domain
from penstock.domain.quantities import Duration, Objective, Percentage, Ratio, plain

NO_DURATION = {
    "empty": "",
    "no unit": "30",
    "no number": "d",
    "wrong order": "3m2h",
    "a unit twice": "1h1h",
    "unknown unit": "1y",
    "upper case": "30D",
    "a fraction": "1.5h",
    "a sign": "-1h",
    "a plus": "+1h",
    "an exponent": "1e3s",
    "leading space": " 1h",
    "trailing space": "1h ",
    "inner space": "1h 30m",
    "trailing newline": "1h\n",
    "underscore": "1_000s",
    "Arabic-Indic digits": "١h",
    "full-width digits": "３０d",
    "superscript": "1²h",
    "nine digits": "100000000s",
    "a hundred million days": "99999999w",
    "a giant": "9" * 1_000_000 + "s",
    "not a number": "NaN",
    "a NUL": "1h\0",
}

NO_PERCENTAGE = {
    "empty": "",
    "no sign": "99.9",
    "a ratio": "0.999",
    "sign alone": "%",
    "two signs": "99.9%%",
    "space before the sign": "99.9 %",
    "leading space": " 99.9%",
    "trailing newline": "99.9%\n",
    "a comma": "99,9%",
    "leading zero": "099.9%",
    "no digit before the point": ".5%",
    "no digit after the point": "99.%",
    "seven decimals": "99.9999999%",
    "four digits": "1000%",
    "negative": "-1%",
    "plus": "+1%",
    "an exponent": "1e1%",
    "not a number": "NaN%",
    "infinity": "Infinity%",
    "underscore": "9_9%",
    "Arabic-Indic digits": "٩٩%",
    "full-width sign": "99％",
    "a giant": "9" * 1_000_000 + "%",
}

NO_RATIO = {
    "empty": "",
    "a percentage": "37.2%",
    "an exponent": "1E-3",
    "not a number": "NaN",
    "infinity": "-Infinity",
    "a plus": "+1",
    "two signs": "--1",
    "leading zero": "01",
    "space": "1 ",
    "newline": "1\n",
    "underscore": "1_0",
    "nineteen decimals": "0." + "1" * 19,
    "nineteen digits": "1" * 19,
    "other digits": "٠.٥",
    "a giant": "1" * 1_000_000,
}


@pytest.mark.parametrize("text", NO_DURATION.values(), ids=NO_DURATION)
def test_what_is_no_duration_is_refused_with_a_short_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a duration|too long") as refusal:
        Duration.parse(text)
    assert len(str(refusal.value)) < 250


@pytest.mark.parametrize("text", NO_PERCENTAGE.values(), ids=NO_PERCENTAGE)
def test_what_is_no_percentage_is_refused_with_a_short_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="not a percentage") as refusal:
        Percentage.parse(text)
    assert len(str(refusal.value)) < 250


@pytest.mark.parametrize("text", NO_RATIO.values(), ids=NO_RATIO)
def test_what_is_no_ratio_is_refused_with_a_short_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="not a decimal") as refusal:
        Ratio.parse(text)
    assert len(str(refusal.value)) < 250


@pytest.mark.parametrize("text", ["49.999999%", "0%", "100%", "100.000001%", "999%"])
def test_an_objective_out_of_range_is_refused(text: str) -> None:
    """100 % has no budget to divide by: the golden row "no division" is kept by refusing it."""
    with pytest.raises(ValueError, match="at least 50% and under 100%"):
        Objective.parse(text)


@pytest.mark.parametrize("text", ["50%", "99.999999%"])
def test_the_borders_of_an_objective_are_its_own(text: str) -> None:
    assert str(Objective.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1w2d3h4m5s6ms", 788_645_006),
        ("30d", 2_592_000_000),
        ("90s", 90_000),
        ("0s", 0),
        ("0001h", 3_600_000),
        ("300ms", 300),
        ("1m", 60_000),
        ("1m1ms", 60_001),
        ("99999999s", 99_999_999_000),
    ],
)
def test_a_duration_is_exact_to_the_millisecond(text: str, milliseconds: int) -> None:
    assert Duration.parse(text).milliseconds == milliseconds


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("90s", "1m30s"),
        ("1w2d", "9d"),
        ("24h", "1d"),
        ("4w", "28d"),
        ("0d", "0s"),
        ("1500ms", "1s500ms"),
        ("00000005m", "5m"),
    ],
)
def test_a_duration_prints_in_its_shortest_exact_form(written: str, printed: str) -> None:
    assert str(Duration.parse(written)) == printed


def test_a_duration_shows_its_seconds_exactly() -> None:
    assert Duration.parse("1s1ms").seconds == Decimal("1.001")
    assert Duration.of_seconds(90) == Duration.parse("1m30s")


@pytest.mark.parametrize(
    ("written", "printed"), [("99.90%", "99.9%"), ("100%", "100%"), ("0.000001%", "0.000001%")]
)
def test_a_percentage_prints_without_idle_zeros(written: str, printed: str) -> None:
    assert str(Percentage.parse(written)) == printed


@pytest.mark.parametrize(
    ("value", "printed"),
    [("1E+2", "100"), ("1E-7", "0.0000001"), ("99.90", "99.9"), ("-0.0", "0"), ("-1.50", "-1.5")],
)
def test_decimals_print_plainly(value: str, printed: str) -> None:
    assert plain(Decimal(value)) == printed


def test_the_allowed_share_of_99_9_percent_is_exactly_one_in_a_thousand() -> None:
    assert Objective.parse("99.9%").budget == Decimal("0.001")
    assert 1 - 99.9 / 100 != 0.001, "binary floats would not do"


def test_a_rounded_ratio_never_shows_a_negative_zero() -> None:
    assert Ratio(Decimal("-0.00001")).rounded(4) == "0.0000"
    assert Ratio(Decimal("-0.5")).rounded(4) == "-0.5000"


def test_a_quotient_is_kept_as_exactly_as_it_can_be_written() -> None:
    third = Ratio.of(Decimal(1) / 3)
    assert Ratio.parse(str(third)) == third


def test_quantities_are_ordered_by_size_not_by_text() -> None:
    assert Duration.parse("9d") < Duration.parse("10d") < Duration.parse("2w")
    assert Percentage.parse("9%") < Percentage.parse("10%")
    assert Ratio.parse("-2") < Ratio.parse("-1") < Ratio.parse("0.5")
    assert max(map(Objective.parse, ("99%", "99.99%", "50%"))) == Objective.parse("99.990%")


MODULES = [
    module.name
    for module in pkgutil.iter_modules(penstock.domain.__path__, f"{penstock.domain.__name__}.")
]


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_in_docstrings_are_true(module: str) -> None:
    assert doctest.testmod(importlib.import_module(module)).failed == 0

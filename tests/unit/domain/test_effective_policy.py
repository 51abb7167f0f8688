"""The policy that applies: defaults that suit the window, what is left out, what is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from penstock.domain.effective_policy import (
    BurnRule,
    UnknownRule,
    default_burn_rules,
    never_fires,
    resolve_policy,
)
from penstock.domain.policy import (
    BurnPair,
    InFlightPolicy,
    Policy,
    ResumePolicy,
    StartPolicy,
    UnknownPolicy,
    UnknownThen,
)
from penstock.domain.quantities import Duration, Objective, Percentage
from support.decision_fixtures import pair

Told = tuple[str, str, Decimal, int]


def told(rules: tuple[BurnRule, ...]) -> list[Told]:
    return [(str(p.long), str(p.short), p.factor, p.minimum_bad_events) for p in rules]


def completed(
    policy: Policy | None = None,
    window: str = "30d",
    objective: str = "99.9%",
    scrape: str = "0s",
):
    return resolve_policy(
        policy or Policy(),
        Objective.parse(objective),
        Duration.parse(window),
        Duration.parse(scrape),
    )


SCALED = {
    "90d": [("1h", "5m", "43.2"), ("6h", "30m", "18")],
    "30d": [("1h", "5m", "14.4"), ("6h", "30m", "6")],
    "28d": [("1h", "5m", "13.44"), ("6h", "30m", "5.6")],
    "7d": [("1h", "5m", "3.36"), ("6h", "30m", "1.4")],
    "6d23h": [("13m55s", "1m9s583ms", "14.4"), ("1h23m30s", "6m57s500ms", "6")],
    "1d": [("2m", "10s", "14.4"), ("12m", "1m", "6")],
    "1h": [("5s", "416ms", "14.4"), ("30s", "2s500ms", "6")],
    "2m": [("166ms", "13ms", "14.4"), ("1s", "83ms", "6")],
}


@pytest.mark.parametrize("window", SCALED)
def test_default_pairs_are_scaled_to_the_window(window: str) -> None:
    pairs = default_burn_rules(Duration.parse(window))
    assert told(pairs) == [(long, short, Decimal(f), 5) for long, short, f in SCALED[window]]


@pytest.mark.parametrize(
    ("window", "scrape", "kept"),
    [
        ("30d", "0s", 2),
        ("30d", "75s", 2),
        ("30d", "75s1ms", 1),
        ("30d", "7m30s", 1),
        ("30d", "7m31s", 0),
        ("7d", "15s", 2),
        ("1d", "0s", 1),
        ("1d", "15s", 1),
        ("1d", "16s", 0),
        ("36h", "0s", 2),
        ("35h", "0s", 1),
        ("6h", "0s", 1),
        ("5h", "0s", 0),
        ("1h", "0s", 0),
        ("2m", "0s", 0),
    ],
)
def test_a_default_pair_is_left_out_under_four_scrapes_or_15_s(
    window: str, scrape: str, kept: int
) -> None:
    one = completed(window=window, scrape=scrape)
    assert {*one.burn_rules, *one.dropped_rules} == set(default_burn_rules(Duration.parse(window)))
    assert len(one.burn_rules) == kept
    assert one.impossible_rules == ()


@pytest.mark.parametrize(("objective", "kept"), [("93%", 1), ("93.1%", 2), ("83%", 0), ("84%", 1)])
def test_a_default_pair_that_a_full_outage_does_not_reach_is_left_out(
    objective: str, kept: int
) -> None:
    one = completed(objective=objective)
    assert (len(one.burn_rules), len(one.dropped_rules), one.impossible_rules) == (
        kept,
        2 - kept,
        (),
    )


@pytest.mark.parametrize(
    ("objective", "factor", "never"),
    [("90%", "10", True), ("90%", "9.99", False), ("99%", "100", True), ("99.9%", "14.4", False)],
)
def test_a_written_pair_that_can_never_fire_is_refused(
    objective: str, factor: str, never: bool
) -> None:
    written = pair("1h", "5m", factor)
    one = completed(Policy(burn=(written,)), objective=objective)
    assert [p.factor for p in one.impossible_rules] == ([Decimal(factor)] if never else [])
    assert never_fires(one.burn_rules[0], Objective.parse(objective)) is never


def test_written_pairs_are_used_as_written_the_fastest_first() -> None:
    written = (pair("6h", "30m", "6", 0), pair("20s", "5s", "50"), pair("6h", "1m", "7", 9))
    one = completed(Policy(burn=written), window="1h", scrape="1m")
    assert told(one.burn_rules) == [
        ("20s", "5s", Decimal(50), 5),
        ("6h", "1m", Decimal(7), 9),
        ("6h", "30m", Decimal(6), 0),
    ]
    assert one.dropped_rules == ()


def test_no_burn_pairs_are_a_choice() -> None:
    one = completed(Policy(burn=()))
    assert (one.burn_rules, one.dropped_rules, one.impossible_rules) == ((), (), ())
    assert one.calm_windows == (Duration.parse("5m"), Duration.parse("30m"))
    assert one.errors_window == Duration.parse("1h")


CALM_LOOKS: dict[str, tuple[str, tuple[BurnPair, ...] | None, tuple[str, str], str]] = {
    "default": ("30d", None, ("5m", "30m"), "1h"),
    "a window of an hour": ("1h", None, ("5m", "30m"), "1h"),
    "a window under half an hour": ("20m", None, ("5m", "20m"), "20m"),
    "a window under five minutes": ("2m", None, ("2m", "2m"), "2m"),
    "a written pair for long windows": ("30d", (pair("30m", "2m", "10"),), ("5m", "30m"), "30m"),
    "a written short pair": ("30d", (pair("29m", "2m", "10"),), ("2m", "29m"), "29m"),
    "the demo": ("2m", (pair("20s", "5s", "5"), pair("1m", "10s", "2")), ("5s", "20s"), "20s"),
    "a pair longer than its window": ("10s", (pair("20s", "15s", "5"),), ("10s", "10s"), "10s"),
    "a long pair": ("30d", (pair("6h", "30m", "6"),), ("5m", "30m"), "1h"),
}


@pytest.mark.parametrize("name", CALM_LOOKS)
def test_calm_and_errors_are_judged_on_windows_that_suit_the_window(name: str) -> None:
    window, written, calm, errors = CALM_LOOKS[name]
    one = completed(Policy(burn=written), window=window)
    assert tuple(map(str, one.calm_windows)) == calm
    assert str(one.errors_window) == errors


def test_every_burn_window_that_a_decision_needs_is_asked_for() -> None:
    assert sorted(map(str, completed().burn_windows)) == ["1h", "30m", "5m", "6h"]
    demo = completed(Policy(burn=(pair("20s", "5s", "5"),)), window="2m")
    assert sorted(map(str, demo.burn_windows)) == ["20s", "5s"]
    assert sorted(map(str, completed(window="2m").burn_windows)) == ["2m"]


def test_defaults_are_those_of_the_design() -> None:
    one = completed()
    assert one.start_hold_at == one.in_flight_hold_at == 0
    assert one.while_burn_above == 1
    assert one.margin == Decimal("0.01")
    assert str(one.calm) == "10m"
    assert one.outage == UnknownRule(Duration.parse("5m"), UnknownThen.HOLD)
    assert one.thin == UnknownRule(Duration.parse("0s"), UnknownThen.PERMIT)


def test_what_the_author_wrote_applies_also_where_it_is_nothing() -> None:
    zero, none = Percentage.parse("0%"), Duration.parse("0s")
    one = completed(
        Policy(
            StartPolicy(Percentage.parse("10%")),
            InFlightPolicy(Percentage.parse("5%"), Decimal(0)),
            None,
            ResumePolicy(zero, Duration.parse("1m")),
            UnknownPolicy(none, UnknownThen.PERMIT),
            UnknownPolicy(Duration.parse("1m"), UnknownThen.HOLD),
        )
    )
    assert (one.start_hold_at, one.in_flight_hold_at) == (Decimal("0.1"), Decimal("0.05"))
    assert (one.while_burn_above, one.margin, str(one.calm)) == (0, 0, "1m")
    assert one.outage == UnknownRule(none, UnknownThen.PERMIT)
    assert one.thin == UnknownRule(Duration.parse("1m"), UnknownThen.HOLD)


def test_half_a_setting_is_completed_by_the_default_of_its_class() -> None:
    one = completed(
        Policy(
            outage=UnknownPolicy(then=UnknownThen.PERMIT),
            thin=UnknownPolicy(keep_last=Duration.parse("1m")),
        )
    )
    assert one.outage == UnknownRule(Duration.parse("5m"), UnknownThen.PERMIT)
    assert one.thin == UnknownRule(Duration.parse("1m"), UnknownThen.PERMIT)

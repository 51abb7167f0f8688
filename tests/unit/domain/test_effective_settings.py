"""The policy that applies, with where each setting came from, as a status shows it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from penstock.domain.effective_settings import MOST_SLOS_SHOWN, effective_settings
from penstock.domain.policy import (
    InFlightPolicy,
    Policy,
    ResumePolicy,
    StartPolicy,
    UnknownPolicy,
    UnknownThen,
)
from penstock.domain.quantities import Duration, Percentage
from support.decision_fixtures import pair, slo
from support.rollout_fixtures import ROLLOUT


def told(policy: Policy, *slos) -> dict[str, tuple[str, str]]:
    made = effective_settings(replace(ROLLOUT, policy=policy), slos or (slo(policy=policy),))
    assert len({one.field for one in made}) == len(made)
    return {one.field: (one.value, one.source) for one in made}


def test_defaults_are_reported_as_defaults_in_the_order_of_the_manifest() -> None:
    assert list(told(Policy()).items()) == [
        ("start.holdAt", ("0%", "Default")),
        ("inFlight.holdAt", ("0%", "Default")),
        ("inFlight.whileBurnAbove", ("1", "Default")),
        ("burn[checkout]", ("1h/5m at 14.4, 6h/30m at 6", "Default")),
        ("resume.margin", ("1%", "Default")),
        ("resume.calm", ("10m", "Default")),
        ("unknown.outage.keepLast", ("5m", "Default")),
        ("unknown.outage.then", ("Hold", "Default")),
        ("unknown.thin.keepLast", ("0s", "Default")),
        ("unknown.thin.then", ("Permit", "Default")),
    ]


def test_what_the_author_wrote_is_reported_as_the_rollouts() -> None:
    policy = Policy(
        StartPolicy(Percentage.parse("10%")),
        InFlightPolicy(Percentage.parse("0%"), Decimal("2.5")),
        (pair("20s", "5s", "50"),),
        ResumePolicy(Percentage.parse("2%"), Duration.parse("1m")),
        UnknownPolicy(Duration.parse("0s"), UnknownThen.PERMIT),
        UnknownPolicy(Duration.parse("1m"), UnknownThen.HOLD),
    )
    all_told = told(policy)
    assert {source for _, source in all_told.values()} == {"Rollout"}
    assert [value for value, _ in all_told.values()] == [
        *("10%", "0%", "2.5", "20s/5s at 50", "2%", "1m", "0s", "Permit", "1m", "Hold")
    ]


def test_pairs_are_reported_for_each_slo_with_those_that_are_left_out() -> None:
    all_told = told(Policy(), slo(name="a"), slo(name="b", window="1d"), slo(name="c", window="1h"))
    assert all_told["burn[a]"][0] == "1h/5m at 14.4, 6h/30m at 6"
    assert all_told["burn[b]"][0] == (
        "12m/1m at 6; left out, as they cannot serve this SLO: 2m/10s at 14.4"
    )
    assert all_told["burn[c]"][0] == (
        "none; left out, as they cannot serve this SLO: 5s/416ms at 14.4, 30s/2s500ms at 6"
    )


def test_no_pairs_at_all_are_a_choice_that_is_reported() -> None:
    assert told(Policy(burn=()))["burn[checkout]"] == ("none", "Rollout")


def test_a_missing_slo_has_no_pairs_to_report() -> None:
    assert "burn[checkout]" not in told(Policy(), replace(slo(), policy=None))


def test_of_many_slos_no_more_are_reported_than_a_status_can_bear() -> None:
    many = [slo(name=f"slo-{number}") for number in range(MOST_SLOS_SHOWN + 5)]
    assert sum(field.startswith("burn[") for field in told(Policy(), *many)) == MOST_SLOS_SHOWN

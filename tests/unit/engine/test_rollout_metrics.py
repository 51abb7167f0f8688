"""What /metrics say of a Rollout, as one standing follows another."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from penstock.adapters.metrics import MetricsRegistry
from penstock.domain.rollout_state import ReleaseState, RolloutState, Spent
from penstock.engine.rollout_metrics import record
from support.decision_fixtures import NOW

KEY = ("shop", "checkout")
NOTHING = RolloutState()
RELEASE = replace(NOTHING, release=ReleaseState("5d4f", NOW))
NAME = "penstock_release_budget_spent_ratio"


def having_spent(share: str, slo: str = "availability", of: str = "5d4f") -> RolloutState:
    return replace(RELEASE, release=ReleaseState(of, NOW, spent=Spent(slo, Decimal(share))))


def told(*states: RolloutState) -> list[str]:
    """The lines on the page after these, one after the other."""
    telemetry, before = MetricsRegistry(), NOTHING
    for state in states:
        record(telemetry, KEY, before, state)
        before = state
    page = telemetry.exposition().decode()
    return [line for line in page.splitlines() if line.startswith(NAME)]


def line(share: str, slo: str = "availability", of: str = "5d4f") -> str:
    return f'{NAME}{{namespace="shop",release="{of}",rollout="checkout",slo="{slo}"}} {share}'


def test_what_a_release_has_spent_is_shown_while_it_is_known() -> None:
    assert told(RELEASE) == []
    assert told(RELEASE, having_spent("0.05")) == [line("0.05")]
    assert told(having_spent("0.05"), having_spent("0.07")) == [line("0.07")]
    assert told(having_spent("0.05"), RELEASE) == []
    assert told(having_spent("0.05"), NOTHING) == []


def test_of_another_slo_or_release_it_is_another_line() -> None:
    assert told(having_spent("0.05"), having_spent("0.1", "latency")) == [line("0.1", "latency")]
    assert told(having_spent("0.05"), having_spent("0", of="77")) == [line("0.0", of="77")]

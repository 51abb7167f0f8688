"""The metric registry: each name has its text, and what is not a name cannot be counted."""

from __future__ import annotations

from penstock.adapters.metrics import COUNTERS, GAUGES, MetricsRegistry
from penstock.engine.metric_names import CounterName, GaugeName


def test_each_metric_has_a_text_that_says_what_it_counts() -> None:
    assert set(COUNTERS) == set(CounterName)
    assert set(GAUGES) == set(GaugeName)


def test_a_metric_is_exported_under_its_own_name_with_its_labels() -> None:
    metrics = MetricsRegistry()

    metrics.count(CounterName.WRITES, 2, kind="Hold", outcome="Done")
    metrics.gauge(GaugeName.LEADER, 1.0)

    text = metrics.exposition().decode()
    assert 'penstock_writes_total{kind="Hold",outcome="Done"} 2.0\n' in text
    assert "penstock_leader 1.0\n" in text


def test_an_object_that_is_gone_leaves_no_gauge_behind_and_others_keep_theirs() -> None:
    metrics = MetricsRegistry()
    for slo in ("availability", "latency"):
        metrics.gauge(GaugeName.SLO_BUDGET_REMAINING, 0.5, namespace="shop", slo=slo)

    metrics.forget(namespace="shop", slo="latency")

    text = metrics.exposition().decode()
    assert 'slo="availability"' in text
    assert 'slo="latency"' not in text

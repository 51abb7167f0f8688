"""The sample application as the real Prometheus scrapes it: classic and native histogram."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from penstock.domain.quantities import Duration
from penstock.engine.promql.counting import native_count, native_fraction
from support.history import prometheus
from support.sample import sample
from support.scrapes import ask

pytestmark = pytest.mark.servers

NAME = "http_request_duration_seconds"
MINUTE = Duration.parse("1m")
PATIENCE = 60


def value(url: str, query: str) -> Decimal | None:
    return ask(url, query, datetime.now(UTC)).value


def wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.mark.parametrize("natively", [True, False])
def test_prometheus_stores_what_the_sample_counts(tmp_path: Path, natively: bool) -> None:
    with sample(LATENCY_MS="20", SERVICE="checkout") as app:
        config = {
            "global": {
                "scrape_interval": "1s",
                "scrape_native_histograms": natively,
                "always_scrape_classic_histograms": natively,
            },
            "scrape_configs": [
                {"job_name": "sample", "static_configs": [{"targets": [f"127.0.0.1:{app.port}"]}]}
            ],
        }
        with prometheus(tmp_path, config=config) as url:
            wait_for(lambda: value(url, "sum(up)") == 1)
            app.codes(30)
            wait_for(lambda: value(url, "sum(http_requests_total)") == 30)
            assert value(url, f'{NAME}_bucket{{le="+Inf"}}') == 30
            assert value(url, f'{NAME}_bucket{{le="0.01"}}') == 0
            begun = value(url, "process_start_time_seconds")
            assert begun is not None
            assert 0 < time.time() - float(begun) < 300
            if not natively:
                assert value(url, NAME) is None
                return
            assert value(url, f"histogram_count({NAME})") == 30
            assert value(url, f"histogram_fraction(0, 0.01, {NAME})") == 0
            wait_for(lambda: (value(url, native_count(NAME, [], MINUTE)) or 0) > 0)
            bounds = {threshold: value(url, share(threshold)) for threshold in ("15ms", "10s")}
            assert bounds == {"15ms": 0, "10s": 1}


def share(threshold: str) -> str:
    return native_fraction(NAME, [], MINUTE, Duration.parse(threshold))

"""One tiny month for all tests of the benchmark's own parts.

``SEED=... pytest tests/bench`` draws another. Once in many, a counter that began anew has grown
past its old value before it is scraped again: raw samples cannot tell, and brute force is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from benchmarks.month.data import Month
from benchmarks.month.generated import Size, make
from benchmarks.month.served import Served, served

TINY = Size(days=2, services=11, fleet=3)


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    """Two days with one service of each class."""
    seed = int(os.environ.get("SEED") or 684_189)
    made = make(tmp_path_factory.mktemp("month") / "made", seed, TINY)
    print(f"SEED={made.seed}")
    return made


@pytest.fixture(scope="session")
def server(month: Month) -> Iterator[Served]:
    """A real Prometheus that has all of it, what came late too."""
    with served(month) as running:
        yield running

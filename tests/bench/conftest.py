"""One tiny month for all tests of the benchmark's own parts.

``SEED=... pytest tests/bench`` draws another. Once in many, a counter that began anew has grown
past its old value before it is scraped again: raw samples cannot tell, and brute force is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from benchmarks.month.data import Month
from benchmarks.month.generated import Size, make
from benchmarks.month.served import Served, served

from support import draws

TINY = Size(days=2, services=11, fleet=3)


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    """Two days with one service of each class."""
    seed = draws.seed(684_189)
    return make(tmp_path_factory.mktemp("month") / "made", seed, TINY)


@pytest.fixture(scope="session")
def server(month: Month) -> Iterator[Served]:
    """A real Prometheus that has all of it, what came late too."""
    with served(month) as running:
        yield running

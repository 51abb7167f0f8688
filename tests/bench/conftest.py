"""One tiny month for all tests of the benchmark's own parts; its seed differs from run to run."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from benchmarks.month.data import Month
from benchmarks.month.generated import Size, make
from benchmarks.month.served import Served, served

TINY = Size(days=2, services=11, fleet=3)


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    """Two days with one service of each class. What is tested must hold for any seed."""
    seed = random.SystemRandom().randrange(1_000_000)
    made = make(tmp_path_factory.mktemp("month") / "made", seed, TINY)
    print(f"SEED={made.seed}")
    return made


@pytest.fixture(scope="session")
def server(month: Month) -> Iterator[Served]:
    """A real Prometheus that has all of it, what came late too."""
    with served(month) as running:
        yield running

"""What a way of reading budgets gives, and what it took: the same for ours and for each baseline.

Ours plugs in as one more `Method`: it is given the server (`server.url`), the objectives, and the
instant for which they are asked, and gives an `Evaluation`. `metered` is to be around its work.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Protocol

from benchmarks.month.asking import Tally
from benchmarks.month.data import Month
from benchmarks.month.promises import Promise
from benchmarks.month.served import Served

Number = float | Decimal
BURN_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


@dataclass(frozen=True)
class Reading:
    """What was found of one objective in the budget's window; None: no answer.

    Attributes:
        ratio: share of bad events, all that some methods know.
        burns: the same share by burn window; a burn rate is that, divided by 1 - objective.
    """

    ratio: Number | None
    bad: Number | None = None
    total: Number | None = None
    burns: Mapping[str, Number | None] = field(default_factory=dict)

    @classmethod
    def counted(
        cls, bad: Number, total: Number, burns: Mapping[str, Number | None] | None = None
    ) -> Reading:
        """From events; without any there is no ratio."""
        ratio = float(bad) / float(total) if total else None
        return cls(ratio, bad, total, burns or {})


def finite(found: Number | None) -> float | None:
    """A number that somebody could act on; NaN and infinity are none."""
    return None if found is None or not math.isfinite(found) else float(found)


@dataclass(frozen=True)
class Cost:
    """What one evaluation of `objectives` took.

    Attributes:
        samples: loaded by the server, as `stats=all` tells.
        peak: the most samples of any question that were held at once.
        server_cpu, client_cpu: seconds of processor time of the two processes.
        server_mib: the most memory that the server has held so far.
    """

    objectives: int
    requests: int
    samples: int
    peak: int
    server_cpu: float
    client_cpu: float
    server_mib: float
    seconds: float

    def each(self, total: float) -> float:
        """Per objective."""
        return total / self.objectives if self.objectives else 0.0


@dataclass(frozen=True)
class Evaluation:
    """What a method said of each objective, by its name.

    Attributes:
        asking: the same cost without what is worked out of the numbers, as far as that is known.
        upkeep: what closing a bucket and reading two others again took, if anything is closed.
        kept_bytes: the most that is held in memory of an objective.
    """

    method: str
    readings: Mapping[str, Reading]
    cost: Cost
    note: str = ""
    asking: Cost | None = None
    upkeep: Cost | None = None
    kept_bytes: int = 0


def least(rounds: Sequence[Evaluation]) -> Evaluation:
    """The same, asked several times: what it took at least, as others use the machine too."""
    first = rounds[0]
    asking = [one.asking for one in rounds if one.asking is not None]
    return replace(
        first,
        cost=_least([one.cost for one in rounds]),
        asking=_least(asking) if asking else None,
    )


def _least(costs: Sequence[Cost]) -> Cost:
    return replace(
        costs[0],
        server_cpu=min(one.server_cpu for one in costs),
        client_cpu=min(one.client_cpu for one in costs),
    )


class Method(Protocol):
    """A way of reading budgets."""

    @property
    def name(self) -> str:
        """As in the tables."""
        ...

    def evaluate(
        self, server: Served, month: Month, promises: Sequence[Promise], at: int
    ) -> Evaluation:
        """Budgets and burn rates of all the promises at an instant, in milliseconds."""
        ...


class Meter:
    """Filled in while its block runs; `cost` is for afterwards."""

    def __init__(self, server: Served) -> None:
        # A month of truth in memory would be looked through whenever garbage is collected.
        gc.collect()
        gc.freeze()
        self._server = server
        self.tally = Tally()
        self._server_cpu = server.cpu_seconds()
        self._client_cpu = time.process_time()
        self._begun = time.monotonic()

    def stop(self) -> None:
        """The block is over."""
        gc.unfreeze()
        self._seconds = time.monotonic() - self._begun
        self._client_cpu = time.process_time() - self._client_cpu
        self._server_cpu = self._server.cpu_seconds() - self._server_cpu

    def cost(self, objectives: int) -> Cost:
        """What the block took for so many objectives."""
        return Cost(
            objectives=objectives,
            requests=self.tally.requests,
            samples=self.tally.samples,
            peak=self.tally.peak,
            server_cpu=self._server_cpu,
            client_cpu=self._client_cpu,
            server_mib=self._server.peak_mib(),
            seconds=self._seconds,
        )


@contextmanager
def metered(server: Served) -> Iterator[Meter]:
    """Meters a block: processor time and seconds by itself, requests and samples by its tally."""
    meter = Meter(server)
    try:
        yield meter
    finally:
        meter.stop()

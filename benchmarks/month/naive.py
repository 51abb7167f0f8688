"""What people write: a ratio over the whole window, one over each burn window, each a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_api_client import PrometheusConnect

from benchmarks.month.asking import Client, Tally
from benchmarks.month.data import Month
from benchmarks.month.promises import METRIC, Promise
from benchmarks.month.reading import BURN_WINDOWS, Evaluation, Reading, metered
from benchmarks.month.served import Served


def ratio(promise: Promise, window: str) -> str:
    """`sum(increase(bad)) / sum(increase(total))`, word for word as in a hundred runbooks."""
    return f"sum(increase({promise.bad}[{window}])) / sum(increase({promise.total}[{window}]))"


@dataclass(frozen=True)
class Naive:
    """The ratio of the whole window and of all burn windows, for each objective by itself."""

    name: str = "naive: 30d ratio and 7 burn windows"

    def evaluate(
        self, server: Served, month: Month, promises: Sequence[Promise], at: int
    ) -> Evaluation:
        """Eight requests for each objective."""
        readings = {}
        with metered(server) as meter:
            client = Client(server.url, meter.tally)
            for one in promises:
                whole = client.number(ratio(one, month.window), at)
                burns = {w: client.number(ratio(one, w), at) for w in BURN_WINDOWS}
                readings[one.name] = Reading(whole, burns=burns)
            client.close()
        return Evaluation(self.name, readings, meter.cost(len(promises)))


@dataclass(frozen=True)
class NaiveCounts:
    """How exact `increase` over the whole window is, for any objective.

    A sum of increases is the sum over its series: one question for each service gives all of
    them, so that a thousand objectives need not be asked for one by one. Right as to the answer;
    what it takes is not what a user of the naive query pays.
    """

    name: str = "naive: increase over the window"

    def evaluate(
        self, server: Served, month: Month, promises: Sequence[Promise], at: int
    ) -> Evaluation:
        """One request for each service."""
        by = "instance, method, code"
        readings: dict[str, Reading] = {}
        with metered(server) as meter:
            client = Client(server.url, meter.tally)
            for service in sorted({one.service for one in promises}):
                asked = f'sum by ({by}) (increase({METRIC}{{service="{service}"}}[{month.window}]))'
                rows = client.instant(asked, at)
                for one in promises:
                    if one.service == service:
                        readings[one.name] = _summed(one, service, rows)
            client.close()
        return Evaluation(self.name, readings, meter.cost(len(promises)), "not what a user pays")


def _summed(
    promise: Promise, service: str, rows: Sequence[tuple[Mapping[str, str], float]]
) -> Reading:
    taken = [
        (labels["code"], number)
        for labels, number in rows
        if promise.takes({**labels, "service": service})
    ]
    bad = [number for code, number in taken if promise.is_bad(code)]
    return Reading.counted(sum(bad), sum(number for _, number in taken))


@dataclass(frozen=True)
class Fleet:
    """One request for each objective and burn window, those that ours answers; no budget.

    Attributes:
        library: through prometheus-api-client, else through a bare connection.
    """

    library: bool

    @property
    def name(self) -> str:
        """Says which client."""
        client = "prometheus-api-client" if self.library else "a bare connection"
        return f"one request per SLO and window, {client}"

    def evaluate(
        self, server: Served, month: Month, promises: Sequence[Promise], at: int
    ) -> Evaluation:
        """As many requests as objectives and windows."""
        readings = {}
        with metered(server) as meter:
            ask = self._library(server, meter.tally) if self.library else None
            client = Client(server.url, meter.tally)
            for one in promises:
                burns = {}
                for window in BURN_WINDOWS:
                    query = ratio(one, window)
                    burns[window] = ask(query, at) if ask else client.number(query, at)
                readings[one.name] = Reading(None, burns=burns)
            client.close()
        return Evaluation(self.name, readings, meter.cost(len(promises)))

    def _library(self, server: Served, tally: Tally) -> Callable[[str, int], float | None]:
        """As its users call it; it drops the statistics, so that samples are not known."""
        connection = PrometheusConnect(url=server.url)

        def ask(query: str, at: int) -> float | None:
            rows = connection.custom_query(query, params={"time": f"{at / 1_000:.3f}"})
            tally.requests += 1
            return float(rows[0]["value"][1]) if rows else None

        return ask

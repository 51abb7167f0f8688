"""What tests of measuring share: SLOs, sources, a tally that can be read, one call for one tick."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from penstock.adapters.clock import SystemClock
from penstock.adapters.credentials import TOKEN_FOLDER, CredentialCache
from penstock.adapters.prometheus_query_client import PrometheusQueryClient
from penstock.adapters.source_client import SourceClient
from penstock.adapters.source_pool import SourcePool
from penstock.domain.evidence import Evidence
from penstock.domain.indicator import Indicator
from penstock.domain.metrics_source import Auth, Dialect, Header, MetricsSource, Tls
from penstock.domain.quantities import Duration, Objective
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import Budgeting, Occurrences, Slo, SourceKind
from penstock.domain.source_status import SourceHealth
from penstock.domain.window import RollingWindow, Window
from penstock.engine.budget.direct import Direct
from penstock.engine.ports import Clock, EvidenceRequest
from penstock.errors import NotFound

T = TypeVar("T")
LOOKS = ("5m", "30m")
T = TypeVar("T")
TRIAL = 1  # the request by which a link begins: the server's own time


def slo(
    name: str,
    indicator: Indicator,
    *,
    window: str | Window = "1h",
    objective: str = "99%",
    minimum: int = 0,
    budgeting: Budgeting | None = None,
) -> Slo:
    return Slo(
        ref=ObjectRef("shop", name, f"uid-{name}"),
        generation=1,
        labels={},
        description="",
        objective=Objective.parse(objective),
        window=RollingWindow(Duration.parse(window)) if isinstance(window, str) else window,
        budgeting=budgeting or Occurrences(),
        indicator=indicator,
        source=None,
        minimum_events=minimum,
    )


def inquiry(slo: Slo, looks: Iterable[str] = LOOKS) -> EvidenceRequest:
    return EvidenceRequest(slo, frozenset(Duration.parse(look) for look in looks))


def source(
    url: str,
    *,
    name: str = "default",
    timeout: str = "8s",
    freshness: str = "2m",
    headers: tuple[Header, ...] = (),
    auth: Auth | None = None,
    tls: Tls | None = None,
    kind: SourceKind = SourceKind.METRICS_SOURCE,
    dialect: Dialect = Dialect.PROMETHEUS,
    replica_label: str | None = None,
) -> MetricsSource:
    return MetricsSource(
        ref=ObjectRef("shop", name, f"uid-{name}"),
        generation=1,
        kind=kind,
        url=url,
        auth=auth,
        tls=tls or Tls(),
        headers=headers,
        timeout=Duration.parse(timeout),
        freshness=Duration.parse(freshness),
        dialect=dialect,
        replica_label=replica_label,
    )


class RecordedMetrics:
    """Counts as a tally does, for a test to read."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.samples = 0

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        if name == "penstock_source_requests_total":
            self.requests[labels["outcome"]] += amount
        elif name == "penstock_source_samples_total":
            self.samples += amount

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        raise AssertionError(f"nothing here sets {name}")

    def forget(self, **labels: str) -> None:
        raise AssertionError("nothing here is forgotten")


class Meter:
    """The adapter under test in a loop of its own, one tick at a time.

    ``secrets`` are those of every namespace, by name and key; what is not there is NotFound.
    """

    def __init__(self, clock: Clock | None = None, tokens: Path = TOKEN_FOLDER) -> None:
        self.tally = RecordedMetrics()
        self.secrets: dict[str, dict[str, bytes]] = {}
        self._runner = asyncio.Runner()
        self.clock = clock or SystemClock()
        credentials = CredentialCache(self._secret, self.clock, "penstock-system", tokens)
        self.sources = SourcePool(credentials, self.clock, self.tally)
        self.asker = PrometheusQueryClient(self.sources, self.clock)
        self.metrics = Direct(self.asker)

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        self.sources.close()
        self._runner.close()

    async def _secret(self, namespace: str, name: str) -> dict[str, bytes]:
        if name not in self.secrets:
            raise NotFound(f"Secret {namespace}/{name} is not there")
        return self.secrets[name]

    def look(self, where: MetricsSource) -> SourceHealth:
        """How the source stands."""
        return self._runner.run(self.sources.health(where))

    def link(self, where: MetricsSource) -> SourceClient:
        """The link to a source that can be reached."""
        found = self._runner.run(self.sources.client_for(where))
        assert isinstance(found, SourceClient)
        return found

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        """Wait for something in the loop of the adapter."""
        return self._runner.run(what)

    def all(
        self, where: MetricsSource, slos: Sequence[Slo], at: datetime, looks: Iterable[str] = LOOKS
    ) -> list[Evidence]:
        """Evidence of each SLO, in one tick."""
        requests = [inquiry(slo, looks) for slo in slos]
        found = self._runner.run(self.metrics.measure(where, requests, at))
        assert set(found) == {slo.ref for slo in slos}
        return [found[slo.ref] for slo in slos]

    def one(
        self, where: MetricsSource, of: Slo, at: datetime, looks: Iterable[str] = LOOKS
    ) -> Evidence:
        """Evidence of one SLO."""
        return self.all(where, [of], at, looks)[0]

    def together(
        self, ticks: Sequence[tuple[MetricsSource, Sequence[Slo]]], at: datetime
    ) -> list[tuple[float, list[Evidence]]]:
        """Several sources at the same time: how long each took, and what it found."""

        async def tick(where: MetricsSource, slos: Sequence[Slo]) -> tuple[float, list[Evidence]]:
            loop = asyncio.get_running_loop()
            begun = loop.time()
            found = await self.metrics.measure(where, [inquiry(one) for one in slos], at)
            return loop.time() - begun, [found[one.ref] for one in slos]

        async def all_of_them() -> list[tuple[float, list[Evidence]]]:
            return list(await asyncio.gather(*(tick(*one) for one in ticks)))

        return self._runner.run(all_of_them())

"""What the engine asks a metrics source by: questions that share requests, and what comes back.

The port is small on purpose. What a question means (PromQL, legs, counts) is `promql`'s; how a
source is reached, cut off and spared is the adapter's.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from penstock.domain.evidence import Evidence
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.quantities import Duration
from penstock.domain.source_status import SourceHealth

Series = tuple[Mapping[str, str], tuple[tuple[int, str], ...]]
"""One row of an answer: its labels as the server gave them, and its points.

A point is milliseconds since the epoch, and the number as the server wrote it; there is one for an
instant, and one for each step that has a number for a span. A plain tuple, since thousands are made
in each round.
"""

CIRCUIT_OPEN = "there is a row that was not asked for"

QueryResult = Mapping[str, Sequence[Series]]
"""The rows of one question, by the name of the leg that they are of."""


@dataclass(frozen=True, slots=True)
class QueryRange:
    """Many instants that are asked about at once: start, start + step, ... up to end."""

    start: datetime
    end: datetime
    step: Duration


class BatchableQuery(Protocol):
    """A question, as far as who carries it needs to know."""

    @property
    def key(self) -> Hashable:
        """Identifies its answer among others; a refusal of it is remembered by this."""


Q = TypeVar("Q", bound=BatchableQuery)


class BatchedQuery(Protocol):
    """One query for several questions."""

    @property
    def query(self) -> str:
        """As it is sent."""

    def demultiplex(self, rows: Iterable[Series]) -> Sequence[QueryResult]:
        """The rows of its answer by the question that they answer, in the order of the questions.

        Raises:
            ValueError: there is a row that was not asked for.
        """


@dataclass(frozen=True, slots=True)
class BatchedQueryByLabel:
    """One query whose rows carry in a label which question they answer.

    Attributes:
        names: what stands in that label, in the order of the questions.
        leg: the one leg of each answer.
    """

    query: str
    label: str
    names: Sequence[str]
    leg: str

    def demultiplex(self, rows: Iterable[Series]) -> Sequence[QueryResult]:
        """Implements ``BatchedQuery``."""
        found: dict[str, list[Series]] = {name: [] for name in self.names}
        for row in rows:
            of_one = found.get(row[0].get(self.label, ""))
            if of_one is None:
                raise ValueError(CIRCUIT_OPEN)
            of_one.append(row)
        return [{self.leg: found[name]} for name in self.names]


class QueryBatcher(Protocol[Q]):
    """How questions are put together in one request, and its rows separated again."""

    @property
    def most(self) -> int:
        """More questions than this are never in one request."""

    def cut(self, queries: Sequence[Q], together: int) -> Iterable[Sequence[Q]]:
        """Batches that one request can bear, each of at most ``together`` questions."""

    def batched(self, queries: Sequence[Q]) -> BatchedQuery:
        """One query for all of a batch."""


class QueryClient(Protocol):
    """Asks metrics sources."""

    async def ask(
        self,
        source: MetricsSource,
        groups: Sequence[tuple[QueryBatcher[Q], Sequence[Q]]],
        when: datetime | QueryRange,
    ) -> Mapping[Hashable, QueryResult | Evidence]:
        """For each question, by its key: its rows, or why there are none.

        Never raises for what a server answers or fails to answer. A request that is refused is cut
        in halves, so that one bad question costs no other; one that is answered with warnings does
        not count (Partial).
        """

    async def health(self, source: MetricsSource) -> SourceHealth:
        """How a source stands; it is asked if nobody has asked it for a while."""

    def is_overloaded(self, source: MetricsSource) -> bool:
        """Whether a source has said lately that it has too much to do."""

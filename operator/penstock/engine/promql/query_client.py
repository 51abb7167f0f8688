"""The port through which the engine queries metrics sources: requests share queries.

The port is small on purpose. What a query means (PromQL, ranges, counts) is known in `promql`; how
a source is reached, cut off and spared is known in the adapter.
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
"""One row of an answer: its labels as the server returned them, and its points.

A point is milliseconds since the epoch, and the number as the server wrote it. An instant has one
point, a range one for each step that has a number. It is a plain tuple, since each round creates
thousands.
"""

UNEXPECTED_ROW = "there is a row that was not asked for"

QueryResult = Mapping[str, Sequence[Series]]
"""The rows of one query, by the name of their range."""


@dataclass(frozen=True, slots=True)
class QueryRange:
    """Many instants that are queried at once: start, start + step, ... up to end."""

    start: datetime
    end: datetime
    step: Duration


class BatchableQuery(Protocol):
    """A query, as far as the client needs to know it."""

    @property
    def key(self) -> Hashable:
        """Identifies its answer among others; a rejection is remembered by it."""


Q = TypeVar("Q", bound=BatchableQuery)


class BatchedQuery(Protocol):
    """One PromQL query for several batchable ones."""

    @property
    def query(self) -> str:
        """The text that is sent."""

    def demultiplex(self, rows: Iterable[Series]) -> Sequence[QueryResult]:
        """The rows of its answer, by the query that they answer, in the order of the queries.

        Raises:
            ValueError: there is a row that was not requested.
        """


@dataclass(frozen=True, slots=True)
class BatchedQueryByLabel:
    """One PromQL query whose rows carry in a label which query they answer.

    Attributes:
        names: the values of that label, in the order of the queries.
        leg: the one range of each answer.
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
                raise ValueError(UNEXPECTED_ROW)
            of_one.append(row)
        return [{self.leg: found[name]} for name in self.names]


class QueryBatcher(Protocol[Q]):
    """How queries are combined into one request, and its rows separated again."""

    @property
    def most(self) -> int:
        """One request never has more queries than this."""

    def cut(self, queries: Sequence[Q], together: int) -> Iterable[Sequence[Q]]:
        """Batches that one request can carry, each of at most ``together`` queries."""

    def batched(self, queries: Sequence[Q]) -> BatchedQuery:
        """One query for all of a batch."""


class QueryClient(Protocol):
    """Queries metrics sources."""

    async def ask(
        self,
        source: MetricsSource,
        groups: Sequence[tuple[QueryBatcher[Q], Sequence[Q]]],
        when: datetime | QueryRange,
    ) -> Mapping[Hashable, QueryResult | Evidence]:
        """For each query, by its key: its rows, or why there are none.

        Never raises for what a server answers or fails to answer. A rejected request is split in
        halves, so one bad query costs no other its answer. An answer with warnings does not count
        (Partial).
        """

    async def health(self, source: MetricsSource) -> SourceHealth:
        """The health of a source; it is queried if nobody has queried it for a while."""

    def is_overloaded(self, source: MetricsSource) -> bool:
        """Whether a source has recently reported overload."""

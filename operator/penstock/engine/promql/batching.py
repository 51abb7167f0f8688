"""Combines queries of counts into one PromQL query, and splits its rows again.

One request for each of them would cost forty times as much. Every row carries, in the label
``penstock``, the number of its group and the name of its range. Nothing here talks to a server.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from penstock.domain.metrics_source import Dialect
from penstock.domain.quantities import Duration
from penstock.domain.selector import literal, quoted
from penstock.engine.promql.count_query import CountQuery
from penstock.engine.promql.counting import (
    SelectorFn,
    at_least_its_last,
    exact_increase,
    increase,
    plain_increase,
    promql_duration,
    reading,
    restarts_by_drop,
    restarts_by_resets,
    seconds,
)
from penstock.engine.promql.grouping import QueryGroup, group_queries
from penstock.engine.promql.indicator_query import LABEL, Counter, SeriesRole, SplitByLabel
from penstock.engine.promql.query_client import UNEXPECTED_ROW, BatchedQuery, QueryResult, Series
from penstock.engine.promql.ranges import CountRange, ExactBucket, IncreaseOver

# Long chains are expensive for the server, which hashes their rows again and again.
MOST_QUERIES = 250
MOST_GROUPS = 25
MOST_RANGES = 400
MOST_TEXT = 100_000
_AROUND = 128  # characters of label_replace(...) and of the tree around a range
# How far an instant selector looks back by default, and so how far ahead we look for samples of a
# clock that is wrong.
LOOKBACK_DELTA = "5m"
AGE = "age"
_MOST_KEPT = 16_384

_Asked = tuple[str, str, Mapping[str, Sequence[int]]]
_NOBODY: _Asked = "", "", {}


def name(role: SeriesRole, count_range: CountRange) -> str:
    """The name of the number of one kind of events in one range."""
    return f"{role}{count_range}"


@dataclass(frozen=True)
class CountBatcher:
    """Batches queries about indicators.

    Attributes:
        counts_resets: the server itself counts how often a counter restarted.
        sees_each_restart: it detects each restart of a counter.
    """

    counts_resets: bool = True
    sees_each_restart: bool = True
    most = MOST_QUERIES

    def cut(
        self, count_queries: Sequence[CountQuery], together: int
    ) -> Iterator[Sequence[CountQuery]]:
        """Batches that one request can carry, by number of queries, groups, ranges, characters."""
        batch: list[CountQuery] = []
        load = _QueryCost()
        for group in group_queries(count_queries):
            first, places = _QueryCost(), 0
            for value, index in group:
                if not places:
                    alone = self._query(group_queries([count_queries[index]]))
                    add = first = _QueryCost.of(alone)
                    places = alone.count(quoted(value))
                else:
                    add = _QueryCost(text=places * _width(value))
                if batch and (len(batch) == together or not load.bears(add)):
                    yield batch
                    batch, load, add = [], _QueryCost(), first
                batch.append(count_queries[index])
                load.take(add)
        if batch:
            yield batch

    def batched(self, count_queries: Sequence[CountQuery]) -> BatchedQuery:
        """One PromQL query for all."""
        groups = group_queries(count_queries)
        return _JointUnits(self._query(groups), groups, len(count_queries))

    def _query(self, groups: Sequence[QueryGroup]) -> str:
        expressions: list[str] = []
        closes: dict[tuple[ExactBucket, tuple[str, ...]], list[_CountTerm]] = defaultdict(list)
        for number, group in enumerate(groups):
            texts = group.texts()
            for count_range in sorted(group.ranges, key=str):
                for term in group.indicator_query.terms.of(texts, group.by, count_range):
                    if not isinstance(term, Counter):
                        label = f"{number}{name(term.role, count_range)}"
                        expressions.append(labelled(term.text, label))
                    elif isinstance(count_range, IncreaseOver):
                        counted = _CountTerm(number, count_range, term)
                        expressions.append(counted.alone(group.by, self))
                    else:
                        closes[count_range, group.by].append(_CountTerm(number, count_range, term))
            expressions += _freshness(group, texts, number)
        expressions += [
            _closed(count_range, by, counted, self) for (count_range, by), counted in closes.items()
        ]
        return any_of(expressions)

    def closed(self, read: SelectorFn, by: Sequence[str], count_range: ExactBucket) -> str:
        """The exact counts of a bucket."""
        return exact_increase(
            read,
            by,
            count_range.length,
            count_range.back,
            unseen=count_range.unseen,
            thorough=count_range.thorough,
            restarts=restarts_by_resets if self.counts_resets else restarts_by_drop,
            growth=increase if self.sees_each_restart else at_least_its_last,
        )


def groups(
    count_queries: Sequence[CountQuery], dialect: Dialect
) -> list[tuple[CountBatcher, list[CountQuery]]]:
    """The queries, as they are sent to a source of this dialect."""
    form = CountBatcher(dialect.counts_resets, dialect.sees_each_restart)
    return [(form, list(count_queries))] if count_queries else []


@dataclass(slots=True)
class _QueryCost:
    """The size of a query: groups, ranges, characters."""

    groups: int = 0
    ranges: int = 0
    text: int = 0

    @classmethod
    def of(cls, query: str) -> _QueryCost:
        """The size for a single indicator, the first of its group."""
        return cls(1, query.count(f'"{LABEL}"'), len(query) + query.count("[") * _AROUND)

    def bears(self, more: _QueryCost) -> bool:
        """Whether one request can carry this and more."""
        return (
            self.groups + more.groups <= MOST_GROUPS
            and self.ranges + more.ranges <= MOST_RANGES
            and self.text + more.text <= MOST_TEXT
        )

    def take(self, more: _QueryCost) -> None:
        self.groups += more.groups
        self.ranges += more.ranges
        self.text += more.text


@dataclass(frozen=True, slots=True)
class _CountTerm:
    """The counters of one group in one range."""

    unit: int
    count_range: CountRange
    counter: Counter

    def alone(self, by: Sequence[str], form: CountBatcher) -> str:
        """Their number by its own expression, split last: it has few rows."""
        role = self.counter.role
        inner = [*by, role.label] if isinstance(role, SplitByLabel) else by
        selector, length = self.counter.selector, self.count_range.length
        if isinstance(self.count_range, ExactBucket):
            count_range = self.count_range
            text = form.closed(reading(selector), inner, count_range)
        else:
            text = plain_increase(selector, inner, length)
        named = self.named(text)
        return f"sum by ({', '.join([*by, LABEL])}) ({named})" if inner is not by else named

    def named(self, text: str) -> str:
        """The rows of an expression, with the names of their numbers."""
        role = self.counter.role
        if not isinstance(role, SplitByLabel):
            return labelled(text, self._name(role))
        text = labelled(text, self._name(role.base))
        for pattern, way in role.ways:
            text = labelled(text, self._name(way), role.label, pattern)
        return text

    def _name(self, role: SeriesRole) -> str:
        return f"{self.unit}{name(role, self.count_range)}"


def _closed(
    count_range: ExactBucket, by: tuple[str, ...], counted: Sequence[_CountTerm], form: CountBatcher
) -> str:
    """Exact counts; of several groups by one expression, which queries `up` once for all."""
    if len(counted) == 1:
        return counted[0].alone(by, form)

    def read(function: str, span: str) -> str:
        return any_of([one.named(f"{function}({one.counter.selector}{span})") for one in counted])

    return form.closed(read, [*by, LABEL], count_range)


def _freshness(group: QueryGroup, texts: Sequence[str], number: int) -> Iterator[str]:
    """The age of the newest sample; no row if there was none lately.

    Unlike an instant selector, a range still sees the last samples of a target that is gone:
    these are taken to be half as old as they may be.
    """
    if group.freshness is None or not texts:
        return
    selector = texts[-1]
    ahead = f"timestamp({selector} offset -{LOOKBACK_DELTA})"
    half = seconds(Duration(group.freshness.milliseconds // 2))
    gone = f"present_over_time({selector}[{promql_duration(group.freshness)}]) * (time() - {half})"
    newest = f"max by ({', '.join(group.by)}) ({ahead} or timestamp({selector}) or {gone})"
    yield labelled(f"time() - {newest}", f"{number}{AGE}")


@dataclass(frozen=True, slots=True)
class _JointUnits:
    """One PromQL query for all indicators of some groups.

    Attributes:
        number: how many count queries it answers.
    """

    query: str
    groups: Sequence[QueryGroup]
    number: int

    def demultiplex(self, rows: Iterable[Series]) -> Sequence[QueryResult]:
        answers: list[dict[str, list[Series]]] = [{} for _ in range(self.number)]
        asked = _asked(self.groups)
        for row in rows:
            labels = row[0]
            name, label, members = asked.get(labels.get(LABEL, ""), _NOBODY)
            indices = members.get(labels.get(label, ""))
            if indices is None:
                raise ValueError(UNEXPECTED_ROW)
            for index in indices:
                answers[index].setdefault(name, []).append(row)
        return list(answers)


def _asked(groups: Sequence[QueryGroup]) -> dict[str, _Asked]:
    """Every name that a row may have: its range, and the label that says whose it is."""
    found: dict[str, _Asked] = {}
    for number, group in enumerate(groups):
        for count_range in _names(group):
            text = f"{number}{count_range}"
            if group.by:
                found[text] = count_range, group.by[0], group.members
            else:
                found[text] = count_range, LABEL, {text: [index for _, index in group]}
    return found


def _names(group: QueryGroup) -> set[str]:
    """Every range that may have a row."""
    names = {
        name(role, count_range)
        for role in group.indicator_query.parts
        for count_range in group.ranges
    }
    return names if group.freshness is None else names | {AGE}


@lru_cache(_MOST_KEPT)
def _width(value: str) -> int:
    """Characters of one value in a regular expression."""
    return len(quoted(literal(value)))


def labelled(text: str, label: str, by: str = "", pattern: str = "") -> str:
    """The rows, with that name; with a pattern, only those whose label matches it."""
    return f'label_replace({text}, "{LABEL}", "{label}", {quoted(by)}, {quoted(pattern)})'


def any_of(terms: Sequence[str]) -> str:
    """Rows of all terms. As a tree: a chain of n ``or`` copies and hashes its rows n times over.

    300 terms took 105 ms as a chain and 28 ms as a tree.
    """
    if len(terms) <= 1:
        return "".join(terms)
    half = len(terms) // 2
    return f"({any_of(terms[:half])}\nor {any_of(terms[half:])})"

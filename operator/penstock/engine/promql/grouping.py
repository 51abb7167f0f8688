"""Finds queries that one expression can answer: alike except for the value of one label.

Such a *group* takes as many ranges as a single query: the values become one regular expression,
and the label of each row says whose it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from penstock.domain.quantities import Duration
from penstock.domain.selector import Matcher, Op, literal
from penstock.engine.promql.count_query import CountQuery
from penstock.engine.promql.indicator_query import IndicatorQuery, SharedLabel
from penstock.engine.promql.ranges import CountRange

_Key = tuple[str, int]
"""The form of a query except for one label, and the number of its ranges and freshness."""


@dataclass(slots=True)
class QueryGroup:
    """Queries of the same form, by their index; ``label`` tells them apart."""

    indicator_query: IndicatorQuery
    ranges: frozenset[CountRange]
    freshness: Duration | None
    label: str | None = None
    members: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    @property
    def by(self) -> tuple[str, ...]:
        """The labels by which its rows must be grouped: none if there is only one value."""
        return (self.label,) if self.label is not None and len(self.members) > 1 else ()

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Each member's value of the label, and its index."""
        return ((value, index) for value, indices in self.members.items() for index in indices)

    def texts(self) -> list[str]:
        """The selectors, for the values of all members."""
        if not self.by or self.label is None:
            return [selector.text for selector in self.indicator_query.selectors]
        values = "|".join(literal(value) for value in sorted(self.members))
        together = Matcher(self.label, Op.LIKE, values)
        return [selector.but(together).text for selector in self.indicator_query.selectors]


def group_queries(count_queries: Sequence[CountQuery]) -> list[QueryGroup]:
    """The fewest groups that are easily found, in the order of their first queries."""
    alike: dict[Hashable, int] = {}
    kinds = [
        alike.setdefault((count_query.ranges, count_query.freshness), len(alike))
        for count_query in count_queries
    ]
    groups: dict[_Key, set[str]] = defaultdict(set)
    for asked, kind in zip(count_queries, kinds, strict=True):
        for shared_label in asked.indicator_query.shared_labels:
            groups[shared_label.shape, kind].add(shared_label.value)
    found: dict[_Key, QueryGroup] = {}
    for index, (asked, kind) in enumerate(zip(count_queries, kinds, strict=True)):
        indicator_query = asked.indicator_query
        label, value, shape = _widest(indicator_query, kind, groups) or (
            None,
            "",
            indicator_query.shape,
        )
        group = found.get((shape, kind))
        if group is None:
            group = found[shape, kind] = QueryGroup(
                indicator_query, asked.ranges, asked.freshness, label
            )
        group.members[value].append(index)
    return list(found.values())


def _widest(
    indicator_query: IndicatorQuery, kind: int, groups: Mapping[_Key, set[str]]
) -> SharedLabel | None:
    """The label that the query shares with most others; the first, if there are several."""
    widest, most = None, 1
    for shared_label in indicator_query.shared_labels:
        number = len(groups[shared_label.shape, kind])
        if number > most:
            widest, most = shared_label, number
    return widest

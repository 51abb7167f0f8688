"""Finds questions that one expression can ask: alike but for the value of one label.

Such a *unit* takes as many legs as a single question: the values become one regular expression, and
each row says by the label whose it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from penstock.domain.quantities import Duration
from penstock.domain.selector import Matcher, Op, literal
from penstock.engine.promql.legs import Leg
from penstock.engine.promql.measure import Hole, Measure
from penstock.engine.promql.question import Question

_Key = tuple[str, int]
"""How a question is asked but for one label, and the number of its legs and freshness."""


@dataclass(slots=True)
class Unit:
    """Questions that are asked alike, by their place among all; ``label`` tells them apart."""

    measure: Measure
    legs: frozenset[Leg]
    freshness: Duration | None
    label: str | None = None
    members: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    @property
    def by(self) -> tuple[str, ...]:
        """The labels that its rows must be grouped by: none, if one value is all there is."""
        return (self.label,) if self.label is not None and len(self.members) > 1 else ()

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Each member's value of the label, and its place."""
        return ((value, index) for value, indices in self.members.items() for index in indices)

    def texts(self) -> list[str]:
        """The selectors, for the values of all members."""
        if not self.by or self.label is None:
            return [selector.text for selector in self.measure.selectors]
        values = "|".join(literal(value) for value in sorted(self.members))
        together = Matcher(self.label, Op.LIKE, values)
        return [selector.but(together).text for selector in self.measure.selectors]


def units_of(questions: Sequence[Question]) -> list[Unit]:
    """The fewest units that are easily found, in the order of their first questions."""
    alike: dict[Hashable, int] = {}
    kinds = [alike.setdefault((one.legs, one.freshness), len(alike)) for one in questions]
    company: dict[_Key, set[str]] = defaultdict(set)
    for asked, kind in zip(questions, kinds, strict=True):
        for hole in asked.measure.holes:
            company[hole.shape, kind].add(hole.value)
    found: dict[_Key, Unit] = {}
    for index, (asked, kind) in enumerate(zip(questions, kinds, strict=True)):
        measure = asked.measure
        label, value, shape = _widest(measure, kind, company) or (None, "", measure.shape)
        unit = found.get((shape, kind))
        if unit is None:
            unit = found[shape, kind] = Unit(measure, asked.legs, asked.freshness, label)
        unit.members[value].append(index)
    return list(found.values())


def _widest(measure: Measure, kind: int, company: Mapping[_Key, set[str]]) -> Hole | None:
    """The label that the question shares with most others; the first, of several."""
    widest, most = None, 1
    for hole in measure.holes:
        number = len(company[hole.shape, kind])
        if number > most:
            widest, most = hole, number
    return widest

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
from penstock.engine.promql.measure import Hole, Measure, measure_of
from penstock.engine.promql.question import Leg, Question


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

    def whose(self, labels: Mapping[str, str]) -> Sequence[int]:
        """The members that a row with these labels answers."""
        if self.by:
            return self.members.get(labels.get(self.by[0], ""), [])
        return [index for _, index in self]

    def texts(self) -> list[str]:
        """The selectors, for the values of all members."""
        if not self.by or self.label is None:
            return [selector.text for selector in self.measure.selectors]
        values = "|".join(literal(value) for value in sorted(self.members))
        together = Matcher(self.label, Op.LIKE, values)
        return [selector.but(together).text for selector in self.measure.selectors]


def units_of(questions: Sequence[Question]) -> list[Unit]:
    """The fewest units that are easily found, in the order of their first questions."""
    measures = [measure_of(asked.indicator) for asked in questions]
    company: dict[Hashable, set[str]] = defaultdict(set)
    for asked, measure in zip(questions, measures, strict=True):
        for hole in measure.holes:
            company[_key(asked, hole.shape)].add(hole.value)
    found: dict[Hashable, Unit] = {}
    for index, (asked, measure) in enumerate(zip(questions, measures, strict=True)):
        widest = _widest(asked, measure, company)
        label, value, shape = (
            (widest.label, widest.value, widest.shape) if widest else (None, "", measure.shape)
        )
        unit = found.setdefault(
            _key(asked, shape), Unit(measure, asked.legs, asked.freshness, label)
        )
        unit.members[value].append(index)
    return list(found.values())


def _widest(asked: Question, measure: Measure, company: dict[Hashable, set[str]]) -> Hole | None:
    """The label that the question shares with most others; the first, of several."""
    if not measure.holes:
        return None
    widest = max(measure.holes, key=lambda hole: len(company[_key(asked, hole.shape)]))
    return widest if len(company[_key(asked, widest.shape)]) > 1 else None


def _key(asked: Question, shape: str) -> Hashable:
    return shape, asked.legs, asked.freshness

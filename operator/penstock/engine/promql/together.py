"""Puts questions together in one query, and tells its rows apart again.

A request for each question would cost forty times as much. Every row carries, in the label
``penstock``, the number of its unit and the name of its leg. Nothing here talks to a server.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from penstock.domain.metrics_source import Dialect
from penstock.domain.quantities import Duration
from penstock.domain.selector import literal, quoted
from penstock.engine.asking import NOT_ASKED, Answer, Joint, Row
from penstock.engine.closing import (
    Read,
    at_least_its_last,
    by_fall,
    by_resets,
    exact,
    increase,
    plain,
    reading,
    seconds,
    written,
)
from penstock.engine.promql.legs import Close, Leg, Look
from penstock.engine.promql.measure import LABEL, Counter, Part, Split
from penstock.engine.promql.question import Question
from penstock.engine.promql.units import Unit, units_of

# Long chains are dear for the server, which hashes their rows again and again.
MOST_QUESTIONS = 250
MOST_UNITS = 25
MOST_LEGS = 400
MOST_TEXT = 100_000
_AROUND = 128  # characters of label_replace(...) and of the tree around what is read
# How far an instant selector looks back by default, and so how far ahead we look for samples of a
# clock that is wrong.
LOOK_BACK = "5m"
AGE = "age"
_MOST_KEPT = 16_384

_Asked = tuple[str, str, Mapping[str, Sequence[int]]]
_NOBODY: _Asked = "", "", {}


def name(part: Part, leg: Leg) -> str:
    """The name of the number of one kind of events in one leg."""
    return f"{part}{leg}"


@dataclass(frozen=True)
class Together:
    """The form of all questions about indicators.

    Attributes:
        counts_resets: the server counts itself how often a counter restarted.
        sees_each_restart: it sees each time that one did.
    """

    counts_resets: bool = True
    sees_each_restart: bool = True
    most = MOST_QUESTIONS

    def cut(self, questions: Sequence[Question], together: int) -> Iterator[Sequence[Question]]:
        """Batches that one request can bear: in questions, units, legs and characters."""
        batch: list[Question] = []
        load = _Load()
        for unit in units_of(questions):
            first, places = _Load(), 0
            for value, index in unit:
                if not places:
                    alone = self._query(units_of([questions[index]]))
                    add = first = _Load.of(alone)
                    places = alone.count(quoted(value))
                else:
                    add = _Load(text=places * _width(value))
                if batch and (len(batch) == together or not load.bears(add)):
                    yield batch
                    batch, load, add = [], _Load(), first
                batch.append(questions[index])
                load.take(add)
        if batch:
            yield batch

    def joint(self, questions: Sequence[Question]) -> Joint:
        """One query for all."""
        units = units_of(questions)
        return _JointUnits(self._query(units), units, len(questions))

    def _query(self, units: Sequence[Unit]) -> str:
        expressions: list[str] = []
        closes: dict[tuple[Close, tuple[str, ...]], list[_Counted]] = defaultdict(list)
        for number, unit in enumerate(units):
            texts = unit.texts()
            for leg in sorted(unit.legs, key=str):
                for term in unit.measure.terms.of(texts, unit.by, leg):
                    if not isinstance(term, Counter):
                        label = f"{number}{name(term.part, leg)}"
                        expressions.append(labelled(term.text, label))
                    elif isinstance(leg, Look):
                        counted = _Counted(number, leg, term)
                        expressions.append(counted.alone(unit.by, self))
                    else:
                        closes[leg, unit.by].append(_Counted(number, leg, term))
            expressions += _freshness(unit, texts, number)
        expressions += [_closed(leg, by, counted, self) for (leg, by), counted in closes.items()]
        return any_of(expressions)

    def closed(self, read: Read, by: Sequence[str], leg: Close) -> str:
        """The exact counts of a bucket."""
        return exact(
            read,
            by,
            leg.length,
            leg.back,
            unseen=leg.unseen,
            thorough=leg.thorough,
            restarts=by_resets if self.counts_resets else by_fall,
            growth=increase if self.sees_each_restart else at_least_its_last,
        )


def groups(
    questions: Sequence[Question], dialect: Dialect
) -> list[tuple[Together, list[Question]]]:
    """The questions as a source is asked them."""
    form = Together(dialect.counts_resets, dialect.sees_each_restart)
    return [(form, list(questions))] if questions else []


@dataclass(slots=True)
class _Load:
    """What a query weighs: units, legs, characters."""

    units: int = 0
    legs: int = 0
    text: int = 0

    @classmethod
    def of(cls, query: str) -> _Load:
        """Of the query of one question: the first of its unit."""
        return cls(1, query.count(f'"{LABEL}"'), len(query) + query.count("[") * _AROUND)

    def bears(self, more: _Load) -> bool:
        """Whether one request can have this and more."""
        return (
            self.units + more.units <= MOST_UNITS
            and self.legs + more.legs <= MOST_LEGS
            and self.text + more.text <= MOST_TEXT
        )

    def take(self, more: _Load) -> None:
        self.units += more.units
        self.legs += more.legs
        self.text += more.text


@dataclass(frozen=True, slots=True)
class _Counted:
    """The counters of one unit in one leg."""

    unit: int
    leg: Leg
    counter: Counter

    def alone(self, by: Sequence[str], form: Together) -> str:
        """Their number by an expression of their own, separated last: of few rows."""
        part = self.counter.part
        inner = [*by, part.label] if isinstance(part, Split) else by
        selector, length = self.counter.selector, self.leg.length
        if isinstance(self.leg, Close):
            leg = self.leg
            text = form.closed(reading(selector), inner, leg)
        else:
            text = plain(selector, inner, length)
        named = self.named(text)
        return f"sum by ({', '.join([*by, LABEL])}) ({named})" if inner is not by else named

    def named(self, text: str) -> str:
        """The rows of an expression, with the names of what they are."""
        part = self.counter.part
        if not isinstance(part, Split):
            return labelled(text, self._name(part))
        text = labelled(text, self._name(part.base))
        for pattern, way in part.ways:
            text = labelled(text, self._name(way), part.label, pattern)
        return text

    def _name(self, part: Part) -> str:
        return f"{self.unit}{name(part, self.leg)}"


def _closed(leg: Close, by: tuple[str, ...], counted: Sequence[_Counted], form: Together) -> str:
    """Exact counts; of several units by one expression, whose look at `up` serves them all."""
    if len(counted) == 1:
        return counted[0].alone(by, form)

    def read(function: str, span: str) -> str:
        return any_of([one.named(f"{function}({one.counter.selector}{span})") for one in counted])

    return form.closed(read, [*by, LABEL], leg)


def _freshness(unit: Unit, texts: Sequence[str], number: int) -> Iterator[str]:
    """How old the newest sample is; no row where none was seen lately.

    Unlike an instant selector, a range still sees the last samples of a target that is gone: these
    are taken to be half as old as they may be.
    """
    if unit.freshness is None or not texts:
        return
    selector = texts[-1]
    ahead = f"timestamp({selector} offset -{LOOK_BACK})"
    half = seconds(Duration(unit.freshness.milliseconds // 2))
    gone = f"present_over_time({selector}[{written(unit.freshness)}]) * (time() - {half})"
    newest = f"max by ({', '.join(unit.by)}) ({ahead} or timestamp({selector}) or {gone})"
    yield labelled(f"time() - {newest}", f"{number}{AGE}")


@dataclass(frozen=True, slots=True)
class _JointUnits:
    """One query for all questions of some units.

    Attributes:
        number: of the questions.
    """

    query: str
    units: Sequence[Unit]
    number: int

    def told_apart(self, rows: Iterable[Row]) -> Sequence[Answer]:
        answers: list[dict[str, list[Row]]] = [{} for _ in range(self.number)]
        asked = _asked(self.units)
        for row in rows:
            labels = row[0]
            name, label, members = asked.get(labels.get(LABEL, ""), _NOBODY)
            indices = members.get(labels.get(label, ""))
            if indices is None:
                raise ValueError(NOT_ASKED)
            for index in indices:
                answers[index].setdefault(name, []).append(row)
        return list(answers)


def _asked(units: Sequence[Unit]) -> dict[str, _Asked]:
    """Every name that a row may have: its leg, and the label that says whose it is."""
    found: dict[str, _Asked] = {}
    for number, unit in enumerate(units):
        for leg in _names(unit):
            text = f"{number}{leg}"
            if unit.by:
                found[text] = leg, unit.by[0], unit.members
            else:
                found[text] = leg, LABEL, {text: [index for _, index in unit]}
    return found


def _names(unit: Unit) -> set[str]:
    """Every leg that there may be a row of."""
    names = {name(part, leg) for part in unit.measure.parts for leg in unit.legs}
    return names if unit.freshness is None else names | {AGE}


@lru_cache(_MOST_KEPT)
def _width(value: str) -> int:
    """Characters of one value in a regular expression."""
    return len(quoted(literal(value)))


def labelled(text: str, label: str, by: str = "", pattern: str = "") -> str:
    """The rows, with that name; only those whose label has that pattern, if there is one."""
    return f'label_replace({text}, "{LABEL}", "{label}", {quoted(by)}, {quoted(pattern)})'


def any_of(terms: Sequence[str]) -> str:
    """Rows of all terms. As a tree: a chain of n ``or`` copies and hashes its rows n times over.

    300 terms took 105 ms as a chain and 28 ms as a tree.
    """
    if len(terms) <= 1:
        return "".join(terms)
    half = len(terms) // 2
    return f"({any_of(terms[:half])}\nor {any_of(terms[half:])})"

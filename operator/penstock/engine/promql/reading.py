"""Reads the answer to a question as counts to be relied on, or as evidence why there are none.

Whatever a server sends, nothing here raises, and no comparison is made with what is no number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from penstock.domain.evidence import Count, Evidence, Kind
from penstock.domain.indicator import (
    Counted,
    Indicator,
    LatencyIndicator,
)
from penstock.domain.quantities import ONE, Duration, plain
from penstock.engine.asking import Answer
from penstock.engine.promql.borders import no_bucket
from penstock.engine.promql.legs import Leg, Look
from penstock.engine.promql.measure import Measure, Part
from penstock.engine.promql.question import Counts, Question
from penstock.engine.promql.together import AGE, name

# Two selectors may be scraped a moment apart, so one may be ahead of the other by this much.
SLACK_SHARE = Decimal("0.01")
SLACK_EVENTS = Decimal(1)
CLOCK_TOLERANCE = Decimal(30)
_LARGEST = Decimal(10) ** 15
_FINEST = Decimal("1e-9")
_NONE = Decimal(0)
_DIGITS = 15  # so many are fewer than _LARGEST
_MOST_KEPT = 1_024

_NO_SHARE = "NaN"  # what 0/0 gives: there was nothing to have a share of

Found = Mapping[Leg, Mapping[int, Count]]
Texts = Mapping[Part, Sequence[str]]
Names = Sequence[tuple[Part, str]]


class _Unusable(Exception):
    """A number is there that cannot be used."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence.detail)
        self.evidence = evidence


def counts(question: Question, answer: Answer) -> Counts | Evidence:
    """What the rows of one question say.

    A time with a number that cannot be used is left out like one without data, as long as another
    has a count; of a single instant it is evidence.
    """
    measure = question.measure
    found: dict[Leg, dict[int, Count]] = {}
    spoilt: dict[int, Evidence] = {}
    without_events = set()
    for leg, names in _names(measure.parts, question.legs):
        counted = found[leg] = {}
        for at, texts in _times(names, answer).items():
            numbers = _Numbers(measure, leg, texts)
            try:
                count = numbers.count()
                if count is not None and numbers.lack_events:
                    _check_bucket(question.indicator)
                    without_events.add(leg)
            except _Unusable as unusable:
                spoilt.setdefault(at, unusable.evidence)
                continue
            if count is not None:
                counted[at] = count
    for at in spoilt:
        for times in found.values():
            times.pop(at, None)
    if spoilt and not any(found.values()):
        return next(iter(spoilt.values()))
    return _age_trouble(question, answer, found) or Counts(found, frozenset(without_events))


def _check_bucket(indicator: Indicator) -> None:
    """All buckets of a histogram are born together, so none is missing but one that never was."""
    if isinstance(indicator, LatencyIndicator) and indicator.is_classic:
        raise _Unusable(no_bucket(indicator))


@lru_cache(_MOST_KEPT)
def _names(parts: frozenset[Part], legs: frozenset[Leg]) -> Sequence[tuple[Leg, Names]]:
    """The names of all numbers, the longest leg first."""
    longest_first = sorted(legs, key=lambda leg: (leg.length, str(leg)), reverse=True)
    return [(leg, [(part, name(part, leg)) for part in parts]) for leg in longest_first]


def _times(names: Names, answer: Answer) -> Mapping[int, Texts]:
    """The numbers of a leg, by time."""
    found: dict[int, dict[Part, list[str]]] = {}
    for part, wanted in names:
        for row in answer.get(wanted, ()):
            for at, text in row.points:
                texts = found.get(at)
                if texts is None:
                    found[at] = {part: [text]}
                else:
                    texts.setdefault(part, []).append(text)
    return found


def _unusable(kind: Kind, detail: str) -> _Unusable:
    return _Unusable(Evidence(kind, detail))


@dataclass(slots=True)
class _Numbers:
    """What there is of one leg at one time."""

    measure: Measure
    leg: Leg
    texts: Texts

    @property
    def lack_events(self) -> bool:
        """Whether there is no series of the events that are counted."""
        return not self.texts.get(Part.EVENTS)

    def count(self) -> Count | None:
        """Bad and all events; None where there are none to count.

        Raises:
            _Unusable: a number is none, or not what it should be.
        """
        parts = self.measure.parts
        if Part.TOTAL in parts or Part.SHARE in parts:
            total = self._total()
            events = None if total is None else self._events(total)
        else:
            events = self._one(Part.EVENTS)
            total = _sum(events, self._one(Part.OTHERS))
        if self._one(Part.STRAYS):
            raise _unusable(
                Kind.MALFORMED,
                f"{self.measure.field} was neither 0 nor 1 in the last {self.leg.length}",
            )
        if total is None:
            return None
        events = events or _NONE
        if events > total:
            self._check_slack(events, total)
            events = total
        return Count(events if self.measure.counted is Counted.BAD else total - events, total)

    def _check_slack(self, events: Decimal, total: Decimal) -> None:
        """Whether a series is new is told apart for each: of a closed bucket one may be ahead."""
        if isinstance(self.leg, Look) and events > total + max(SLACK_EVENTS, SLACK_SHARE * total):
            raise _unusable(
                Kind.MALFORMED,
                f"{plain(events)} {self.measure.counted} events of {plain(total)} in the last "
                f"{self.leg.length}: does total count them too?",
            )

    def _total(self) -> Decimal | None:
        """All events. A ratio that is nobody's events is taken for a share of one."""
        if Part.TOTAL in self.measure.parts:
            return self._one(Part.TOTAL)
        return None if self._one(Part.SHARE) is None else ONE

    def _events(self, total: Decimal) -> Decimal:
        if Part.SHARE in self.measure.parts:
            return (total * (self._one(Part.SHARE) or _NONE)).quantize(_FINEST)
        return self._one(Part.EVENTS) or _NONE

    def _one(self, part: Part) -> Decimal | None:
        texts = self.texts.get(part)
        return None if texts is None else self._number(part, texts)

    def _number(self, part: Part, texts: Sequence[str]) -> Decimal | None:
        if part is not Part.SHARE:
            return _one(texts, lambda: self._name(part), _NONE)
        number = (
            None if list(texts) == [_NO_SHARE] else _one(texts, lambda: self._name(part), _NONE)
        )
        if number is not None and number > ONE:
            raise _unusable(
                Kind.MALFORMED, f"{self._name(part)} is {plain(number)}, which is no share"
            )
        return number

    def _name(self, part: Part) -> str:
        counted = self.measure.counted
        other = Counted.GOOD if counted is Counted.BAD else Counted.BAD
        share = f"the share of {counted} events"
        names = {Part.EVENTS: str(counted), Part.OTHERS: str(other), Part.SHARE: share}
        return f"{names.get(part, 'total')} in the last {self.leg.length}"


def _sum(events: Decimal | None, others: Decimal | None) -> Decimal | None:
    """Either may have no series; without any there is no number."""
    if events is None or others is None:
        return others if events is None else events
    return events + others


def _age_trouble(question: Question, answer: Answer, found: Found) -> Evidence | None:
    """Why data is too old, from the future, or not there; None if it is good, or nobody asked."""
    if question.freshness is None:
        return None
    measure = question.measure
    longest = max(question.legs, key=lambda leg: leg.length)
    try:
        age = _age(answer)
        # An author's own expression has no series whose age could be told.
        if not found[longest] and not (question.remembered and measure.selectors):
            is_fresh = age is not None and age <= question.freshness.seconds
            _is_absent(measure, longest.length, is_fresh=is_fresh)
        if measure.selectors:
            _check_age(age, question.freshness)
    except _Unusable as unusable:
        return unusable.evidence
    return None


def _is_absent(measure: Measure, longest: Duration, *, is_fresh: bool) -> None:
    if not measure.selectors:
        raise _unusable(Kind.ABSENT, f"{measure.field} gives no number for the last {longest}")
    if is_fresh:
        raise _unusable(
            Kind.ABSENT, f"{measure.field} has a single sample so far; a count needs two"
        )
    raise _unusable(Kind.ABSENT, f"no series matches {measure.field} in the last {longest}")


def _age(answer: Answer) -> Decimal | None:
    texts = [text for row in answer.get(AGE, ()) for _, text in row.points]
    return _one(texts, lambda: "the age of the newest sample", -_LARGEST)


def _check_age(age: Decimal | None, fresh: Duration) -> None:
    if age is None:
        raise _unusable(Kind.STALE, f"no new sample for more than {fresh} (freshness)")
    if age < -CLOCK_TOLERANCE:
        raise _unusable(
            Kind.STALE,
            f"the newest sample is {_roughly(-age)} in the future: a clock is wrong, ours or "
            "that of the metrics",
        )
    if age > fresh.seconds:
        raise _unusable(
            Kind.STALE, f"the newest sample is {_roughly(age)} old, more than {fresh} (freshness)"
        )


def _one(texts: Sequence[str], what: Callable[[], str], least: Decimal) -> Decimal | None:
    if not texts:
        return None
    if len(texts) > 1:
        detail = f"{len(texts)} series for {what()}, where one is needed"
        raise _unusable(Kind.AMBIGUOUS, detail)
    number = _number(texts[0])
    if number is None or number < least:
        raise _unusable(Kind.MALFORMED, f'{what()} is "{texts[0][:32]}", which is no count')
    return number


def _number(text: str) -> Decimal | None:
    """A finite number of a size that can happen, without the noise of binary fractions."""
    if text.isdecimal() and len(text) <= _DIGITS:
        return Decimal(text)
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if not number.is_finite() or abs(number) > _LARGEST:
        return None
    return number.quantize(_FINEST) + 0


def _roughly(seconds: Decimal) -> str:
    """Whole minutes from one minute on, so that the sentence does not change at every look."""
    whole = int(seconds)
    return str(Duration.of_seconds(whole if whole < 60 else whole // 60 * 60))

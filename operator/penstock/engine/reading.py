"""Reads the answer to a question as evidence: numbers that can be relied on, or why there are none.

Whatever a server sends, nothing here raises, and no comparison is made with what is no number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

from penstock.domain.evidence import Count, Evidence, Kind, Reading, judged
from penstock.domain.indicator import Counted, RatioIndicator
from penstock.domain.quantities import Duration, plain
from penstock.domain.window import length
from penstock.engine.promql.together import AGE, SEEN, Part, Question, leg

# Two selectors may be scraped a moment apart, so one may be ahead of the other by this much.
SLACK_SHARE = Decimal("0.01")
SLACK_EVENTS = Decimal(1)
CLOCK_TOLERANCE = Decimal(30)
_LARGEST = Decimal(10) ** 15
_FINEST = Decimal("1e-9")
_NONE = Decimal(0)
_ROW = re.compile("([0-9]{1,4})([a-z]+[0-9]*)", re.ASCII)

# The texts of the rows that came for one question, by the name of their leg.
Answer = Mapping[str, Sequence[str]]


class _Unusable(Exception):
    """A number is there that cannot be used."""

    def __init__(self, kind: Kind, detail: str) -> None:
        super().__init__(detail)
        self.evidence = Evidence(kind, detail)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The legs of one question as exact numbers."""

    question: Question
    answer: Answer

    @property
    def counted(self) -> Counted:
        indicator = self.question.inquiry.slo.indicator
        return indicator.counted if isinstance(indicator, RatioIndicator) else Counted.BAD

    def whole(self) -> Count:
        """Events in the SLO's whole window."""
        back = self.question.window
        total = self._events(Part.TOTAL, back)
        if total is None:
            raise _Unusable(Kind.ABSENT, self._nothing())
        if self._lacks_good(total):
            raise _Unusable(
                Kind.ABSENT,
                f"there are {plain(total.quantize(Decimal(1)))} events in the last {back}, but no "
                "series matches spec.indicator.ratio.good",
            )
        return self._count(back, total)

    def look(self, back: Duration) -> Count | None:
        """Events in a shorter look back; None where there are not two samples in it."""
        total = self._events(Part.TOTAL, back)
        return None if total is None else self._count(back, total)

    def check_age(self) -> None:
        """Refuse data that is too old, or from the future."""
        age = self._one(AGE, "the age of the newest sample", least=-_LARGEST)
        if age is not None and age < -CLOCK_TOLERANCE:
            raise _Unusable(
                Kind.STALE,
                f"the newest sample is {_roughly(-age)} in the future: a clock is wrong, ours or "
                "that of the metrics",
            )
        if self._one(SEEN, "the number of series", least=_NONE):
            return
        fresh = self.question.freshness
        if age is None or age <= fresh.seconds:
            raise _Unusable(Kind.STALE, f"no new sample for more than {fresh} (freshness)")
        raise _Unusable(
            Kind.STALE, f"the newest sample is {_roughly(age)} old, more than {fresh} (freshness)"
        )

    def _nothing(self) -> str:
        if self._one(SEEN, "the number of series", least=_NONE):
            return "spec.indicator.ratio.total has a single sample so far; a count needs two"
        return f"no series matches spec.indicator.ratio.total in the last {self.question.window}"

    def _lacks_good(self, total: Decimal) -> bool:
        """Good events that never happened look like a selector with a slip of the pen.

        Bad ones that never happened are the rule, and are 0.
        """
        events = self._events(Part.EVENTS, self.question.window)
        return self.counted is Counted.GOOD and events is None and total > 0

    def _count(self, back: Duration, total: Decimal) -> Count:
        events = self._events(Part.EVENTS, back) or _NONE
        if events - total > max(SLACK_EVENTS, SLACK_SHARE * total):
            raise _Unusable(
                Kind.MALFORMED,
                f"{plain(events)} {self.counted} events of {plain(total)} in the last {back}: does "
                "total count them too?",
            )
        events = min(events, total)
        bad = events if self.counted is Counted.BAD else total - events
        return Count(bad, total)

    def _events(self, part: Part, back: Duration) -> Decimal | None:
        what = "total" if part is Part.TOTAL else str(self.counted)
        return self._one(leg(part, back), f"{what} in the last {back}", least=_NONE)

    def _one(self, name: str, what: str, least: Decimal) -> Decimal | None:
        texts = self.answer.get(name, ())
        if not texts:
            return None
        if len(texts) > 1:
            raise _Unusable(Kind.AMBIGUOUS, f"{len(texts)} series for {what}, where one is needed")
        number = _number(texts[0])
        if number is None or number < least:
            raise _Unusable(Kind.MALFORMED, f'{what} is "{texts[0][:32]}", which is no count')
        return number


def told_apart(questions: Sequence[Question], rows: Iterable[tuple[str, str]]) -> list[Answer]:
    """The rows of a batch, given as label and number, by the question that they answer.

    Raises:
        ValueError: there is a row that was not asked for.
    """
    answers: list[dict[str, list[str]]] = [{} for _ in questions]
    for label, text in rows:
        found = _ROW.fullmatch(label)
        if found is None or int(found[1]) >= len(answers):
            raise ValueError("there is a row that was not asked for")
        answers[int(found[1])].setdefault(found[2], []).append(text)
    return list(answers)


def evidence(question: Question, answer: Answer, at: datetime) -> Evidence:
    """What the rows of one question say."""
    numbers = _Numbers(question, answer)
    try:
        whole = numbers.whole()
        looks = {back: numbers.look(back) for back in question.inquiry.looks}
        numbers.check_age()
    except _Unusable as unusable:
        return unusable.evidence
    slo = question.inquiry.slo
    reading = Reading(
        at=at,
        objective=slo.objective,
        window=length(slo.window, at),
        whole=whole,
        looks={back: count for back, count in looks.items() if count is not None},
    )
    return judged(reading, slo.minimum_events)


def _number(text: str) -> Decimal | None:
    """A finite number of a size that can happen, without the noise of binary fractions."""
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

"""Reads the answer to a count query as reliable counts, or as evidence of why there are none.

Whatever a server sends, nothing here raises, and nothing that is not a number is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from penstock.domain.evidence import EventCounts, Evidence, EvidenceKind
from penstock.domain.indicator import (
    CountedEvents,
    Indicator,
    LatencyIndicator,
)
from penstock.domain.quantities import ONE, Duration, plain
from penstock.engine.promql.batching import AGE, name
from penstock.engine.promql.count_query import CountQuery, Counts
from penstock.engine.promql.histogram_buckets import no_bucket
from penstock.engine.promql.indicator_query import IndicatorQuery, SeriesRole
from penstock.engine.promql.query_client import QueryResult
from penstock.engine.promql.ranges import CountRange, IncreaseOver

# Two selectors may be scraped a moment apart, so one may be ahead of the other by this much.
SLACK_SHARE = Decimal("0.01")
SLACK_EVENTS = Decimal(1)
CLOCK_TOLERANCE = Decimal(30)
_LARGEST = Decimal(10) ** 15
_FINEST = Decimal("1e-9")
_NONE = Decimal(0)
_DIGITS = 15  # a number with this few digits is below _LARGEST
_MOST_KEPT = 1_024

# Looking up a member of an enum takes as long as four of these, and it is done for every number.
_EVENTS, _OTHERS, _TOTAL, _SHARE, _STRAYS = SeriesRole

_NO_SHARE = "NaN"  # the result of 0/0: there were no events to take a share of

Found = Mapping[CountRange, Mapping[int, EventCounts]]  # the longest range first
Texts = Mapping[SeriesRole, Sequence[str]]
Numbers = Mapping[SeriesRole, Decimal | None]
Names = Sequence[tuple[SeriesRole, str]]


class _Unusable(Exception):
    """There is a number that cannot be used."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence.detail)
        self.evidence = evidence


def decode_counts(count_query: CountQuery, answer: QueryResult) -> Counts | Evidence:
    """What the rows of one count query say.

    A time with an unusable number is left out like one without data, as long as another time has
    a count; for a single instant it is evidence.
    """
    indicator_query = count_query.indicator_query
    found: dict[CountRange, dict[int, EventCounts]] = {}
    spoilt: dict[int, Evidence] = {}
    without_events = set()
    for count_range, names in _names(indicator_query.parts, count_query.ranges):
        counted = found[count_range] = {}
        for at, texts in _times(names, answer).items():
            try:
                count = _count(indicator_query, count_range, texts)
                if count is not None and _EVENTS not in texts:
                    _check_bucket(indicator_query.indicator)
                    without_events.add(count_range)
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
    return _age_trouble(count_query, answer, found) or Counts(found, frozenset(without_events))


def _check_bucket(indicator: Indicator) -> None:
    """Raise if a bucket never existed: all buckets of a histogram begin together."""
    if isinstance(indicator, LatencyIndicator) and indicator.is_classic:
        raise _Unusable(no_bucket(indicator))


@lru_cache(_MOST_KEPT)
def _names(
    parts: frozenset[SeriesRole], ranges: frozenset[CountRange]
) -> Sequence[tuple[CountRange, Names]]:
    """The names of all numbers, the longest range first."""
    longest_first = sorted(
        ranges, key=lambda count_range: (count_range.length, str(count_range)), reverse=True
    )
    return [
        (count_range, [(role, name(role, count_range)) for role in sorted(parts)])
        for count_range in longest_first
    ]


def _times(names: Names, answer: QueryResult) -> Mapping[int, Texts]:
    """The numbers of a range, by time."""
    found: dict[int, dict[SeriesRole, list[str]]] = {}
    for role, wanted in names:
        for _, points in answer.get(wanted, ()):
            for at, text in points:
                texts = found.get(at)
                if texts is None:
                    found[at] = {role: [text]}
                else:
                    texts.setdefault(role, []).append(text)
    return found


def _unusable(kind: EvidenceKind, detail: str) -> _Unusable:
    return _Unusable(Evidence(kind, detail))


def _count(
    indicator_query: IndicatorQuery, count_range: CountRange, texts: Texts
) -> EventCounts | None:
    """Bad and total events of one range at one time; None if there are none to count.

    Raises:
        _Unusable: a number is missing, or not what it should be.
    """
    numbers = _numbers(indicator_query, count_range, texts)
    if numbers.get(_STRAYS):
        raise _unusable(
            EvidenceKind.MALFORMED,
            f"{indicator_query.field} was neither 0 nor 1 in the last {count_range.length}",
        )
    events = numbers.get(_EVENTS)
    if _SHARE in indicator_query.parts:
        total, events = _shared(indicator_query, numbers)
    elif _TOTAL in indicator_query.parts:
        total = numbers.get(_TOTAL)
    else:  # either may have no series
        others = numbers.get(_OTHERS)
        total = others if events is None else events if others is None else events + others
    if total is None:
        return None
    if events is None:
        events = _NONE
    elif events > total:
        _check_slack(indicator_query, count_range, events, total)
        events = total
    return EventCounts(
        events if indicator_query.counted is CountedEvents.BAD else total - events, total
    )


def _shared(
    indicator_query: IndicatorQuery, numbers: Numbers
) -> tuple[Decimal | None, Decimal | None]:
    """Total events and those counted, from a share; of a recorded ratio, out of one event."""
    share = numbers.get(_SHARE)
    total = numbers.get(_TOTAL)
    if _TOTAL not in indicator_query.parts and share is not None:
        total = ONE
    if total is None or share is None:
        return total, None
    return total, (total * share).quantize(_FINEST)


def _numbers(indicator_query: IndicatorQuery, count_range: CountRange, texts: Texts) -> Numbers:
    """The number of each role that has series.

    Raises:
        _Unusable: there is none, or several.
    """
    numbers: dict[SeriesRole, Decimal | None] = {}
    for role, some in texts.items():
        number = _number(some[0])
        if number is None or number < _NONE or len(some) > 1 or role is _SHARE:
            number = _checked(indicator_query, count_range, role, some)
        numbers[role] = number
    return numbers


def _checked(
    indicator_query: IndicatorQuery, count_range: CountRange, role: SeriesRole, texts: Sequence[str]
) -> Decimal | None:
    """A share; raises what is wrong with it or with another number."""
    if role is _SHARE and list(texts) == [_NO_SHARE]:
        return None
    message = _counted_name(indicator_query, count_range, role)
    number = _one(texts, message, _NONE)
    if number is not None and number > ONE:
        raise _unusable(
            EvidenceKind.MALFORMED, f"{message} is {plain(number)}, which is not a share"
        )
    return number


def _counted_name(
    indicator_query: IndicatorQuery, count_range: CountRange, role: SeriesRole
) -> str:
    counted = indicator_query.counted
    other = CountedEvents.GOOD if counted is CountedEvents.BAD else CountedEvents.BAD
    share = f"the share of {counted} events"
    names = {
        SeriesRole.EVENTS: str(counted),
        SeriesRole.OTHERS: str(other),
        SeriesRole.SHARE: share,
    }
    return f"{names.get(role, 'total')} in the last {count_range.length}"


def _check_slack(
    indicator_query: IndicatorQuery, count_range: CountRange, events: Decimal, total: Decimal
) -> None:
    """In a closed bucket one series may be ahead: whether each is new is checked by itself."""
    if isinstance(count_range, IncreaseOver) and events > total + max(
        SLACK_EVENTS, SLACK_SHARE * total
    ):
        raise _unusable(
            EvidenceKind.MALFORMED,
            f"{plain(events)} {indicator_query.counted} events of {plain(total)} in the last "
            f"{count_range.length}: does total count them too?",
        )


def _age_trouble(count_query: CountQuery, answer: QueryResult, found: Found) -> Evidence | None:
    """Why data is too old, from the future or missing; None if good, or age was not queried."""
    if count_query.freshness is None:
        return None
    indicator_query = count_query.indicator_query
    try:
        age = _age(answer)
        longest, times = next(iter(found.items()))
        # The series of an author's own expression have no known age.
        if not times and not (count_query.remembered and indicator_query.selectors):
            is_fresh = age is not None and age <= count_query.freshness.seconds
            _is_absent(indicator_query, longest.length, is_fresh=is_fresh)
        if indicator_query.selectors:
            _check_age(age, count_query.freshness)
    except _Unusable as unusable:
        return unusable.evidence
    return None


def _is_absent(indicator_query: IndicatorQuery, longest: Duration, *, is_fresh: bool) -> None:
    if not indicator_query.selectors:
        raise _unusable(
            EvidenceKind.ABSENT, f"{indicator_query.field} gives no number for the last {longest}"
        )
    if is_fresh:
        raise _unusable(
            EvidenceKind.ABSENT,
            f"{indicator_query.field} has a single sample so far; a count needs two",
        )
    raise _unusable(
        EvidenceKind.ABSENT, f"no series matches {indicator_query.field} in the last {longest}"
    )


def _age(answer: QueryResult) -> Decimal | None:
    texts = [text for _, points in answer.get(AGE, ()) for _, text in points]
    return _one(texts, "the age of the newest sample", -_LARGEST)


def _check_age(age: Decimal | None, fresh: Duration) -> None:
    if age is None:
        raise _unusable(EvidenceKind.STALE, f"no new sample for more than {fresh} (freshness)")
    if age < -CLOCK_TOLERANCE:
        raise _unusable(
            EvidenceKind.STALE,
            f"the newest sample is {_roughly(-age)} in the future: a clock is wrong, ours or "
            "that of the metrics",
        )
    if age > fresh.seconds:
        raise _unusable(
            EvidenceKind.STALE,
            f"the newest sample is {_roughly(age)} old, more than {fresh} (freshness)",
        )


def _one(texts: Sequence[str], what: str, least: Decimal) -> Decimal | None:
    if not texts:
        return None
    if len(texts) > 1:
        detail = f"{len(texts)} series for {what}, where one is needed"
        raise _unusable(EvidenceKind.AMBIGUOUS, detail)
    number = _number(texts[0])
    if number is None or number < least:
        raise _unusable(
            EvidenceKind.MALFORMED, f'{what} is "{texts[0][:32]}", which is not a count'
        )
    return number


def _number(text: str) -> Decimal | None:
    """A finite number of a plausible size, without the noise of binary fractions."""
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
    """Whole minutes from one minute on, so that the message does not change every round."""
    whole = int(seconds)
    return str(Duration.of_seconds(whole if whole < 60 else whole // 60 * 60))

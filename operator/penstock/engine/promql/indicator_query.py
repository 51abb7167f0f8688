"""How each kind of indicator is queried: its selectors, and the numbers of a range.

Bad (or good) and total are queried separately, never as a quotient: a quotient is NaN without
traffic and empty without errors. If both are in the same series, these are read once, and the
server separates them by the label that differs. That saves a third of the samples, and an error
series that never existed is a plain 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple, Protocol

from penstock.domain.indicator import (
    BUCKET_BOUND,
    WINDOW_PLACEHOLDER,
    CountedEvents,
    Indicator,
    LatencyIndicator,
    ProbeIndicator,
    QueryIndicator,
    RatioIndicator,
    RawRatioIndicator,
)
from penstock.domain.quantities import Duration, plain
from penstock.domain.selector import NAME, Matcher, Op, Selector, literal
from penstock.engine.promql import counting
from penstock.engine.promql.ranges import CountRange, ExactBucket

LABEL = "penstock"
EVERYTHING = "+Inf"
_OURS = frozenset({NAME, LABEL})
_MOST_KEPT = 16_384
_HISTOGRAM = "spec.indicator.latency.histogram"


class SeriesRole(StrEnum):
    """What a number of a range counts; the letters are part of its name."""

    EVENTS = "e"
    OTHERS = "o"
    TOTAL = "t"
    SHARE = "f"
    STRAYS = "s"

    # An enum's own hash computes its name's in Python; numbers are looked up by role all the time.
    __hash__ = str.__hash__


@dataclass(frozen=True, slots=True)
class SplitByLabel:
    """Which role a series has, by one of its labels: ``base``, or the last matching pattern."""

    label: str
    base: SeriesRole
    ways: tuple[tuple[str, SeriesRole], ...]


@dataclass(frozen=True, slots=True)
class Counter:
    """Counters whose growth in a range is queried; they have one role, or are split."""

    selector: str
    role: SeriesRole | SplitByLabel


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that already is the number."""

    text: str
    role: SeriesRole


Term = Counter | Expression


class Terms(Protocol):
    """The numbers from which an indicator is computed."""

    def of(
        self, texts: Sequence[str], by: Sequence[str], count_range: CountRange
    ) -> Iterator[Term]:
        """Those of a range, given the selectors' texts and the labels to group by."""


class SharedLabel(NamedTuple):
    """A label whose value may differ between indicators that are queried alike.

    Attributes:
        shape: everything else; the same text if everything else is the same.
    """

    label: str
    value: str
    shape: str


@dataclass(frozen=True, slots=True, eq=False)
class IndicatorQuery:
    """How one indicator is queried.

    Attributes:
        indicator: what it measures.
        field: the field of its manifest for all events.
        selectors: its series; empty for an author's own expressions.
        terms: the numbers from which it is computed.
        parts: the roles of these numbers.
        counted: which kind of events ``EVENTS`` is, or ``SHARE`` is the share of.
        shape: the same text if two are queried alike.
        shared_labels: where it may differ from others.
    """

    indicator: Indicator
    field: str
    selectors: tuple[Selector, ...]
    terms: Terms
    parts: frozenset[SeriesRole]
    counted: CountedEvents
    shape: str
    shared_labels: tuple[SharedLabel, ...]


@lru_cache(_MOST_KEPT)
def build_indicator_query(indicator: Indicator) -> IndicatorQuery:
    """How an indicator is queried."""
    match indicator:
        case RatioIndicator():
            return _ratio(indicator)
        case LatencyIndicator():
            return _buckets(indicator) if indicator.is_classic else _native(indicator)
        case ProbeIndicator():
            return _probe(indicator)
        case QueryIndicator():
            return _query(indicator)
        case RawRatioIndicator():
            return _raw_ratio(indicator)


def _ratio(indicator: RatioIndicator) -> IndicatorQuery:
    counted, field = indicator.counted, "spec.indicator.ratio.total"
    split = _split(indicator)
    if split is not None:
        return _counters(indicator, field, indicator.total, split, counted)

    selectors, parts = (indicator.events, indicator.total), {SeriesRole.EVENTS, SeriesRole.TOTAL}
    return _measure(indicator, field, selectors, _TwoCounters(), parts, counted, "apart")


class _TwoCounters:
    """Counted events and all events, each by its own selector."""

    def of(
        self, texts: Sequence[str], by: Sequence[str], count_range: CountRange
    ) -> Iterator[Term]:
        yield Counter(texts[0], SeriesRole.EVENTS)
        yield Counter(texts[1], SeriesRole.TOTAL)


def _split(indicator: RatioIndicator) -> SplitByLabel | None:
    """What separates counted events from the others, if they are all plus matchers on one label.

    At most one of these may be positive (``=``, ``=~``), the others must exclude something: no
    server can be queried for what does not match.
    """
    extra = set(indicator.events.matchers) - set(indicator.total.matchers)
    missing = set(indicator.total.matchers) - set(indicator.events.matchers)
    labels = {matcher.label for matcher in extra}
    wanted = [matcher for matcher in extra if matcher.op in (Op.EQUAL, Op.LIKE)]
    is_told = len(labels) == 1 and not labels & _OURS and all(matcher.is_plain for matcher in extra)
    if missing or not is_told or len(wanted) > 1:
        return None
    ruled_out = sorted(extra.difference(wanted))
    ways = [(_pattern(matcher), SeriesRole.EVENTS) for matcher in wanted]
    ways += [(_pattern(matcher), SeriesRole.OTHERS) for matcher in ruled_out]
    return SplitByLabel(
        labels.pop(), SeriesRole.OTHERS if wanted else SeriesRole.EVENTS, tuple(ways)
    )


def _pattern(matcher: Matcher) -> str:
    is_exact = matcher.op in (Op.EQUAL, Op.UNEQUAL)
    return literal(matcher.value) if is_exact else matcher.value


def _buckets(indicator: LatencyIndicator) -> IndicatorQuery:
    """Prometheus 3 writes the bound of one second as 1.0, others as 1."""
    boundary = plain(indicator.threshold.seconds)
    pattern = literal(boundary) + ("" if "." in boundary else r"(\.0)?")
    chosen = Matcher(BUCKET_BOUND, Op.LIKE, f"{pattern}|{literal(EVERYTHING)}")
    split = SplitByLabel(BUCKET_BOUND, SeriesRole.TOTAL, ((pattern, SeriesRole.EVENTS),))
    return _counters(
        indicator, _HISTOGRAM, indicator.histogram.but(chosen), split, CountedEvents.GOOD
    )


def _native(indicator: LatencyIndicator) -> IndicatorQuery:
    terms, kind = _NativeTerms(indicator.threshold), f"native {indicator.threshold}"
    selectors, parts = (indicator.histogram,), {SeriesRole.SHARE, SeriesRole.TOTAL}
    return _measure(indicator, _HISTOGRAM, selectors, terms, parts, CountedEvents.GOOD, kind)


@dataclass(frozen=True, slots=True)
class _NativeTerms:
    """The share of a native histogram's events below a threshold, and all of them."""

    threshold: Duration

    def of(
        self, texts: Sequence[str], by: Sequence[str], count_range: CountRange
    ) -> Iterator[Term]:
        fraction = counting.native_fraction(texts[0], by, count_range.length, self.threshold)
        yield Expression(fraction, SeriesRole.SHARE)
        yield Expression(counting.native_count(texts[0], by, count_range.length), SeriesRole.TOTAL)


def _probe(indicator: ProbeIndicator) -> IndicatorQuery:
    field, parts = (
        "spec.indicator.probe.metric",
        {SeriesRole.EVENTS, SeriesRole.TOTAL, SeriesRole.STRAYS},
    )
    selectors = (indicator.metric,)
    return _measure(indicator, field, selectors, _ProbeTerms(), parts, CountedEvents.GOOD, "probe")


class _ProbeTerms:
    """A range also looks back once its own length, for targets that have disappeared."""

    def of(
        self, texts: Sequence[str], by: Sequence[str], count_range: CountRange
    ) -> Iterator[Term]:
        back = count_range.back if isinstance(count_range, ExactBucket) else count_range.length
        yield Expression(counting.probe_good(texts[0], by, count_range.length), SeriesRole.EVENTS)
        yield Expression(
            counting.probe_total(texts[0], by, count_range.length, back), SeriesRole.TOTAL
        )
        yield Expression(counting.probe_strays(texts[0], by, count_range.length), SeriesRole.STRAYS)


def _query(indicator: QueryIndicator) -> IndicatorQuery:
    terms = _WrittenTerms(((indicator.bad, SeriesRole.EVENTS), (indicator.total, SeriesRole.TOTAL)))
    field, kind = "spec.indicator.query.total", f"query {indicator.bad}\0{indicator.total}"
    return _measure(
        indicator, field, (), terms, {SeriesRole.EVENTS, SeriesRole.TOTAL}, CountedEvents.BAD, kind
    )


def _raw_ratio(indicator: RawRatioIndicator) -> IndicatorQuery:
    terms = _WrittenTerms(((indicator.error_ratio, SeriesRole.SHARE),))
    field, kind = "spec.indicator.rawRatio.errorRatio", f"rawRatio {indicator.error_ratio}"
    return _measure(indicator, field, (), terms, {SeriesRole.SHARE}, CountedEvents.BAD, kind)


@dataclass(frozen=True, slots=True)
class _WrittenTerms:
    """An author's own expressions."""

    written: tuple[tuple[str, SeriesRole], ...]

    def of(
        self, texts: Sequence[str], by: Sequence[str], count_range: CountRange
    ) -> Iterator[Term]:
        for text, role in self.written:
            yield Expression(_filled(text, count_range.length), role)


def _filled(text: str, window: Duration) -> str:
    """With the range as the names of recording rules have it: 5m, 1h, 30d."""
    return f"({text.replace(WINDOW_PLACEHOLDER, str(window))})"


def _counters(
    indicator: Indicator,
    field: str,
    selector: Selector,
    split: SplitByLabel,
    counted: CountedEvents,
) -> IndicatorQuery:
    terms = _SplitCounters(split)
    parts = {split.base, *(role for _, role in split.ways)} | {SeriesRole.EVENTS}
    kind = f"{split.label} {split.base} {split.ways}"
    return _measure(indicator, field, (selector,), terms, parts, counted, kind, split.label)


@dataclass(frozen=True, slots=True)
class _SplitCounters:
    """Counters of one selector, split by a label."""

    split: SplitByLabel

    def of(
        self, texts: Sequence[str], by: Sequence[str], count_range: CountRange
    ) -> Iterator[Term]:
        yield Counter(texts[0], self.split)


def _measure(
    indicator: Indicator,
    field: str,
    selectors: tuple[Selector, ...],
    terms: Terms,
    parts: Set[SeriesRole],
    counted: CountedEvents,
    kind: str,
    split: str | None = None,
) -> IndicatorQuery:
    shape = "\0".join([kind, counted, *(one.text for one in selectors)])
    shared_labels = tuple(_shared_labels(f"{kind}\0{counted}", selectors, {*_OURS, split}))
    return IndicatorQuery(
        indicator, field, selectors, terms, frozenset(parts), counted, shape, shared_labels
    )


def _shared_labels(
    kind: str, selectors: Sequence[Selector], taken: set[str | None]
) -> Iterator[SharedLabel]:
    """Labels that must have one value, the same in all selectors, and no other condition."""
    for matcher in selectors[0].matchers if selectors else ():
        is_free = matcher.op is Op.EQUAL and matcher.value != "" and matcher.is_plain
        if (
            is_free
            and matcher.label not in taken
            and all(selector.on(matcher.label) == (matcher,) for selector in selectors)
        ):
            nothing = Matcher(matcher.label, Op.EQUAL, "")
            texts = [selector.but(nothing).text for selector in selectors]
            yield SharedLabel(
                matcher.label, matcher.value, "\0".join([kind, matcher.label, *texts])
            )

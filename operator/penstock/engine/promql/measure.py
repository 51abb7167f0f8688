"""How each kind of indicator is asked: its selectors, and the numbers that there are in a leg.

Bad (or good) and total are asked apart, never as a quotient: a quotient is NaN without traffic and
empty without errors. Where both are in the same series, these are read once, and the server tells
them apart by the label that does: a third of the samples is saved, and an error series that was
never born is a plain 0.
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
from penstock.engine import closing
from penstock.engine.promql.legs import Close, Leg

LABEL = "penstock"
EVERYTHING = "+Inf"
_OURS = frozenset({NAME, LABEL})
_MOST_KEPT = 16_384
_HISTOGRAM = "spec.indicator.latency.histogram"


class Part(StrEnum):
    """What a number of a leg counts; the letters are part of its name."""

    EVENTS = "e"
    OTHERS = "o"
    TOTAL = "t"
    SHARE = "f"
    STRAYS = "s"

    # An enum's own works out its name's in Python; numbers are found by their parts all the time.
    __hash__ = str.__hash__


@dataclass(frozen=True, slots=True)
class Split:
    """Which part a series is, by one label of it: ``base``, or the last whose pattern matches."""

    label: str
    base: Part
    ways: tuple[tuple[str, Part], ...]


@dataclass(frozen=True, slots=True)
class Counter:
    """Counters whose growth in a leg is asked for; they are one part, or separate."""

    selector: str
    part: Part | Split


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that is the number already."""

    text: str
    part: Part


Term = Counter | Expression


class Terms(Protocol):
    """The numbers that an indicator is read from."""

    def of(self, texts: Sequence[str], by: Sequence[str], leg: Leg) -> Iterator[Term]:
        """Those of a leg, given the selectors' texts and the labels to group by."""


class Hole(NamedTuple):
    """A label whose value may differ, while indicators are still asked alike.

    Attributes:
        shape: all the rest; the same text where the rest is the same.
    """

    label: str
    value: str
    shape: str


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """One indicator, as it is asked.

    Attributes:
        indicator: what it measures.
        field: of its manifest, for all events.
        selectors: of what series; none of an author's own expressions.
        terms: the numbers that it is read from.
        parts: of which parts these are.
        counted: which kind of events ``EVENTS`` is, or ``SHARE`` is the share of.
        shape: the same text where two are asked alike.
        holes: where it may differ from others.
    """

    indicator: Indicator
    field: str
    selectors: tuple[Selector, ...]
    terms: Terms
    parts: frozenset[Part]
    counted: CountedEvents
    shape: str
    holes: tuple[Hole, ...]


@lru_cache(_MOST_KEPT)
def measure_of(indicator: Indicator) -> Measure:
    """How an indicator is asked."""
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


def _ratio(indicator: RatioIndicator) -> Measure:
    counted, field = indicator.counted, "spec.indicator.ratio.total"
    split = _split(indicator)
    if split is not None:
        return _counters(indicator, field, indicator.total, split, counted)

    selectors, parts = (indicator.events, indicator.total), {Part.EVENTS, Part.TOTAL}
    return _measure(indicator, field, selectors, _TwoCounters(), parts, counted, "apart")


class _TwoCounters:
    """Events and all of them, each by a selector of its own."""

    def of(self, texts: Sequence[str], by: Sequence[str], leg: Leg) -> Iterator[Term]:
        yield Counter(texts[0], Part.EVENTS)
        yield Counter(texts[1], Part.TOTAL)


def _split(indicator: RatioIndicator) -> Split | None:
    """What tells events from the others, if they are all plus matchers on one label.

    At most one of these may ask for something (``=``, ``=~``), the others must rule something out:
    no server can be asked for what does not match.
    """
    extra = set(indicator.events.matchers) - set(indicator.total.matchers)
    missing = set(indicator.total.matchers) - set(indicator.events.matchers)
    labels = {matcher.label for matcher in extra}
    wanted = [matcher for matcher in extra if matcher.op in (Op.EQUAL, Op.LIKE)]
    is_told = len(labels) == 1 and not labels & _OURS and all(matcher.is_plain for matcher in extra)
    if missing or not is_told or len(wanted) > 1:
        return None
    ruled_out = sorted(extra.difference(wanted))
    ways = [(_pattern(matcher), Part.EVENTS) for matcher in wanted]
    ways += [(_pattern(matcher), Part.OTHERS) for matcher in ruled_out]
    return Split(labels.pop(), Part.OTHERS if wanted else Part.EVENTS, tuple(ways))


def _pattern(matcher: Matcher) -> str:
    is_exact = matcher.op in (Op.EQUAL, Op.UNEQUAL)
    return literal(matcher.value) if is_exact else matcher.value


def _buckets(indicator: LatencyIndicator) -> Measure:
    """Prometheus 3 writes the border of one second as 1.0, others as 1."""
    boundary = plain(indicator.threshold.seconds)
    pattern = literal(boundary) + ("" if "." in boundary else r"(\.0)?")
    chosen = Matcher(BUCKET_BOUND, Op.LIKE, f"{pattern}|{literal(EVERYTHING)}")
    split = Split(BUCKET_BOUND, Part.TOTAL, ((pattern, Part.EVENTS),))
    return _counters(
        indicator, _HISTOGRAM, indicator.histogram.but(chosen), split, CountedEvents.GOOD
    )


def _native(indicator: LatencyIndicator) -> Measure:
    terms, kind = _NativeTerms(indicator.threshold), f"native {indicator.threshold}"
    selectors, parts = (indicator.histogram,), {Part.SHARE, Part.TOTAL}
    return _measure(indicator, _HISTOGRAM, selectors, terms, parts, CountedEvents.GOOD, kind)


@dataclass(frozen=True, slots=True)
class _NativeTerms:
    """The share of a native histogram's events under a threshold, and all of them."""

    threshold: Duration

    def of(self, texts: Sequence[str], by: Sequence[str], leg: Leg) -> Iterator[Term]:
        fraction = closing.native_fraction(texts[0], by, leg.length, self.threshold)
        yield Expression(fraction, Part.SHARE)
        yield Expression(closing.native_count(texts[0], by, leg.length), Part.TOTAL)


def _probe(indicator: ProbeIndicator) -> Measure:
    field, parts = "spec.indicator.probe.metric", {Part.EVENTS, Part.TOTAL, Part.STRAYS}
    selectors = (indicator.metric,)
    return _measure(indicator, field, selectors, _ProbeTerms(), parts, CountedEvents.GOOD, "probe")


class _ProbeTerms:
    """A look looks back as far again as it is long, for targets that have vanished since."""

    def of(self, texts: Sequence[str], by: Sequence[str], leg: Leg) -> Iterator[Term]:
        back = leg.back if isinstance(leg, Close) else leg.length
        yield Expression(closing.probe_good(texts[0], by, leg.length), Part.EVENTS)
        yield Expression(closing.probe_total(texts[0], by, leg.length, back), Part.TOTAL)
        yield Expression(closing.probe_strays(texts[0], by, leg.length), Part.STRAYS)


def _query(indicator: QueryIndicator) -> Measure:
    terms = _WrittenTerms(((indicator.bad, Part.EVENTS), (indicator.total, Part.TOTAL)))
    field, kind = "spec.indicator.query.total", f"query {indicator.bad}\0{indicator.total}"
    return _measure(indicator, field, (), terms, {Part.EVENTS, Part.TOTAL}, CountedEvents.BAD, kind)


def _raw_ratio(indicator: RawRatioIndicator) -> Measure:
    terms = _WrittenTerms(((indicator.error_ratio, Part.SHARE),))
    field, kind = "spec.indicator.rawRatio.errorRatio", f"rawRatio {indicator.error_ratio}"
    return _measure(indicator, field, (), terms, {Part.SHARE}, CountedEvents.BAD, kind)


@dataclass(frozen=True, slots=True)
class _WrittenTerms:
    """Expressions of an author's own."""

    written: tuple[tuple[str, Part], ...]

    def of(self, texts: Sequence[str], by: Sequence[str], leg: Leg) -> Iterator[Term]:
        for text, part in self.written:
            yield Expression(_filled(text, leg.length), part)


def _filled(text: str, window: Duration) -> str:
    """With the range as recording rules have it in their names: 5m, 1h, 30d."""
    return f"({text.replace(WINDOW_PLACEHOLDER, str(window))})"


def _counters(
    indicator: Indicator, field: str, selector: Selector, split: Split, counted: CountedEvents
) -> Measure:
    terms = _SplitCounters(split)
    parts = {split.base, *(part for _, part in split.ways)} | {Part.EVENTS}
    kind = f"{split.label} {split.base} {split.ways}"
    return _measure(indicator, field, (selector,), terms, parts, counted, kind, split.label)


@dataclass(frozen=True, slots=True)
class _SplitCounters:
    """Counters of one selector that a label tells apart."""

    split: Split

    def of(self, texts: Sequence[str], by: Sequence[str], leg: Leg) -> Iterator[Term]:
        yield Counter(texts[0], self.split)


def _measure(
    indicator: Indicator,
    field: str,
    selectors: tuple[Selector, ...],
    terms: Terms,
    parts: Set[Part],
    counted: CountedEvents,
    kind: str,
    split: str | None = None,
) -> Measure:
    shape = "\0".join([kind, counted, *(one.text for one in selectors)])
    holes = tuple(_holes(f"{kind}\0{counted}", selectors, {*_OURS, split}))
    return Measure(indicator, field, selectors, terms, frozenset(parts), counted, shape, holes)


def _holes(kind: str, selectors: Sequence[Selector], taken: set[str | None]) -> Iterator[Hole]:
    """Labels that must have one value, the same in all selectors; nothing else is said of them."""
    for matcher in selectors[0].matchers if selectors else ():
        is_free = matcher.op is Op.EQUAL and matcher.value != "" and matcher.is_plain
        if (
            is_free
            and matcher.label not in taken
            and all(selector.on(matcher.label) == (matcher,) for selector in selectors)
        ):
            nothing = Matcher(matcher.label, Op.EQUAL, "")
            texts = [selector.but(nothing).text for selector in selectors]
            yield Hole(matcher.label, matcher.value, "\0".join([kind, matcher.label, *texts]))

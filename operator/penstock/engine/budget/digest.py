"""The name of an indicator's ledger in a snapshot. It outlives every process and every release.

The hash is computed over the text that the first release wrote. Its words are data, not names
of today's classes. Renaming a class must not rename ledgers, because all would be
backfilled again.
"""

from __future__ import annotations

import hashlib

from penstock.domain.indicator import (
    Indicator,
    LatencyIndicator,
    ProbeIndicator,
    QueryIndicator,
    RatioIndicator,
    RawRatioIndicator,
)
from penstock.domain.selector import Matcher, Selector


def digest(source: str, indicator: Indicator, resolution: int) -> str:
    """32 hexadecimal digits.

    Args:
        source: what identifies the numbers of a source.
        indicator: what is measured.
        resolution: the length of its buckets in seconds.
    """
    text = f"Sli(source={source!r}, indicator={_indicator(indicator)}, grain={resolution})"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _indicator(indicator: Indicator) -> str:
    match indicator:
        case RatioIndicator():
            counted = f"<Counted.{indicator.counted.name}: {indicator.counted.value!r}>"
            events, total = _selector(indicator.events), _selector(indicator.total)
            return f"RatioIndicator(counted={counted}, events={events}, total={total})"
        case LatencyIndicator():
            threshold = f"Duration(milliseconds={indicator.threshold.milliseconds})"
            histogram = _selector(indicator.histogram)
            return f"LatencyIndicator(histogram={histogram}, threshold={threshold})"
        case ProbeIndicator():
            return f"ProbeIndicator(metric={_selector(indicator.metric)})"
        case QueryIndicator():
            return f"QueryIndicator(bad={indicator.bad!r}, total={indicator.total!r})"
        case RawRatioIndicator():
            return f"RawRatioIndicator(error_ratio={indicator.error_ratio!r})"


def _selector(selector: Selector) -> str:
    matchers = [_matcher(matcher) for matcher in selector.matchers]
    inner = f"{matchers[0]}," if len(matchers) == 1 else ", ".join(matchers)
    return f"Selector(matchers=({inner}))"


def _matcher(matcher: Matcher) -> str:
    op = f"<Op.{matcher.op.name}: {matcher.op.value!r}>"
    return f"Matcher(label={matcher.label!r}, op={op}, value={matcher.value!r})"

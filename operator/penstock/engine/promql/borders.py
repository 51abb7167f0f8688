"""Asks which buckets a histogram has, once its threshold has proved to be none of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.indicator import BUCKET_BOUND, LatencyIndicator
from penstock.domain.quantities import Duration, plain
from penstock.domain.selector import Selector
from penstock.engine.asking import Answer, Joint, JointByLabel
from penstock.engine.promql.measure import LABEL
from penstock.engine.promql.together import MOST_UNITS, any_of, labelled

BORDERS = "borders"


@dataclass(frozen=True, slots=True)
class BordersQuestion:
    """Which buckets there are."""

    key: Hashable
    histogram: Selector


class Borders:
    """The form of these questions."""

    most = MOST_UNITS

    def cut(
        self, questions: Sequence[BordersQuestion], together: int
    ) -> Iterator[Sequence[BordersQuestion]]:
        """Batches of at most ``together``."""
        return (questions[first : first + together] for first in range(0, len(questions), together))

    def joint(self, questions: Sequence[BordersQuestion]) -> Joint:
        """One query for all; each bucket is a row."""
        counted = (f"count by ({BUCKET_BOUND}) ({asked.histogram.text})" for asked in questions)
        names = [str(number) for number in range(len(questions))]
        terms = [labelled(text, name) for text, name in zip(counted, names, strict=True)]
        return JointByLabel(any_of(terms), LABEL, names, BORDERS)


def no_bucket(indicator: LatencyIndicator, answer: Answer | Evidence | None = None) -> Evidence:
    """That the threshold is not a bucket, and which are the nearest, if that is known."""
    threshold = indicator.threshold
    detail = f"spec.indicator.latency.threshold: {threshold} is not a bucket of the histogram"
    rows = [] if answer is None or isinstance(answer, Evidence) else answer[BORDERS]
    borders = {
        border
        for labels, _ in rows
        if (border := _border(labels.get(BUCKET_BOUND, ""))) is not None
    }
    below = [max(under)] if (under := {one for one in borders if one < threshold.seconds}) else []
    above = [min(over)] if (over := {one for one in borders if one > threshold.seconds}) else []
    nearest = " and ".join(_written(one) for one in (*below, *above))
    return Evidence(
        EvidenceKind.SLO_INVALID, f"{detail}; the nearest: {nearest}" if nearest else detail
    )


def _border(text: str) -> Decimal | None:
    try:
        border = Decimal(text)
    except InvalidOperation:
        return None
    return border if border.is_finite() else None


def _written(seconds: Decimal) -> str:
    """As a duration, where it is one of whole milliseconds."""
    milliseconds = seconds * 1_000
    is_whole = 0 < milliseconds < 10**12 and milliseconds == int(milliseconds)
    return str(Duration(int(milliseconds))) if is_whole else f"{plain(seconds)} s"

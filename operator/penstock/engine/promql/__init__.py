"""What is asked in PromQL, and how answers become counts."""

from penstock.engine.promql.legs import Close, Leg, Look
from penstock.engine.promql.measure import measure_of
from penstock.engine.promql.measuring import measured
from penstock.engine.promql.question import Counts, Question
from penstock.engine.promql.reading import counts
from penstock.engine.promql.together import groups

__all__ = [
    "Close",
    "Counts",
    "Leg",
    "Look",
    "Question",
    "counts",
    "groups",
    "measure_of",
    "measured",
]

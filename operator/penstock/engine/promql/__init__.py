"""What is asked in PromQL, and how answers become counts."""

from penstock.engine.promql.question import Close, Counts, Leg, Look, Question

__all__ = ["Close", "Counts", "Leg", "Look", "Question"]

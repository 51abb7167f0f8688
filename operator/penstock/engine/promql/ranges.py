"""The time ranges of a count query, and how events are counted in them."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.domain.quantities import Duration
from penstock.engine.promql.counting import SLOW_START


@dataclass(frozen=True, slots=True)
class IncreaseOver:
    """Count the events of the last ``length``, as Prometheus' `increase` estimates them."""

    length: Duration

    def __str__(self) -> str:
        return str(self.length.milliseconds)


@dataclass(frozen=True, slots=True)
class ExactBucket:
    """Count the events of the bucket of ``length`` that ends at the evaluation time, exactly.

    Attributes:
        back: how far before the bucket to look for series that begin or come back.
        unseen: how long nothing was scraped before the bucket: what began meanwhile is new.
        thorough: also count exactly what restarted within the bucket, which is expensive: half as
            much server time again.
    """

    length: Duration
    back: Duration
    unseen: Duration = SLOW_START
    thorough: bool = False

    def __str__(self) -> str:
        lengths = (self.length, self.back, self.unseen)
        text = "b".join(str(duration.milliseconds) for duration in lengths)
        return f"{text}x" if self.thorough else text


CountRange = IncreaseOver | ExactBucket

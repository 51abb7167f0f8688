"""How an SLO is read from its ledger: which burn windows are queried as well, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from penstock.domain.indicator import RawRatioIndicator
from penstock.domain.ledger import Ledger
from penstock.domain.quantities import Duration
from penstock.domain.slo import Slo
from penstock.engine.budget.source_ledgers import BURN_SECONDS
from penstock.engine.promql import CountRange, ExactBucket, IncreaseOver

FIVE_MINUTES = Duration.parse("5m")
LONGEST_OPEN = 3_600
# Longer burn windows are read exactly only by closing buckets: each round would cost too much.
EXACT_UP_TO = Duration.parse("10m")
_MOST_KEPT = 1_024


class LedgerPlan(NamedTuple):
    """How one SLO is read at one instant.

    Attributes:
        at: seconds since the epoch.
        ranges: the burn windows that are queried directly, and how.
        open: seconds since the last closed bucket; None while the ledger is too far behind.
    """

    slo: Slo
    at: int
    burn_windows: frozenset[Duration]
    ranges: CountRanges
    open: int | None

    @property
    def asked(self) -> Set[Duration]:
        """The burn windows that are queried directly."""
        return self.ranges.by_burn_window.keys()


class CountRanges(NamedTuple):
    """Which burn windows are queried, and how; shared by SLOs that are queried alike."""

    by_burn_window: Mapping[Duration, CountRange]
    every: frozenset[CountRange]
    kept: Sequence[Duration]


def plan_ledger_read(
    slo: Slo, burn_windows: frozenset[Duration], ledger: Ledger, at: datetime, *, hot: bool = False
) -> LedgerPlan:
    """Short burn windows are always queried; longer ones only while the ledger lacks them."""
    now = int(at.timestamp())
    since = now - ledger.closed_until
    open_ = since if 0 < since <= LONGEST_OPEN else None
    lacking = _lacking(_longer(burn_windows), ledger, now)
    # Ratios are often recorded for a few windows only, and closed buckets are means of them.
    is_open = open_ is not None and not isinstance(slo.indicator, RawRatioIndicator)
    return LedgerPlan(
        slo,
        now,
        burn_windows,
        _ranges(burn_windows, lacking, open_ if is_open else None, hot),
        open_,
    )


def _lacking(longer: tuple[Duration, ...], ledger: Ledger, now: int) -> tuple[Duration, ...]:
    """The burn windows that reach back beyond what is known, and those that do not reach it."""
    known = 0
    while known < len(longer) and not _has(ledger, longer[known], now):
        known += 1
    lag = (now - ledger.closed_until) * 1_000
    if known == 0 and (not longer or longer[-1].milliseconds > lag):  # nearly always so
        return ()
    return longer[:known] + tuple(
        duration for duration in longer[known:] if duration.milliseconds <= lag
    )


@lru_cache(_MOST_KEPT)
def _longer(burn_windows: frozenset[Duration]) -> tuple[Duration, ...]:
    """What a ledger may have instead: longest first, since one that is known has the others."""
    longer = (span for span in burn_windows if span > FIVE_MINUTES and span.seconds <= BURN_SECONDS)
    return tuple(sorted(longer, reverse=True))


@lru_cache(_MOST_KEPT)
def _ranges(
    burn_windows: frozenset[Duration], lacking: tuple[Duration, ...], open_: int | None, hot: bool
) -> CountRanges:
    """While a release depends on it, the first errors of new pods count."""
    asked = {FIVE_MINUTES, *lacking, *(span for span in burn_windows if span <= FIVE_MINUTES)}
    if open_ is not None:
        asked.add(Duration.of_seconds(open_))
    by_burn_window: dict[Duration, CountRange] = {
        span: ExactBucket(span, FIVE_MINUTES) if hot and span <= EXACT_UP_TO else IncreaseOver(span)
        for span in asked
    }
    return CountRanges(
        by_burn_window,
        frozenset(by_burn_window.values()),
        [duration for duration in burn_windows if duration not in asked],
    )


def _has(ledger: Ledger, span: Duration, now: int) -> bool:
    start = now - span.milliseconds // 1_000
    return start < ledger.closed_until and ledger.knows(start, ledger.closed_until)

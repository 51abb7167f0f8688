"""Budgets of time slices (OpenSLO's Timeslices and RatioTimeslices), from counts of buckets.

A count of slices has the same shape as one of events: ``bad`` of ``total``, so that the arithmetic
of budgets and burn rates is the same. An empty slice is good for Timeslices, whose number of slices
is fixed by the window, and is left out of the mean of RatioTimeslices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import gcd

from penstock.domain.evidence import EventCounts
from penstock.domain.slo import Budgeting, Occurrences, Timeslices

FIVE_MINUTES = 300
_NONE, _ONE = Decimal(0), Decimal(1)


@dataclass(frozen=True, slots=True)
class TimesliceRule:
    """How time is sliced.

    Attributes:
        seconds: the length of a slice.
        target: the share of good events from which a slice is good; None: a slice is as bad as its
            share of bad events.
    """

    seconds: int
    target: Decimal | None

    def bad(self, count: EventCounts | None) -> Decimal:
        """How bad one slice is, from 0 to 1: 3 bad of 100 is 0.03, or 1 under a target of 98%."""
        if count is None or count.total <= 0:
            return _NONE
        share = count.bad / count.total
        if self.target is None:
            return share
        return _ONE if _ONE - share < self.target else _NONE

    def is_counted(self, count: EventCounts | None) -> bool:
        """Whether a slice takes part."""
        return self.target is not None or (count is not None and count.total > 0)


def timeslice_rule(budgeting: Budgeting) -> TimesliceRule | None:
    """How a budgeting method slices time; None for Occurrences, which does not."""
    if isinstance(budgeting, Occurrences):
        return None
    target = budgeting.target.ratio.value if isinstance(budgeting, Timeslices) else None
    return TimesliceRule(int(budgeting.slice.seconds), target)


def bucket_seconds(budgeting: Budgeting) -> int:
    """Seconds of a bucket: five minutes, unless slices need shorter ones.

    A slice of 1m needs 60, one of 15m is three of 300, one of 6m six of 60.
    """
    timeslices = timeslice_rule(budgeting)
    if timeslices is None:
        return FIVE_MINUTES
    short = timeslices.seconds < FIVE_MINUTES
    return timeslices.seconds if short else gcd(timeslices.seconds, FIVE_MINUTES)


def count_slices(
    timeslices: TimesliceRule, parts: Sequence[EventCounts | None], resolution: int
) -> EventCounts:
    """Bad slices of all slices, from consecutive buckets that begin at a slice's boundary.

    Twelve buckets of 5m, of which the last has 10 bad of 100, and slices of 30m with a target of
    99%: one bad slice of two if the other buckets were quiet.
    """
    width = max(1, timeslices.seconds // resolution)
    bad, slices = _NONE, 0
    for begin in range(0, len(parts) - len(parts) % width, width):
        whole = sum_counts(parts[begin : begin + width])
        if timeslices.is_counted(whole):
            bad, slices = bad + timeslices.bad(whole), slices + 1
    return EventCounts(bad, Decimal(slices))


def sum_counts(parts: Sequence[EventCounts | None]) -> EventCounts | None:
    """The events of several buckets; None where none has any to speak of."""
    there = [part for part in parts if part is not None]
    if not there:
        return None
    return EventCounts(sum((p.bad for p in there), _NONE), sum((p.total for p in there), _NONE))

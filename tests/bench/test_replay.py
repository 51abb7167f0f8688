"""What a release that is always under way is held for, in weeks that a test makes up."""

from __future__ import annotations

from decimal import Decimal

import pytest
from benchmarks.gate.replay import GRAIN, Bucket, Replayed, figures, replay, replayed, seen
from benchmarks.month.data import Count as TrueCount
from benchmarks.month.data import Service
from benchmarks.month.ours import slo

from penstock.domain.evidence import EventCounts

BEGIN = 1_790_812_800
HOUR = 3_600 // GRAIN
WEEK = 7 * 24 * HOUR
BUDGET = 0.001
SLO = slo("shop", 'requests{code="500"}', "requests", "99.9%", "7d")
"""Of a week its page pairs are 3.36 over 1h and 5m, 1.4 over 6h and 30m."""


def week(*burns: float, usual: float = 0.5, total: int = 10_000) -> list[Bucket]:
    """A week of buckets of so many events; the burn rates are those in the middle of it."""
    before = [usual] * ((WEEK - len(burns)) // 2)
    after = [usual] * (WEEK - len(burns) - len(before))
    return [
        Bucket(
            BEGIN + GRAIN * n, EventCounts(Decimal(round(burn * BUDGET * total)), Decimal(total))
        )
        for n, burn in enumerate((*before, *burns, *after), 1)
    ]


def test_errors_that_the_objective_allows_hold_nothing():
    assert replay(SLO, week(usual=0.8)) == Replayed(holds=0, blind=0, hours=0, alerts=0)


def test_an_incident_holds_once_until_it_has_been_calm_for_ten_minutes():
    """Burning for four buckets, then 30m must forget them, then ten minutes."""
    found = replay(SLO, week(*[100] * 4))
    assert (found.holds, found.blind, found.alerts) == (1, 0, 1)
    assert found.hours == pytest.approx((4 + 5 + 2) * GRAIN / 3_600)


def test_a_few_errors_among_few_events_hold_nothing_but_begin_many_alerts():
    one_error = [1 / BUDGET / 4, *[0.0] * (2 * HOUR)]
    found = replay(SLO, week(*one_error * 4, usual=0, total=4))
    assert (found.holds, found.alerts) == (0, 4)


def test_what_cannot_be_measured_holds_too_and_is_counted_apart():
    buckets = week()
    for n in range(WEEK // 2, WEEK // 2 + HOUR):
        buckets[n] = Bucket(buckets[n].end, None, is_stale=True)
    found = replay(SLO, buckets)
    assert (found.holds, found.blind) == (0, 1)
    assert found.hours == pytest.approx((HOUR - 1) * GRAIN / 3_600)


def test_an_outage_leaves_nothing_but_what_was_counted_before_it_began():
    begin = 1_000 * BEGIN
    outage = (begin + 400_000, begin + 1_300_000)
    service = Service("shop", "gappy", 4, outages=(outage,))
    counts = [TrueCount(1, 100), TrueCount(0, 30), TrueCount(0, 0), TrueCount(0, 0), (9, 400)]
    found = list(seen(counts, begin, service))
    assert [one.count and int(one.count.total) for one in found] == [100, 30, None, None, 400]
    assert [one.is_stale for one in found] == [False, True, True, True, False]


def test_the_class_that_is_held_most_often_is_the_figure():
    quiet, busy = Replayed(1, 0, 0.5, 4), Replayed(3, 0, 0.5, 9)
    (one,) = figures({"steady": [quiet, quiet], "batch": [busy, busy, quiet]}, "30d")
    assert "batch" in one.name
    assert (one.ours, one.theirs) == (pytest.approx(7 / 3), pytest.approx(22 / 3))
    assert one.holds
    (one,) = figures({"batch": [busy]}, "30d")
    assert not one.holds


@pytest.mark.xdist_group("month")
@pytest.mark.servers
def test_a_month_of_one_day_is_replayed_within_a_window_of_a_week(month):
    """So that trials with a small month see each class of service, and fail at nothing."""
    found = replayed(month)
    assert found.keys() == {one.kind for one in month.of_class()}
    assert found["idle"] == found["noerr"] == [Replayed(holds=0, blind=0, hours=0, alerts=0)]
    assert found["steady"][0].holds <= 2

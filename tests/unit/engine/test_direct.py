"""What is asked for an SLO whose window is read directly, and what is made of the counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from penstock.domain.evidence import EventCounts, Evidence, EvidenceKind
from penstock.domain.indicator import CountedEvents
from penstock.domain.quantities import Duration
from penstock.domain.window import CalendarWindow, Period
from penstock.engine.budget.direct import DirectPlan, evidence_from_counts, plan_direct_read
from penstock.engine.promql import Counts, IncreaseOver
from support.indicators import ratio, raw_ratio
from support.measuring import inquiry, slo

AT = datetime(2026, 3, 31, 12, tzinfo=UTC)
FRESH = Duration.parse("2m")
SHOP = ratio('x_total{code="500"}', "x_total")
HOUR, FIVE = IncreaseOver(Duration.parse("1h")), IncreaseOver(Duration.parse("5m"))


def planned(of=None, looks=("5m",)) -> DirectPlan:
    found = plan_direct_read(inquiry(of or slo("a", SHOP), looks), AT, FRESH)
    assert isinstance(found, DirectPlan), found
    return found


def counted(whole: str, look: str | None = None, **more) -> Counts:
    at = {HOUR: {7: EventCounts(Decimal(1), Decimal(whole))}}
    if look is not None:
        at[FIVE] = {7: EventCounts(Decimal(1), Decimal(look))}
    return Counts(at, **more)


def test_the_window_and_each_burn_window_are_asked_once_with_their_freshness():
    asked = planned(looks=("1h", "5m")).query
    assert asked.ranges == {HOUR, FIVE}
    assert asked.freshness == FRESH
    assert asked.key == (slo("a", SHOP).ref, 1)


def test_a_calendar_window_is_asked_from_its_start_daylight_saving_included():
    month = CalendarWindow(Period.MONTH, ZoneInfo("Europe/Berlin"), "Europe/Berlin")
    since = planned(slo("a", SHOP, window=month)).window
    assert since == Duration.parse("30d13h")  # 14:00 of the 31st, less the hour of the 29th
    begun = plan_direct_read(inquiry(slo("a", SHOP, window=month)), month.start(AT), FRESH)
    assert begun == Evidence(EvidenceKind.INSUFFICIENT_HISTORY, "the window has just begun")
    soon = month.start(AT) + timedelta(milliseconds=1)
    assert isinstance(
        plan_direct_read(inquiry(slo("a", SHOP, window=month)), soon, FRESH), DirectPlan
    )


def test_counts_are_a_reading_and_a_burn_window_without_data_is_left_out():
    found = evidence_from_counts(planned(), counted("1000", "10"), AT)
    assert found.kind is EvidenceKind.FRESH
    assert found.reading is not None
    assert found.reading.window_counts == EventCounts(Decimal(1), Decimal(1_000))
    assert set(found.reading.burn_windows) == {FIVE.length}
    assert evidence_from_counts(planned(), counted("1000"), AT).reading.burn_windows == {}


def test_a_window_without_data_is_absent_though_a_longer_window_has_some():
    found = evidence_from_counts(
        planned(), Counts({FIVE: {7: EventCounts(Decimal(1), Decimal(2))}}), AT
    )
    assert found == Evidence(EvidenceKind.ABSENT, "no events in the last 1h")


def test_what_could_not_be_counted_is_reported_as_it_is():
    trouble = Evidence(EvidenceKind.PARTIAL, "the answer is partial")
    assert evidence_from_counts(planned(), trouble, AT) == trouble


@pytest.mark.parametrize(
    ("way", "lacking", "kind"),
    [
        (CountedEvents.GOOD, [HOUR, FIVE], EvidenceKind.ABSENT),
        (CountedEvents.GOOD, [FIVE], EvidenceKind.FRESH),
        (CountedEvents.BAD, [HOUR, FIVE], EvidenceKind.FRESH),
    ],
)
def test_only_good_events_that_the_whole_window_lacks_are_a_slip(way, lacking, kind):
    of = slo("a", ratio("x_good", "x_total", way))
    found = evidence_from_counts(
        planned(of), counted("10", "5", without_events=frozenset(lacking)), AT
    )
    assert found.kind is kind


def test_a_ratio_of_no_events_never_has_too_few():
    of = slo("a", raw_ratio("r$window"), minimum=100)
    assert evidence_from_counts(planned(of), counted("1"), AT).kind is EvidenceKind.FRESH
    few = slo("a", SHOP, minimum=100)
    assert (
        evidence_from_counts(planned(few), counted("1"), AT).kind
        is EvidenceKind.INSUFFICIENT_EVENTS
    )

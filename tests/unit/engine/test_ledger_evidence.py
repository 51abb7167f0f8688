"""What a ledger and fresh counts together say of a budget, state by state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from penstock.domain.bucket_ring import BucketState
from penstock.domain.evidence import CountUnit, EventCounts, Evidence, EvidenceKind, Reading
from penstock.domain.ledger import HOUR, Ledger
from penstock.domain.quantities import Duration, Percentage, Ratio
from penstock.domain.slo import RatioTimeslices, Slo, Timeslices
from penstock.domain.timeslices import timeslice_rule
from penstock.domain.window import CalendarWindow, Period
from penstock.engine.budget.ledger_evidence import evidence_from_ledger
from penstock.engine.budget.ledger_plan import plan_ledger_read
from penstock.engine.promql import ExactBucket, IncreaseOver
from support.indicators import probe, ratio, raw_ratio
from support.measuring import slo

SHOP = ratio('x{code="500"}', "x")
NOW = datetime(2026, 11, 1, 12, 3, tzinfo=UTC)  # a Sunday
AT = int(NOW.timestamp())
BORDER = AT - 180
FIVE = Duration.parse("5m")
LOOKS = frozenset(Duration.parse(text) for text in ("5m", "1h", "6h"))


def count(bad: int, total: int) -> EventCounts:
    return EventCounts(Decimal(bad), Decimal(total))


def ledger(of: Slo | None = None, *, hours: int = 720, buckets: int = 7 * 12) -> Ledger:
    """Ten events in each bucket, of which one is bad, up to the border; before it whole hours."""
    made = Ledger(300, 30 * 24 * HOUR)
    timeslices = timeslice_rule(of.budgeting) if of else None
    if timeslices:
        made.add_timeslices(timeslices)
    begin = (BORDER - buckets * 300) // HOUR * HOUR
    made.begin(begin)
    for hour in range(begin // HOUR - hours, begin // HOUR):
        made.backfill(hour, [count(1, 10)] * 12, BucketState.SEALED)
    for end in range(begin + 300, BORDER + 1, 300):
        made.close(end, count(1, 10))
    return made


def read(
    slo: Slo,
    book: Ledger,
    fresh: Mapping[str, EventCounts] | None = None,
    release_starts: frozenset[datetime] = frozenset(),
) -> Evidence:
    counts = {"3m": count(2, 6), "5m": count(2, 12)} if fresh is None else fresh
    by_burn_window = {Duration.parse(look): found for look, found in counts.items()}
    return evidence_from_ledger(
        plan_ledger_read(slo, LOOKS, book, NOW), book, by_burn_window, release_starts
    )


def test_a_window_is_what_is_closed_and_what_is_open() -> None:
    evidence = read(slo("a", SHOP, window="1d"), ledger())
    assert evidence.kind is EvidenceKind.FRESH
    assert evidence.reading is not None
    # 23 h 57 m of ten events in five minutes, and six in the last three.
    assert evidence.reading.window_counts.total == Decimal("2874") + 6
    assert evidence.reading.burn_windows[FIVE] == count(2, 12)
    assert evidence.reading.coverage == 1


def test_a_new_ledger_is_being_filled() -> None:
    new = Ledger(300, 24 * HOUR)
    new.begin(BORDER - 6 * HOUR)
    evidence = read(slo("a", SHOP, window="1d"), new)
    assert (evidence.kind, evidence.detail) == (EvidenceKind.WARMING_UP, "Backfilling 0%")


def test_how_much_of_the_past_has_been_read_is_reported() -> None:
    evidence = read(slo("a", SHOP, window="1d"), ledger(hours=3))
    assert (evidence.kind, evidence.detail) == (EvidenceKind.WARMING_UP, "Backfilling 41%")
    assert evidence.reading is not None
    assert evidence.reading.remaining is None
    assert evidence.reading.burn_windows.keys() == LOOKS


def so_far(slo: Slo, book: Ledger, *looks: str) -> Reading:
    needed = LOOKS | {Duration.parse(look) for look in looks}
    fresh = {FIVE: count(2, 12), Duration.parse("3m"): count(2, 6)}
    found = evidence_from_ledger(plan_ledger_read(slo, needed, book, NOW), book, fresh)
    assert found.kind is EvidenceKind.WARMING_UP
    assert found.so_far is not None
    return found.so_far


def test_what_is_known_so_far_is_reported_as_if_the_rest_had_no_errors() -> None:
    """Of the day 10 hours and 3 minutes are known: their 122 bad of what would be 2,880 events."""
    reading = so_far(slo("a", SHOP, window="1d"), ledger(hours=3), "12h")
    assert reading.window_counts.bad == 10 * 12 + 2
    assert reading.window_counts.total == pytest.approx(2_880, rel=Decimal("0.02"))
    half = reading.burn_windows[Duration.parse("12h")]
    assert half.bad == 10 * 12 + 2
    assert half.total == pytest.approx(1_440, rel=Decimal("0.02"))
    assert reading.burn_windows.keys() == LOOKS | {Duration.parse("12h")}


def test_of_a_ledger_that_has_just_begun_nothing_is_known_so_far() -> None:
    new = Ledger(300, 24 * HOUR)
    new.begin(BORDER)
    reading = so_far(slo("a", SHOP, window="1d"), new, "12h")
    assert reading.remaining is None
    assert reading.burn_windows[Duration.parse("12h")] == count(0, 0)


@pytest.mark.parametrize(
    "method", [Timeslices(FIVE, Percentage.parse("95%")), RatioTimeslices(FIVE)]
)
def test_slices_are_known_so_far_as_slices(method: Timeslices | RatioTimeslices) -> None:
    one = slo("a", SHOP, window="1d", objective="50%", budgeting=method)
    found = so_far(one, ledger(one, hours=3), "12h")
    assert found.window_counts.total == pytest.approx(288, rel=Decimal("0.02"))
    half = found.burn_windows[Duration.parse("12h")]
    assert half.total == pytest.approx(144, rel=Decimal("0.02"))
    assert half.events == 10 * 12 + 2


def test_one_that_fell_behind_is_no_young_one() -> None:
    """What was known before may have held a release, so it must not be judged by burn alone."""
    behind = ledger()
    one = slo("a", SHOP, window="1d")
    later = NOW + timedelta(hours=2)
    found = evidence_from_ledger(plan_ledger_read(one, LOOKS, behind, later), behind, {})
    assert found.kind is EvidenceKind.STALE
    assert found.detail == "the ledger ends at 12:00 UTC and is catching up"


def test_a_window_without_any_data_is_absent() -> None:
    empty = Ledger(300, 24 * HOUR)
    empty.begin(BORDER - 25 * HOUR)
    for end in range(empty.closed_until + 300, BORDER + 1, 300):
        empty.close(end, None)
    assert read(slo("a", SHOP, window="1d"), empty, {}).kind is EvidenceKind.ABSENT


def test_a_pause_in_the_data_is_judged_by_what_is_known_and_its_windows_by_nothing() -> None:
    """Whether the pause is too long is a matter of freshness, which the question itself settles."""
    evidence = read(slo("a", SHOP, window="1d"), ledger(), {})
    assert evidence.kind is EvidenceKind.FRESH
    assert evidence.reading is not None
    assert evidence.reading.events(FIVE) is None
    assert evidence.reading.burn_windows.keys() == LOOKS - {FIVE}


def test_too_little_data_and_none_of_it_new_is_no_young_service() -> None:
    """What is young may start; what has died may not."""
    known = Ledger(300, 24 * HOUR)
    known.begin(BORDER - 25 * HOUR)
    ends = range(known.closed_until + 300, BORDER + 1, 300)
    for end in ends:
        known.close(end, count(1, 10) if end in ends[-24:-12] else None)
    one = slo("a", SHOP, window="1d")
    assert read(one, known).kind is EvidenceKind.INSUFFICIENT_HISTORY
    evidence = read(one, known, {})
    assert evidence == Evidence(
        EvidenceKind.ABSENT, "1h of 1d is known, and nothing of the last 5m"
    )


def test_a_calendar_period_that_has_just_begun_has_no_budget_to_judge() -> None:
    """At noon in UTC Monday begins twelve hours further east."""
    week = CalendarWindow(Period.WEEK, timezone(timedelta(hours=12)), "UTC+12")
    assert NOW - week.start(NOW) == timedelta(minutes=3)
    evidence = read(slo("a", SHOP, window=week), ledger())
    assert evidence.kind is EvidenceKind.INSUFFICIENT_HISTORY
    assert evidence.reading is not None
    assert evidence.reading.burn_windows.keys() == LOOKS


@pytest.mark.parametrize(
    ("begins", "seen", "known"),
    [(0, count(13, 26), "13m"), (10, count(3, 6), "3m"), (13, count(0, 0), "0s")],
)
def test_of_what_is_open_a_calendar_period_counts_what_came_since_it_began(
    begins: int, seen: EventCounts, known: str
) -> None:
    """Of thirteen open minutes the last ones only, if so be; a look back counts what it counts."""
    zone = timezone(timedelta(hours=12, minutes=-begins))
    week, now = CalendarWindow(Period.WEEK, zone, "east"), NOW + timedelta(minutes=10)
    fresh, book = {Duration.parse("13m"): count(13, 26), FIVE: count(5, 10)}, ledger()
    events = slo("a", SHOP, window=week)
    found = evidence_from_ledger(plan_ledger_read(events, LOOKS, book, now), book, fresh)
    assert found.detail == f"{known} of 7d is known; a budget needs 16h48m"
    assert found.reading is not None
    assert (found.reading.window_counts, found.reading.burn_windows[FIVE]) == (seen, count(5, 10))
    slices = replace(events, budgeting=RatioTimeslices(FIVE))
    sliced = evidence_from_ledger(plan_ledger_read(slices, LOOKS, book, now), book, fresh).reading
    assert sliced is not None
    assert sliced.traffic == seen


def test_slices_are_judged_as_slices() -> None:
    method = Timeslices(FIVE, Percentage.parse("95%"))
    one = slo("a", SHOP, window="1d", objective="50%", budgeting=method)
    evidence = read(one, ledger(one))
    assert evidence.reading is not None
    assert evidence.reading.unit is CountUnit.SLICES
    # Every slice has 10 % bad, which is more than 5 %; there are 288, of which 287 are closed.
    assert evidence.reading.window_counts == count(287, 288)
    hour = evidence.reading.burn_windows[Duration.parse("1h")]
    assert (hour.bad, hour.total) == (12, 12)
    assert hour.events == Decimal("13.4")
    assert evidence.reading.bad_events(Duration.parse("1h")) == Decimal("13.4")


def test_the_mean_of_shares_leaves_empty_slices_out() -> None:
    one = slo("a", SHOP, window="1d", objective="50%", budgeting=RatioTimeslices(FIVE))
    evidence = read(one, ledger(one))
    assert evidence.reading is not None
    assert evidence.reading.window_counts == EventCounts(Decimal("28.7"), Decimal(287))


@pytest.mark.parametrize(
    ("indicator", "unit"),
    [
        (SHOP, CountUnit.EVENTS),
        (probe("up"), CountUnit.SECONDS),
        (raw_ratio("r$window"), CountUnit.SHARES),
    ],
)
def test_what_is_counted_depends_on_the_indicator(indicator, unit) -> None:
    found = read(slo("a", indicator, window="1d"), ledger())
    assert found.reading is not None
    assert found.reading.unit is unit


def test_shares_have_no_number_of_bad_events() -> None:
    evidence = read(slo("a", raw_ratio("r$window"), window="1d", minimum=1_000_000), ledger())
    assert evidence.kind is EvidenceKind.FRESH
    assert evidence.reading is not None
    assert evidence.reading.bad_events(FIVE) is None


def test_burn_windows_that_the_ledger_lacks_are_asked_for() -> None:
    one = slo("a", SHOP, window="1d")
    asked = {str(burn_window) for burn_window in plan_ledger_read(one, LOOKS, ledger(), NOW).asked}
    assert asked == {"3m", "5m"}
    asked = {
        str(burn_window)
        for burn_window in plan_ledger_read(one, LOOKS, ledger(buckets=12), NOW).asked
    }
    assert asked == {"3m", "5m", "6h"}


def test_while_a_release_depends_on_it_short_windows_are_read_exactly() -> None:
    exact, plainly = (
        plan_ledger_read(
            slo("a", SHOP, window="1d"), LOOKS, ledger(buckets=12), NOW, hot=hot
        ).ranges.by_burn_window
        for hot in (True, False)
    )
    assert {
        type(count_range) for burn_window, count_range in exact.items() if burn_window <= FIVE
    } == {ExactBucket}
    assert type(exact[Duration.parse("6h")]) is IncreaseOver
    assert {type(count_range) for count_range in plainly.values()} == {IncreaseOver}


def test_recorded_shares_are_not_asked_for_over_odd_lengths() -> None:
    plan = plan_ledger_read(slo("a", raw_ratio("r$window"), window="1d"), LOOKS, ledger(), NOW)
    assert plan.asked == {FIVE}


def spent(
    slo: Slo, book: Ledger, minutes: str, fresh: Mapping[str, EventCounts] | None = None
) -> object:
    """What was bad since a release began, so many minutes ago."""
    onset = NOW - timedelta(minutes=float(minutes))
    evidence = read(slo, book, fresh, frozenset({onset}))
    return evidence.reading.bad_since.get(onset) if evidence.reading else None


@pytest.mark.parametrize(
    ("minutes", "bad"),
    [
        ("3", "2"),  # the border: what is open
        ("8", "3"),  # a bucket more
        ("63", "14"),
        ("5.5", "2.5"),  # half a bucket more
        ("1.5", "1"),  # half of what is open
        ("0", "0"),
    ],
)
def test_what_was_bad_since_a_release_began(minutes: str, bad: str) -> None:
    assert spent(slo("a", SHOP, window="1d"), ledger(), minutes) == Decimal(bad)


def test_of_a_release_that_is_older_than_the_window_the_window_counts() -> None:
    one = slo("a", SHOP, window="1h")
    evidence = read(one, ledger(), None, frozenset({NOW - timedelta(hours=9)}))
    assert evidence.reading is not None
    (bad,) = evidence.reading.bad_since.values()
    assert bad == evidence.reading.window_counts.bad
    assert evidence.reading.spent_since(NOW - timedelta(hours=9)) == Ratio.of(
        1 - (evidence.reading.remaining or Ratio(Decimal(9))).value
    )


def test_what_was_spent_is_a_share_of_the_whole_windows_budget() -> None:
    """14 bad events, of which a day with 2880 allows 28.8."""
    onset = NOW - timedelta(minutes=63)
    evidence = read(slo("a", SHOP, window="1d"), ledger(), None, frozenset({onset}))
    assert evidence.reading is not None
    assert evidence.reading.spent_since(onset) == Ratio.of(Decimal(14) / Decimal("28.8"))
    assert evidence.reading.spent_since(NOW) is None


def test_what_the_ledger_does_not_know_yet_is_not_reported_as_spent() -> None:
    one = slo("a", SHOP, window="1d")
    assert spent(one, ledger(hours=0, buckets=12), "300") is None
    new = Ledger(300, 24 * HOUR)
    new.begin(BORDER)
    evidence = read(one, new, None, frozenset({NOW}))
    assert evidence.reading is not None
    assert evidence.reading.spent_since(NOW) is None


def test_slices_that_were_bad_since_a_release_began() -> None:
    method = Timeslices(FIVE, Percentage.parse("95%"))
    one = slo("a", SHOP, window="1d", objective="50%", budgeting=method)
    assert spent(one, ledger(one), "13") == 3  # two that are closed, and what is open
    assert spent(one, ledger(one), "16") == 3  # and a part of one more, which is not counted


def test_of_recorded_shares_nothing_is_reported_of_what_is_open() -> None:
    one = slo("a", raw_ratio("r$window"), window="1d")
    fresh = {"5m": count(0, 1)}
    assert spent(one, ledger(), "2", fresh) is None
    assert spent(one, ledger(), "8", fresh) == 1


def test_what_is_asked_does_not_depend_on_releases() -> None:
    one = slo("a", SHOP, window="1d")
    plain, with_onset = (
        read(one, ledger(), None, release_starts)
        for release_starts in (frozenset(), frozenset({NOW}))
    )
    assert plain.reading is not None
    assert with_onset.reading is not None
    assert replace(with_onset.reading, bad_since={}) == plain.reading

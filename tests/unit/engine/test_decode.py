"""Rows as evidence: exact where they are numbers, and never a number where they are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.evidence import EventCounts, Evidence, EvidenceGrade, EvidenceKind
from penstock.domain.indicator import CountedEvents
from penstock.domain.quantities import Duration
from penstock.engine.budget.direct import DirectPlan, evidence_from_counts, plan_direct_read
from penstock.engine.promql import decode_counts
from penstock.engine.promql.query_client import Series
from support.indicators import ratio
from support.measuring import inquiry, slo

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR, FIVE = Duration.parse("1h"), Duration.parse("5m")


def asked(counted: CountedEvents = CountedEvents.BAD, minimum: int = 0) -> DirectPlan:
    of = slo("a", ratio("e_total", "t_total", counted), minimum=minimum)
    found = plan_direct_read(inquiry(of, ["5m"]), AT, Duration.parse("2m"))
    assert isinstance(found, DirectPlan)
    return found


def answered(texts: Mapping[str, Sequence[str]]) -> dict[str, list[Series]]:
    """Rows of one instant."""
    return {name: [({}, ((0, one),)) for one in some] for name, some in texts.items()}


def evidence_of(planned: DirectPlan, texts: Mapping[str, Sequence[str]]) -> Evidence:
    return evidence_from_counts(planned, decode_counts(planned.query, answered(texts)), AT)


def read(
    counted: CountedEvents = CountedEvents.BAD, minimum: int = 0, **texts: str | None
) -> Evidence:
    """Evidence of a healthy answer in which some legs are other ones, or missing."""
    healthy = {
        "e3600000": "10",
        "t3600000": "1000",
        "e300000": "1",
        "t300000": "100",
        "age": "7.5",
    }
    legs = {name: text for name, text in (healthy | texts).items() if text is not None}
    return evidence_of(asked(counted, minimum), {name: [text] for name, text in legs.items()})


def test_a_healthy_answer_is_a_reading_of_exact_numbers():
    evidence = read()
    assert evidence.kind is EvidenceKind.FRESH
    assert evidence.reading is not None
    assert evidence.reading.at == AT
    assert evidence.reading.window == HOUR
    assert evidence.reading.window_counts == EventCounts(Decimal(10), Decimal(1_000))
    assert evidence.reading.burn_windows == {FIVE: EventCounts(Decimal(1), Decimal(100))}
    assert str(evidence.reading.remaining) == "0"
    assert str(evidence.reading.burn(FIVE)) == "1"


def test_good_events_are_taken_from_the_total():
    evidence = read(CountedEvents.GOOD, e3600000="990", e300000="99")
    assert evidence.reading is not None
    assert evidence.reading.window_counts == EventCounts(Decimal(10), Decimal(1_000))


def test_binary_noise_is_no_event():
    evidence = read(CountedEvents.GOOD, e3600000="999.9999999999999", e300000="100")
    assert evidence.reading is not None
    assert evidence.reading.window_counts.bad == 0


@pytest.mark.parametrize(("counted", "bad"), [(CountedEvents.BAD, 0), (CountedEvents.GOOD, 100)])
def test_events_that_are_missing_in_a_burn_window_are_none(counted, bad):
    found = read(counted, e300000=None)
    assert found.reading is not None
    assert found.reading.burn_windows[FIVE].bad == bad


def test_bad_events_that_were_never_born_are_none():
    evidence = read(e3600000=None, e300000=None)
    assert evidence.reading is not None
    assert evidence.reading.window_counts.bad == 0


def test_good_events_that_were_never_born_are_a_slip_of_the_pen():
    evidence = read(CountedEvents.GOOD, e3600000=None, e300000=None)
    assert evidence == Evidence(
        EvidenceKind.ABSENT,
        "there are 1000 events in the last 1h, but no series matches spec.indicator.ratio.good",
    )


def test_good_events_that_were_never_born_are_none_where_nothing_happened():
    evidence = read(CountedEvents.GOOD, e3600000=None, e300000=None, t3600000="0", t300000="0")
    assert evidence.kind is EvidenceKind.NO_TRAFFIC


def test_nothing_happened_is_no_traffic_with_a_reading():
    evidence = read(e3600000="0", t3600000="0", e300000="0", t300000="0")
    assert evidence.kind is EvidenceKind.NO_TRAFFIC
    assert evidence.reading is not None


def test_few_events_are_insufficient():
    assert read(minimum=1_001).kind is EvidenceKind.INSUFFICIENT_EVENTS
    assert read(minimum=1_000).kind is EvidenceKind.FRESH


def test_a_burn_window_without_a_total_is_left_out():
    evidence = read(t300000=None)
    assert evidence.kind is EvidenceKind.FRESH
    assert evidence.reading is not None
    assert evidence.reading.burn_windows == {}


def test_no_total_is_absent():
    nothing = dict.fromkeys(("e3600000", "t3600000", "e300000", "t300000"))
    for age in (None, "190"):
        assert "no series matches" in read(**nothing, age=age).detail
        assert read(**nothing, age=age).kind is EvidenceKind.ABSENT
    assert "a single sample so far" in read(**nothing).detail


@pytest.mark.parametrize(
    ("age", "says"),
    [
        ("190", "the newest sample is 3m old, more than 2m (freshness)"),
        ("120.001", "the newest sample is 2m old, more than 2m (freshness)"),
        (None, "no new sample for more than 2m (freshness)"),
    ],
)
def test_nothing_new_is_stale(age, says):
    assert read(age=age) == Evidence(EvidenceKind.STALE, says)


def test_what_is_as_old_as_it_may_be_is_fresh():
    assert read(age="120").kind is EvidenceKind.FRESH


@pytest.mark.parametrize(
    ("age", "kind"), [("-30", EvidenceKind.FRESH), ("-31", EvidenceKind.STALE)]
)
def test_the_future_is_tolerated_for_half_a_minute(age, kind):
    assert read(age=age).kind is kind


@pytest.mark.parametrize("leg", ["e3600000", "t3600000", "e300000", "t300000", "age"])
@pytest.mark.parametrize(
    "text", ["NaN", "+Inf", "-Inf", "", "x", "1e400", "1e16", "a histogram", "no number", "0x1"]
)
def test_what_is_no_number_is_malformed_wherever_it_is(leg, text):
    found = read(**{leg: text})
    assert found.kind is EvidenceKind.MALFORMED
    assert found.reading is None
    assert f'"{text}"' in found.detail


@pytest.mark.parametrize("leg", ["e3600000", "t3600000", "e300000", "t300000"])
def test_a_negative_count_is_malformed(leg):
    assert read(**{leg: "-0.5"}).kind is EvidenceKind.MALFORMED


def test_minus_nothing_is_nothing():
    assert read(e3600000="-0.0", e300000="-0").kind is EvidenceKind.FRESH


def test_two_rows_where_one_is_needed_are_ambiguous():
    evidence = evidence_of(asked(), {"t3600000": ["1", "2"]})
    assert evidence == Evidence(
        EvidenceKind.AMBIGUOUS, "2 series for total in the last 1h, where one is needed"
    )


@pytest.mark.parametrize(
    ("events", "total", "kind"),
    [
        ("1009", "1000", EvidenceKind.FRESH),
        ("1011", "1000", EvidenceKind.MALFORMED),
        ("5", "4", EvidenceKind.FRESH),
        ("5.1", "4", EvidenceKind.MALFORMED),
    ],
)
@pytest.mark.parametrize("counted", list(CountedEvents))
def test_more_events_than_there_are_is_an_error_of_one_percent_or_one_event(
    counted, events, total, kind
):
    found = read(counted, e3600000=events, t3600000=total)
    assert found.kind is kind
    if found.reading is not None:
        expected = found.reading.window_counts.total if counted is CountedEvents.BAD else 0
        assert found.reading.window_counts.bad == expected


LEGS = st.sampled_from(["e3600000", "t3600000", "e300000", "t300000", "age", "zzz"])
NUMBERS = st.one_of(
    st.floats().map(str),
    st.decimals().map(str),
    st.integers(min_value=0, max_value=2_000).map(str),
    st.text(max_size=8),
)


@given(
    st.dictionaries(LEGS, st.lists(NUMBERS, max_size=2)),
    st.sampled_from(CountedEvents),
    st.integers(0, 1_000),
)
def test_whatever_comes_is_evidence_and_a_reading_always_makes_sense(answer, counted, minimum):
    found = evidence_of(asked(counted, minimum), answer)
    if found.reading is None:
        assert found.grade is EvidenceGrade.OUTAGE
        assert found.detail
        return
    for count in (found.reading.window_counts, *found.reading.burn_windows.values()):
        assert 0 <= count.bad <= count.total < 10**16

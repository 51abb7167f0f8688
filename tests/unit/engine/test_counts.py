"""Rows as counts: of each kind of indicator, at one instant and at many."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.evidence import EventCounts, Evidence, EvidenceKind
from penstock.domain.indicator import CountedEvents, Indicator
from penstock.domain.quantities import Duration
from penstock.engine.promql import (
    CountQuery,
    CountRange,
    Counts,
    ExactBucket,
    IncreaseOver,
    build_indicator_query,
    decode_counts,
)
from penstock.engine.promql.histogram_buckets import BucketBoundsKey, BucketBoundsQuery, no_bucket
from penstock.engine.promql.query_client import Series
from support.indicators import latency, probe, query, ratio, raw_ratio

FIVE = Duration.parse("5m")
LOOK, CLOSE = IncreaseOver(FIVE), ExactBucket(FIVE, Duration.parse("1h"))
SPLIT = ratio('x{code=~"5.."}', "x")
SPLIT_GOOD = ratio('x{code!~"5.."}', "x", CountedEvents.GOOD)
SLOW = latency("h_bucket", "300ms")


def read(
    indicator: Indicator, count_range: CountRange = LOOK, **parts: str | dict[int, str]
) -> Counts | Evidence:
    """The counts of rows by part; a text stands for one at time 7."""
    answer = {}
    for part, texts in parts.items():
        points = {7: texts} if isinstance(texts, str) else texts
        answer[f"{part}{count_range}"] = [({}, tuple(points.items()))]
    return decode_counts(
        CountQuery("key", build_indicator_query(indicator), frozenset({count_range})), answer
    )


def once(bad: str, total: str) -> dict[int, EventCounts]:
    return {7: EventCounts(Decimal(bad), Decimal(total))}


@pytest.mark.parametrize("leg", [LOOK, CLOSE])
def test_all_events_are_those_that_are_counted_and_the_others(leg):
    assert read(SPLIT, leg, e="3", o="7").at == {leg: once("3", "10")}
    assert read(SPLIT_GOOD, leg, e="3", o="7").at == {leg: once("7", "10")}


def test_an_error_series_that_was_never_born_is_0_and_an_outage_is_all():
    assert read(SPLIT, o="7") == Counts({LOOK: once("0", "7")}, frozenset({LOOK}))
    assert read(SPLIT, e="3") == Counts({LOOK: once("3", "3")})
    assert read(SPLIT_GOOD, o="7") == Counts({LOOK: once("7", "7")}, frozenset({LOOK}))


def test_nothing_is_no_count():
    for indicator in (SPLIT, SLOW, probe("up"), query("a$window", "b$window"), raw_ratio("r")):
        assert read(indicator) == Counts({LOOK: {}})


def lately(indicator: Indicator, *, remembered: bool, **found: str) -> Counts | Evidence:
    """The answer of the last five minutes, in which there was nothing."""
    answer = {name: [({}, ((7, text),))] for name, text in found.items()}
    fresh = Duration.parse("1h")
    return decode_counts(
        CountQuery("key", build_indicator_query(indicator), frozenset({LOOK}), fresh, remembered),
        answer,
    )


def test_nothing_lately_is_absent_only_where_no_past_is_known():
    assert lately(SPLIT, remembered=True, age="7.5") == Counts({LOOK: {}})
    found = lately(SPLIT, remembered=False, age="7.5")
    assert isinstance(found, Evidence)
    assert found.kind is EvidenceKind.ABSENT


def test_what_is_remembered_is_stale_once_it_is_older_than_it_may_be():
    found = lately(SPLIT, remembered=True)
    assert found == Evidence(EvidenceKind.STALE, "no new sample for more than 1h (freshness)")


@pytest.mark.parametrize("indicator", [query("a$window", "b$window"), raw_ratio("r")])
def test_an_expression_of_unknown_age_is_absent_whatever_is_remembered(indicator):
    found = lately(indicator, remembered=True)
    assert isinstance(found, Evidence)
    assert found.kind is EvidenceKind.ABSENT


def test_of_a_histogram_good_is_the_bucket_and_total_is_everything():
    assert read(SLOW, e="7", t="10").at == {LOOK: once("3", "10")}
    assert read(SLOW, e="0", t="0").at == {LOOK: once("0", "0")}


def test_a_missing_bucket_is_a_mistake_of_the_author_traffic_or_not():
    for total in ("0", "10"):
        found = read(SLOW, t=total)
        assert isinstance(found, Evidence)
        assert found.kind is EvidenceKind.SLO_INVALID


def test_a_share_is_of_all_events_and_of_none_it_is_nothing():
    native = latency("h", "300ms")
    assert read(native, f="0.7", t="10").at == {LOOK: once("3.0", "10")}
    assert read(native, f="NaN", t="0").at == {LOOK: once("0", "0")}
    assert read(raw_ratio("r"), f="0.25").at == {LOOK: once("0.25", "1")}
    assert read(raw_ratio("r"), f="NaN").at == {LOOK: {}}
    assert read(raw_ratio("r"), f="1.0000000000000002").at == {LOOK: once("1", "1")}


@pytest.mark.parametrize("text", ["1.1", "-0.1", "+Inf", "x"])
def test_a_share_outside_of_0_to_1_is_malformed(text):
    for parts in ({"f": text}, {"f": text, "t": "5"}):
        found = read(raw_ratio("r") if len(parts) == 1 else latency("h", "1s"), **parts)
        assert isinstance(found, Evidence)
        assert found.kind is EvidenceKind.MALFORMED
        assert "which is no" in found.detail


def test_a_probe_is_counted_in_seconds_and_never_by_stray_values():
    assert read(probe("up"), e="240", t="300").at == {LOOK: once("60", "300")}
    assert read(probe("up"), t="300").at == {LOOK: once("300", "300")}
    stray = read(probe("up"), e="240", t="300", s="1")
    assert isinstance(stray, Evidence)
    assert stray.kind is EvidenceKind.MALFORMED


def test_many_instants_are_counted_each_by_itself():
    found = read(SPLIT, e={1: "1", 3: "3"}, o={1: "9", 2: "8"})
    assert found == Counts(
        {
            LOOK: {
                1: EventCounts(Decimal(1), Decimal(10)),
                2: EventCounts(Decimal(0), Decimal(8)),
                3: EventCounts(Decimal(3), Decimal(3)),
            }
        },
        frozenset({LOOK}),
    )


def test_an_instant_that_cannot_be_used_costs_no_other():
    found = read(SPLIT, o={1: "9", 2: "NaN", 3: "7"})
    assert isinstance(found, Counts)
    assert set(found.at[LOOK]) == {1, 3}
    none_left = read(SPLIT, o={1: "-1", 2: "NaN"})
    assert isinstance(none_left, Evidence)
    assert none_left.kind is EvidenceKind.MALFORMED


def test_an_instant_is_used_for_all_ranges_or_for_none():
    """One number that is wrong throws doubt on the others of its moment."""
    answer = {f"o{LOOK}": [({}, ((1, "9"), (2, "9")))], f"o{CLOSE}": [({}, ((1, "x"),))]}
    found = decode_counts(
        CountQuery("key", build_indicator_query(SPLIT), frozenset({LOOK, CLOSE})), answer
    )
    assert isinstance(found, Counts)
    assert {count_range: set(times) for count_range, times in found.at.items()} == {
        LOOK: {2},
        CLOSE: set(),
    }


PARTS = st.dictionaries(
    st.sampled_from("eotfs"),
    st.dictionaries(
        st.integers(0, 3), st.floats(0, 100).map(str) | st.text(max_size=4), max_size=3
    ),
)


@given(
    PARTS,
    st.sampled_from(
        [SPLIT, SPLIT_GOOD, SLOW, latency("h", "1s"), probe("up"), query("a", "b"), raw_ratio("r")]
    ),
)
def test_whatever_comes_counts_make_sense(parts, indicator):
    found = read(indicator, **parts)
    if isinstance(found, Evidence):
        assert found.detail
        return
    for count in found.at[LOOK].values():
        assert 0 <= count.bad <= count.total


def bucket(boundary: str, label: str = "0") -> Series:
    return ({"le": boundary, "penstock": label}, ((0, "1"),))


@pytest.mark.parametrize(
    ("borders", "nearest"),
    [
        (["0.1", "0.25", "0.5", "+Inf"], "; the nearest: 250ms and 500ms"),
        (["1.0", "1", "2", "+Inf"], "; the nearest: 1s"),
        (["0.2", "NaN", "x", ""], "; the nearest: 200ms"),
        (["0.0005", "0.2995"], "; the nearest: 0.2995 s"),
        (["1e30", "-1"], "; the nearest: -1 s and 1000000000000000000000000000000 s"),
        (["+Inf"], ""),
        ([], ""),
    ],
)
def test_the_nearest_buckets_are_given_in_terms_of_the_threshold(borders, nearest):
    answer = {"borders": [bucket(border) for border in borders]}
    assert no_bucket(SLOW, answer) == Evidence(
        EvidenceKind.SLO_INVALID,
        f"spec.indicator.latency.threshold: 300ms is not a bucket of the histogram{nearest}",
    )
    assert no_bucket(SLOW, Evidence(EvidenceKind.PARTIAL)) == no_bucket(SLOW)


def test_buckets_are_asked_of_many_at_once_and_separated():
    questions = [BucketBoundsKey(n, SLOW.histogram) for n in range(3)]
    form = BucketBoundsQuery()
    assert [len(batch) for batch in form.cut(questions, 2)] == [2, 1]
    batched = form.batched(questions)
    assert batched.query.count("count by (le) (h_bucket)") == 3
    rows = [bucket("1", "0"), bucket("2", "2")]
    assert batched.demultiplex(rows) == [
        {"borders": rows[:1]},
        {"borders": []},
        {"borders": rows[1:]},
    ]
    for label in ("3", "", "x", "00"):
        with pytest.raises(ValueError, match="not asked for"):
            batched.demultiplex([bucket("1", label)])

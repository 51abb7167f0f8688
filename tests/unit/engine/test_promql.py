"""The queries: which legs there are, how they are told apart, and what never becomes one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.evidence import Evidence, Kind
from penstock.domain.indicator import (
    Counted,
    LatencyIndicator,
    ProbeIndicator,
    QueryIndicator,
    RawRatioIndicator,
)
from penstock.domain.quantities import Duration, Percentage
from penstock.domain.slo import RatioTimeslices, Timeslices
from penstock.domain.window import CalendarWindow, Period
from penstock.engine.promql.together import (
    MOST_LEGS,
    MOST_TEXT,
    MOST_TOGETHER,
    Question,
    batches,
    query,
    question,
    selector_in,
    written,
)
from support.measuring import inquiry, ratio, slo

AT = datetime(2026, 3, 31, 12, tzinfo=UTC)
FRESH = Duration.parse("2m")
SHOP = ratio('x_total{code="500"}', "x_total")


def asked(of=None, looks=("5m",)) -> Question:
    found = question(inquiry(of or slo("a", SHOP), looks), AT, FRESH)
    assert isinstance(found, Question), found
    return found


def test_bad_and_total_are_asked_apart_in_every_look_back_then_freshness_and_age():
    assert dict(asked().legs()) == {
        "e300000": 'sum(increase(x_total{code="500"}[300s]))',
        "t300000": "sum(increase(x_total[300s]))",
        "e3600000": 'sum(increase(x_total{code="500"}[3600s]))',
        "t3600000": "sum(increase(x_total[3600s]))",
        "seen": "count(present_over_time(x_total[120s]))",
        "age": "time() - max(timestamp(x_total offset -5m) or timestamp(x_total))",
    }


def test_a_look_back_as_long_as_the_window_is_asked_once():
    assert len(list(asked(looks=("1h", "5m")).legs())) == 6


def test_rows_carry_the_number_of_their_question_and_the_name_of_their_leg():
    text = query([asked(), asked()])
    assert 'label_replace(sum(increase(x_total[300s])), "penstock", "1t300000", "", "")' in text
    assert text.count("label_replace(") == 12
    assert text.count("\nor ") == 11


def test_a_long_query_is_a_shallow_tree():
    text = query([asked() for _ in range(25)])
    depth = deepest = 0
    for mark in text:
        depth += {"(": 1, ")": -1}.get(mark, 0)
        deepest = max(deepest, depth)
    assert depth == 0
    assert deepest <= 8 + 4


def test_nothing_asked_is_no_query():
    assert query([]) == ""
    assert list(batches([])) == []


def test_batches_hold_so_many_slos_and_keep_their_order():
    questions = [asked(slo(f"s{n}", SHOP)) for n in range(60)]
    cut = list(batches(questions))
    assert [len(batch) for batch in cut] == [MOST_TOGETHER, MOST_TOGETHER, 10]
    assert [one for batch in cut for one in batch] == questions
    assert [len(batch) for batch in batches(questions[:5], 2)] == [2, 2, 1]


def test_batches_are_bounded_in_legs_and_in_characters():
    looks = [f"{n}m" for n in range(1, 60)]
    many_legs = [asked(looks=looks) for _ in range(12)]
    for batch in batches(many_legs):
        assert sum(len(list(one.legs())) for one in batch) <= MOST_LEGS
    name = "x" * 4_000
    long = [asked(slo("a", ratio(name, name))) for _ in range(12)]
    cut = list(batches(long))
    assert sum(map(len, cut)) == 12
    assert all(len(query(batch)) <= MOST_TEXT for batch in cut)


def test_an_slo_too_long_for_any_batch_is_asked_alone():
    looks = [f"{n}m" for n in range(1, 60)]
    huge = asked(slo("a", ratio("x" * 4_000, "y" * 4_000)), looks)
    assert [len(batch) for batch in batches([asked(), huge, asked()])] == [1, 1, 1]


@pytest.mark.parametrize(
    ("duration", "text"), [("1h", "3600s"), ("90d", "7776000s"), ("1s500ms", "1500ms")]
)
def test_ranges_are_written_as_every_version_reads_them(duration, text):
    assert written(Duration.parse(duration)) == text


def test_a_calendar_window_is_asked_from_its_start_daylight_saving_included():
    month = CalendarWindow(Period.MONTH, ZoneInfo("Europe/Berlin"), "Europe/Berlin")
    since = asked(slo("a", SHOP, window=month)).window
    assert since == Duration.parse("30d13h")  # 14:00 of the 31st, less the hour of the 29th
    begun = question(inquiry(slo("a", SHOP, window=month)), month.start(AT), FRESH)
    assert begun == Evidence(Kind.INSUFFICIENT_HISTORY, "the window has only just begun")
    soon = month.start(AT) + timedelta(milliseconds=1)
    assert isinstance(question(inquiry(slo("a", SHOP, window=month)), soon, FRESH), Question)


@pytest.mark.parametrize(
    ("indicator", "named"),
    [
        (LatencyIndicator("x_bucket", Duration.parse("300ms")), "latency"),
        (ProbeIndicator("up"), "probe"),
        (QueryIndicator("a[$window]", "b[$window]"), "query"),
        (RawRatioIndicator("r$window"), "rawRatio"),
    ],
)
def test_other_indicators_are_said_to_be_unmeasured(indicator, named):
    evidence = question(inquiry(slo("a", indicator)), AT, FRESH)
    assert isinstance(evidence, Evidence)
    assert evidence.kind is Kind.SLO_INVALID
    assert f"an indicator of the kind {named};" in evidence.detail


@pytest.mark.parametrize(
    "budgeting",
    [
        Timeslices(Duration.parse("1m"), Percentage.parse("95%")),
        RatioTimeslices(Duration.parse("1m")),
    ],
)
def test_other_budgeting_is_said_to_be_unmeasured(budgeting):
    evidence = question(inquiry(slo("a", SHOP, budgeting=budgeting)), AT, FRESH)
    assert isinstance(evidence, Evidence)
    assert evidence.kind is Kind.SLO_INVALID


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("x", "x"),
        (" x \n", "x"),
        ("a:b:c", "a:b:c"),
        ("sum", "sum"),
        ('sum{a="b"}', 'sum{a="b"}'),
        ("by", "by"),
        ("sum(x)", "x"),
        ("sum (sum)", "sum"),
        ('sum by (a, b) (x{c="d"})', 'x{c="d"}'),
        ('sum(x{c="d"}) by (a)', 'x{c="d"}'),
        ("sum without () (x)", "x"),
        ("((x))", "x"),
        ("sum((x))", "x"),
        ("x # a comment", "x"),
        ("# a comment\nx", "x"),
        ('x{a=")"}', 'x{a=")"}'),
        ('x{a="}"}', 'x{a="}"}'),
        (r'x{a="\"}",b="c"}', r'x{a="\"}",b="c"}'),
        ("x{a=~`\\d+}`}", "x{a=~`\\d+}`}"),
        ('{"a.b",c="d"}', '{"a.b",c="d"}'),
        ("{}", "{}"),
    ],
)
def test_the_selector_in_a_text(text, selector):
    assert selector_in(text) == selector


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "# x",
        "()",
        "sum()",
        "sum by",
        "sum by (a)",
        "sum by (a) (x",
        "sum(x) by",
        "sum(x) by (a",
        "sum(x) + sum(y)",
        "sum(x)(y)",
        "max(x)",
        "rate(x[5m])",
        "x[5m]",
        "x offset 5m",
        "x @ 5",
        "x y",
        "x{a='b'",
        "x}",
        "x{a='b}",
        "x{a=`b}",
        'x{a="b\n"}',
        "x{{}}",
        "x{a='b'}{c='d'}",
        "x{(}",
        "x) or (y",
        "x or y",
        "5",
        "-x",
        "'x'",
        "(" * 5_000 + "x",
    ],
)
def test_what_is_no_selector_is_refused(text):
    with pytest.raises(ValueError, match="is no selector"):
        selector_in(text)
    evidence = question(inquiry(slo("a", ratio(text, "x"))), AT, FRESH)
    assert isinstance(evidence, Evidence)
    assert evidence.kind is Kind.SLO_INVALID


@given(st.text(alphabet="x{}()\"'`\\=~!,#\n[]@ bysum01", max_size=40))
def test_whatever_is_let_through_stays_inside_of_its_parentheses(text):
    """Balanced, without any mark that could end what we put around it."""
    try:
        selector = selector_in(text)
    except ValueError:
        return
    assert selector_in(selector) == selector
    assert selector_in(f"sum(({selector}))") == selector


def test_both_ways_of_counting_are_asked_by_the_same_legs():
    good = asked(slo("a", ratio('x_total{code="200"}', "x_total", Counted.GOOD)))
    assert [name for name, _ in good.legs()] == [name for name, _ in asked().legs()]

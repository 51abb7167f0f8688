"""The queries: which legs there are, who shares them, and how their rows are told apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.indicator import CountedEvents, Indicator
from penstock.domain.metrics_source import Dialect
from penstock.domain.quantities import Duration
from penstock.engine.promql import (
    CountQuery,
    CountRange,
    ExactBucket,
    IncreaseOver,
    build_indicator_query,
    groups,
)
from penstock.engine.promql.batching import (
    MOST_GROUPS,
    MOST_QUERIES,
    MOST_RANGES,
    MOST_TEXT,
    CountBatcher,
)
from penstock.engine.promql.query_client import Series
from support.indicators import latency, probe, query, ratio, raw_ratio

FIVE, HOUR = Duration.parse("5m"), Duration.parse("1h")
LOOK, CLOSE = IncreaseOver(FIVE), ExactBucket(FIVE, HOUR)
FORM = CountBatcher()


def asked(
    indicator: Indicator,
    ranges: Iterable[CountRange] = (LOOK,),
    key: int = 0,
    fresh: str | None = None,
) -> CountQuery:
    freshness = Duration.parse(fresh) if fresh else None
    return CountQuery(key, build_indicator_query(indicator), frozenset(ranges), freshness)


def queried(count_queries: Sequence[CountQuery]) -> str:
    return FORM.batched(count_queries).query


def service(name: str, metric: str = "x_total", code: str = '=~"5.."') -> Indicator:
    selects = f'{metric}{{service="{name}"'
    return ratio(f"{selects},code{code}}}", f"{selects}}}")


def distinct(number: int, ranges: Iterable[CountRange] = (LOOK,)) -> CountQuery:
    return asked(ratio(f"bad{number}", f"all{number}"), ranges, number)


def flat(text: str) -> str:
    return " ".join(text.split())


def test_events_that_one_label_separates_are_read_once_and_separated_by_the_server():
    assert queried([asked(ratio('x{a="b",code=~"5.."}', 'x{a="b"}'))]) == (
        'sum by (penstock) (label_replace(label_replace(sum by (code) (increase(x{a="b"}[300s])), '
        '"penstock", "0o300000", "", ""), "penstock", "0e300000", "code", "5.."))'
    )


@pytest.mark.parametrize(
    ("events", "ways"),
    [
        ('code="5|0"', ["o", r'e "5\\|0"']),
        ('code!="200"', ["e", 'o "200"']),
        ('code!~"2..",code!="404"', ["e", 'o "404"', 'o "2.."']),
        ('code=~"[45]..",code!="404"', ["o", 'e "[45].."', 'o "404"']),
    ],
)
def test_every_comparison_of_one_label_separates_events(events: str, ways: list[str]):
    text = queried([asked(ratio(f"x{{{events}}}", "x"))])
    order = [text.index(f'"0{way[0]}300000", "code", {way[2:]}') for way in ways if way[1:]]
    assert f'"0{ways[0]}300000", "", ""' in text
    assert sorted(order) == order
    assert text.count("[300s]") == 1


@pytest.mark.parametrize(
    ("events", "total"),
    [
        ('y{code="5"}', "x"),
        ('x{a="1",b="2"}', "x"),
        ('x{a="1"}', 'x{b="2"}'),
        ('x{code=~"5..",code=~".*3"}', "x"),
        ('x{penstock="1"}', "x"),
        ('{__name__="x"}', '{__name__=~"x|y"}'),
        ('x{"a.b"="1"}', "x"),
    ],
)
def test_other_events_are_queried_separately(events: str, total: str):
    text = queried([asked(ratio(events, total))])
    assert text.count("[300s]") == 2
    assert '"0e300000", "", ""' in text
    assert '"0t300000", "", ""' in text


def test_the_age_is_asked_of_all_events_also_of_targets_that_have_just_gone():
    text = queried([asked(ratio("y", 'x{a="b"}'), fresh="2m")])
    newest = (
        'max by () (timestamp(x{a="b"} offset -5m) or timestamp(x{a="b"}) '
        'or present_over_time(x{a="b"}[120s]) * (time() - 60))'
    )
    assert f'label_replace(time() - {newest}, "penstock", "0age", "", "")' in text


def test_a_threshold_is_found_however_its_border_is_written():
    text = queried([asked(latency("h_bucket", "1s"))])
    assert r'h_bucket{le=~"1(\\.0)?|\\+Inf"}[300s]' in text
    assert r'"0e300000", "le", "1(\\.0)?"' in text
    assert r'le=~"0\\.3|\\+Inf"' in queried([asked(latency("h_bucket", "300ms"))])


def test_a_native_histogram_is_asked_for_a_share():
    text = queried([asked(latency("h", "300ms"))])
    assert "histogram_fraction(0, 0.3, sum by () (increase(h[300s])))" in text
    assert '"0f300000"' in text


def test_an_authors_own_window_is_written_as_recording_rules_are_named():
    text = queried([asked(raw_ratio("r:ratio_rate$window"), [IncreaseOver(HOUR)])])
    assert text == 'label_replace((r:ratio_rate1h), "penstock", "0f3600000", "", "")'
    both = queried([asked(query("sum(a[$window])", "sum(b[$window])"), fresh="2m")])
    assert both.count("[5m]") == 2
    assert "present_over_time" not in both


@pytest.mark.parametrize("legs", [[LOOK], [CLOSE], [LOOK, CLOSE]])
def test_questions_that_differ_in_one_label_share_their_ranges(legs: list[CountRange]):
    questions = [asked(service(name), legs, n) for n, name in enumerate(("a|b", "c", "d"))]
    text = queried(questions)
    alone = queried(questions[:1])
    assert r'x_total{service=~"a\\|b|c|d"}' in text
    assert 'service="c"' not in text
    assert text.count("increase(") == alone.count("increase(")


def test_questions_of_another_length_or_freshness_are_not_batched_together():
    count_queries = [
        asked(service("a"), [LOOK]),
        asked(service("b"), [IncreaseOver(HOUR)]),
        asked(service("c"), [LOOK], fresh="2m"),
        asked(service("d", code='=~"4.."'), [LOOK]),
    ]
    assert '=~"a' not in queried(count_queries)


def test_the_label_that_most_others_share_is_the_one():
    def of(service: str, job: str) -> CountQuery:
        selects = f'x{{job="{job}",service="{service}"'
        return asked(ratio(f'{selects},code="5"}}', f"{selects}}}"), key=len(service))

    text = queried([of("a", "one"), of("b", "one"), of("c", "one"), of("c", "two")])
    assert 'x{job="one",service=~"a|b|c"}' in text
    assert 'x{job="two",service="c"}' in text


@pytest.mark.parametrize(
    ("events", "total"),
    [
        ('x{service="NAME"}', "y"),
        ('x{service="NAME"}', 'y{service="other"}'),
        ('x{service="NAME"}', 'y{service="NAME",service!="b"}'),
        ('x{penstock="NAME"}', 'y{penstock="NAME"}'),
        ('{__name__="NAME"}', 'NAME{code="5"}'),
        ('x{"a.b"="NAME"}', 'y{"a.b"="NAME"}'),
    ],
)
def test_a_label_that_does_not_stand_for_the_whole_question_is_not_shared(events, total):
    questions = [
        asked(ratio(events.replace("NAME", name), total.replace("NAME", name)), key=n)
        for n, name in enumerate(("first", "second"))
    ]
    assert '=~"first' not in queried(questions)


def test_closes_of_several_shapes_share_what_is_asked_of_their_targets():
    count_queries = [distinct(n, [CLOSE]) for n in range(10)]
    text = queried(count_queries)
    assert text.count("process_start_time_seconds[") == 1
    assert text.startswith("sum by (penstock) (")
    probes = queried([asked(probe("up"), [CLOSE]), asked(probe("down"), [CLOSE], 1)])
    assert "process_start_time_seconds" not in probes


def test_a_long_query_is_a_shallow_tree():
    text = queried([distinct(n) for n in range(25)])
    depth = deepest = 0
    for mark in text:
        depth += {"(": 1, ")": -1}.get(mark, 0)
        deepest = max(deepest, depth)
    assert depth == 0
    assert deepest <= 8 + 4


def test_nothing_asked_is_not_a_query():
    assert queried([]) == ""
    assert list(FORM.cut([], 25)) == []
    assert groups([], Dialect.PROMETHEUS) == []


@pytest.mark.parametrize("dialect", Dialect)
def test_only_victoria_metrics_overlooks_restarts_and_only_thanos_counts_none(dialect):
    ((form, questions),) = groups([distinct(1, [CLOSE]), distinct(2, [CLOSE])], dialect)
    text = flat(form.batched(questions).query)
    assert (" > 0 or " in text) is (dialect is Dialect.VICTORIA_METRICS)
    assert ("resets(" in text) is (dialect is not Dialect.THANOS)


def test_a_thousand_of_one_shape_take_four_requests_and_of_none_forty():
    alike = [asked(service(f"s{n}"), [LOOK, IncreaseOver(HOUR)], n, "2m") for n in range(1_000)]
    assert [len(one) for one in FORM.cut(alike, MOST_QUERIES)] == [250] * 4
    others = [distinct(n) for n in range(1_000)]
    cut = list(FORM.cut(others, MOST_QUERIES))
    assert [len(one) for one in cut] == [MOST_GROUPS] * 40
    assert list(chain.from_iterable(cut)) == others


def test_batches_have_no_more_questions_than_they_may():
    count_queries = [*(distinct(n) for n in range(5)), *(asked(service(f"s{n}")) for n in range(5))]
    assert [len(one) for one in FORM.cut(count_queries, 2)] == [2] * 5
    assert [len(one) for one in FORM.cut(count_queries, 1)] == [1] * 10


def test_batches_are_bounded_in_ranges_and_in_characters():
    many_legs = [
        distinct(n, [IncreaseOver(Duration.of_seconds(s)) for s in range(60)]) for n in range(12)
    ]
    for batch in FORM.cut(many_legs, MOST_QUERIES):
        assert queried(batch).count('"penstock"') <= MOST_RANGES
    wide = [asked(ratio(f"x{'x' * 4_000}{n}", "y"), [CLOSE], n) for n in range(12)]
    long = [asked(service("v" * 1_000 + str(n)), [CLOSE], n) for n in range(250)]
    for count_queries in (wide, long):
        cut = list(FORM.cut(count_queries, MOST_QUERIES))
        assert sum(map(len, cut)) == len(count_queries)
        assert all(len(queried(batch)) <= MOST_TEXT for batch in cut)


def test_a_question_too_long_for_any_batch_is_asked_alone():
    looks = [IncreaseOver(Duration.of_seconds(n)) for n in range(1, 60)]
    huge = asked(ratio("x" * 4_000, "y" * 4_000), looks, 7)
    assert [len(one) for one in FORM.cut([distinct(0), huge, distinct(1)], 250)] == [1, 1, 1]


def row(label: str, **labels: str) -> Series:
    return ({"penstock": label, **labels}, ((0, "1"),))


def test_rows_are_separated_by_unit_and_by_label():
    shared = [asked(service(name), fresh="2m") for name in ("a", "b", "a")]
    rows = [
        row("0t300000"),
        row("1e300000", service="a"),
        row("1e300000", service="b"),
        row("1age", service="b"),
    ]
    assert FORM.batched([distinct(0), *shared]).demultiplex(rows) == [
        {"t300000": [rows[0]]},
        {"e300000": [rows[1]]},
        {"e300000": [rows[2]], "age": [rows[3]]},
        {"e300000": [rows[1]]},
    ]


@pytest.mark.parametrize(
    "unasked",
    [
        *(row(label) for label in ("", "2age", "x", "0", "-1age", "0 age", "99999age")),
        *(row(label) for label in ("0age", "0o300000", "0e300", "0zzz", "0e300000b3600000")),
        row("1e300000"),
        row("1e300000", service="c"),
        row("1t300000", service="a"),
    ],
)
def test_a_row_that_was_not_asked_for_is_an_error(unasked: Series):
    questions = [distinct(0), asked(service("a")), asked(service("b"))]
    with pytest.raises(ValueError, match="not asked for"):
        FORM.batched(questions).demultiplex([unasked])


ANY_INDICATOR = st.one_of(
    st.builds(service, st.sampled_from("abc"), st.sampled_from(["x", "y"])),
    st.sampled_from([probe('up{job="a"}'), probe('up{job="b"}'), raw_ratio("r$window")]),
    st.sampled_from([latency('h_bucket{job="a"}', "1s"), latency('h_bucket{job="b"}', "1s")]),
)
ANY_QUESTION = st.builds(asked, ANY_INDICATOR, st.sampled_from([(LOOK,), (CLOSE,), (LOOK, CLOSE)]))


@given(st.lists(ANY_QUESTION, max_size=12), st.integers(1, 12))
def test_cutting_loses_and_adds_no_question(questions: list[CountQuery], together: int):
    cut = list(chain.from_iterable(FORM.cut(questions, together)))
    assert sorted(map(id, cut)) == sorted(map(id, questions))


def test_both_ways_of_counting_are_not_batched_together():
    one, other = service("a"), ratio('x_total{service="b",code=~"5.."}', 'x_total{service="b"}')
    good = ratio('x_total{service="c",code=~"5.."}', 'x_total{service="c"}', CountedEvents.GOOD)
    text = queried([asked(one), asked(other, key=1), asked(good, key=2)])
    assert 'service=~"a|b"' in text
    assert 'service="c"' in text

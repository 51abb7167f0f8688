"""Selectors become their matchers; what cannot be wrapped is refused before anything is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.promql_validation import expression, histogram, selector
from penstock.domain.selector import NAME, Matcher, Op, Selector
from penstock.errors import SpecInvalid

X = Matcher(NAME, Op.EQUAL, "x")


def read(text: str) -> Selector:
    return selector("spec", text, may_sum=True)


@pytest.mark.parametrize(
    ("text", "printed"),
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
        ('x{a=")"}', 'x{a=")"}'),
        ('x{a="}"}', 'x{a="}"}'),
        ('x{a="#"}', 'x{a="#"}'),
        (r'x{a="\"}",b="c"}', r'x{a="\"}",b="c"}'),
        ("x{a=~`\\d+}`}", r'x{a=~"\\d+}"}'),
        ("x{a='\"'}", r'x{a="\""}'),
        ('x{b="c",a="b",b="c",}', 'x{a="b",b="c"}'),
        ('{"a.b",c="d"}', '{__name__="a.b",c="d"}'),
        ('{"x",c="d"}', 'x{c="d"}'),
        ('{__name__="x"}', "x"),
        ('{__name__=~"x|y"}', '{__name__=~"x|y"}'),
        ('x{"a.b"!="c"}', 'x{"a.b"!="c"}'),
        ('x{a="",b!~""}', 'x{a="",b!~""}'),
    ],
)
def test_a_selector_is_printed_as_one_text_however_it_was_written(text: str, printed: str) -> None:
    assert read(text).text == printed
    assert read(printed) == read(text)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (r'"\\d"', r"\d"),
        (r"`\d\n`", r"\d\n"),
        (r'"\a\b\f\n\r\t\v"', "\a\b\f\n\r\t\v"),
        (r"'\''", "'"),
        (r'"\""', '"'),
        (r'"\x41\101\u00e9\U0001F600"', "AAé\U0001f600"),
        (r'"\xc3\xa9"', "é"),
    ],
)
def test_a_string_means_what_go_reads_in_it(written: str, value: str) -> None:
    assert read(f"x{{a={written}}}") == Selector.of(X, Matcher("a", Op.EQUAL, value))


@pytest.mark.parametrize(
    "written", [r'"\q"', r'"\400"', r'"\ud800"', r'"\xff"', r"""'\"'""", '"\\']
)
def test_a_string_that_means_nothing_is_refused(written: str) -> None:
    with pytest.raises(SpecInvalid, match="this is not PromQL"):
        read(f"x{{a={written}}}")


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "# x", "()", "sum()", "sum by", "sum by (a)", "sum by (a) (x", "sum(x) by"),
        *("sum(x) by (a", "sum(x) + sum(y)", "sum(x)(y)", "max(x)", "rate(x[5m])", "x[5m]"),
        *("x offset 5m", "x @ 5", "x y", "x{a='b'", "x}", "x{a='b}", "x{a=`b}", 'x{a="b\n"}'),
        *("x{{}}", "x{a='b'}{c='d'}", "x{(}", "x) or (y", "x or y", "5", "-x", "'x'", "x{a='b\\'}"),
        *("(" * 5_000 + "x", "{}", '{a=~".*"}', '{a=""}', 'x{a=~"("}', 'x{a="b" or c="d"}'),
        'x{__name__="y"}',
    ],
)
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(SpecInvalid):
        read(text)


@given(st.text("x{}()\"'`\\=~!,#\n[]@ bysum01", max_size=40))
def test_what_is_accepted_is_printed_as_what_is_read_the_same(text: str) -> None:
    try:
        found = read(text)
    except SpecInvalid:
        return
    assert read(found.text) == found


@given(st.text(), st.sampled_from(Op))
def test_any_value_is_read_as_it_is_printed(value: str, op: Op) -> None:
    printed = Selector.of(X, Matcher("a", op, value)).text
    try:
        found = read(printed)
    except SpecInvalid:  # no regular expression, or half a character
        return
    assert found == Selector.of(X, Matcher("a", op, value))


def test_a_histogram_has_a_name_and_leaves_its_borders_to_us() -> None:
    assert histogram("spec", 'x_bucket{a="b"}').name == "x_bucket"
    assert histogram("spec", 'x{le="1"}').name == "x"
    with pytest.raises(SpecInvalid, match="leave out le"):
        histogram("spec", 'x_bucket{le="0.5"}')
    with pytest.raises(SpecInvalid, match="write the name of the histogram"):
        histogram("spec", '{__name__=~"x.*"}')


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("sum(increase(x[$window]))", "sum(increase(x[$window]))"),
        (" a # $window (\n + b{c=')'} # )", "a  \n + b{c=')'}"),
        ('x{a="#"}[$window:1m] offset 5m', 'x{a="#"}[$window:1m] offset 5m'),
    ],
)
def test_an_expression_is_kept_without_its_comments(text: str, kept: str) -> None:
    assert expression("spec", text) == kept


@pytest.mark.parametrize(
    "text",
    [
        *("x) or (y", "(x", "x[5m", "{", "}", "(]", "x{a='b}", 'x{a="', "`", "# x", "", "(#)\n"),
        'x{a="b\n"}',
    ],
)
def test_an_expression_that_could_leave_its_parentheses_is_refused(text: str) -> None:
    with pytest.raises(SpecInvalid):
        expression("spec", text)


@pytest.mark.parametrize(
    "text", ["x # a comment", "# it's a comment\nx", 'x{a="b", # `\n c="d"} # `']
)
def test_a_selector_with_a_comment_is_refused(text):
    with pytest.raises(SpecInvalid, match="comments are not allowed here"):
        selector("spec", text)

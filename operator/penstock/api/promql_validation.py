"""Parses the selectors of indicators, and rejects invalid ones before any query is sent.

Selectors are ours to wrap into ``increase(...)``, so they must be selectors. Whole expressions
(``query``, ``rawRatio``) are their author's: the parser used here lags behind Prometheus' newest
syntax, so only Prometheus may refuse those.

The parser is native code: deep nesting overflows its stack or an absurd number makes it panic,
either of which would end the operator. So it is never given more than the outline of a selector,
without the strings; those are read here, since it takes a backslash in backquotes for an escape.
"""

from __future__ import annotations

import re

import promql_parser

from penstock.domain.indicator import BUCKET, BUCKET_BOUND
from penstock.domain.selector import NAME, Matcher, Op, Selector
from penstock.errors import SpecInvalid

_WRITE = (
    'write one selector, such as http_requests_total{code=~"5.."}, or, for counters, '
    "sum by (label) (selector); Penstock adds the range"
)
_STRING = r"""  "(?:\\.|[^"\\\n])*"  |  '(?:\\.|[^'\\\n])*'  |  `[^`]*`  """
_APART = re.compile(rf"(?P<string>{_STRING})  |  \#[^\n]*", re.VERBOSE)
_ESCAPE = re.compile(
    r"""\\(?: x(?P<byte>[0-9a-fA-F]{2}) | (?P<octal>[0-3][0-7]{2})
            | u(?P<short>[0-9a-fA-F]{4}) | U(?P<long>[0-9a-fA-F]{8}) | (?P<sign>.) )""",
    re.VERBOSE | re.DOTALL,
)
_SIGNS = dict(zip("abfnrtv\\", b"\a\b\f\n\r\t\v\\", strict=True))
_BRACES = re.compile(r"\{[^{}]*(\}|$)")
_TOKEN = re.compile(r"\w+|[^\w\s]")
_MOST_TOKENS = 100  # sum by (...) of some forty labels; a stack of 256 KiB takes 100 levels
_FOREIGN = (
    (
        re.compile(r"@|\boffset\s+\w", re.ASCII | re.IGNORECASE),
        "offset and @ are not allowed here",
    ),
    (re.compile(r"\["), "this is a selector with a range, not a plain selector"),
    (re.compile(r"[-+*/%^=!<>]"), "this is a computation, not a selector"),
)
_OPS = {
    "MatchOp.Equal": Op.EQUAL,
    "MatchOp.NotEqual": Op.UNEQUAL,
    "MatchOp.Re": Op.LIKE,
    "MatchOp.NotRe": Op.UNLIKE,
}
_QUOTES = frozenset("\"'`")
_PAIRS = {")": "(", "]": "[", "}": "{"}


def selector(path: str, text: str, *, may_sum: bool = False) -> Selector:
    """One instant selector, or (of counters) the one in a sum, whose grouping says nothing.

    Raises:
        SpecInvalid: it is not PromQL, or more than a selector.
    """
    bare, strings = _without_strings(path, text)
    _check_outline(path, bare)
    found = _unwrapped(path, _parsed(path, bare), may_sum=may_sum)
    if not isinstance(found, promql_parser.VectorSelector):
        raise SpecInvalid(path, f"this is {_kind(found)}, not a selector; {_WRITE}")
    if found.matchers.or_matchers:
        raise SpecInvalid(path, f"or is not allowed in this selector; {_WRITE}")
    try:
        read = _value(found, [_unquoted(string) for string in strings])
    except ValueError as error:
        raise SpecInvalid(path, f"this is not PromQL ({error}); {_WRITE}") from error
    _parsed(path, read.text)  # its regular expressions, and whether it would select everything
    return read


def histogram(path: str, text: str) -> Selector:
    """The selector of a histogram: of one with buckets (its name ends in _bucket), or native.

    Raises:
        SpecInvalid: as of ``selector``, or there is no name, or buckets are chosen already.
    """
    found = selector(path, text)
    if found.name is None:
        raise SpecInvalid(
            path, "write the name of the histogram: it distinguishes classic from native ones"
        )
    if found.name.endswith(BUCKET) and found.on(BUCKET_BOUND):
        raise SpecInvalid(path, "leave out le: the threshold selects the bucket")
    return found


def expression(path: str, text: str) -> str:
    """An author's own expression without its comments.

    Its brackets close and its strings end: so it stays within the parentheses that are put around
    it, in a request that it shares with others.

    Raises:
        SpecInvalid: it is certainly not PromQL.
    """
    still_open: list[str] = []
    for mark in _APART.sub(" ", text):
        if mark in _QUOTES:
            raise SpecInvalid(path, "unterminated string; close the quotes")
        if mark in _PAIRS.values():
            still_open.append(mark)
        elif mark in _PAIRS and (not still_open or still_open.pop() != _PAIRS[mark]):
            raise SpecInvalid(path, f'unbalanced "{mark}"; check the brackets')
    if still_open:
        raise SpecInvalid(path, f'unbalanced "{still_open[-1]}"; check the brackets')
    bare = _APART.sub(lambda found: found["string"] or " ", text).strip()
    if not bare:
        raise SpecInvalid(path, "the expression is empty; write one")
    return bare


def _without_strings(path: str, text: str) -> tuple[str, list[str]]:
    """The text, in which each string is just its number in quotes; the strings.

    Raises:
        SpecInvalid: there is a comment.
    """
    strings: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found["string"] is None:
            raise SpecInvalid(path, f"comments are not allowed here; {_WRITE}")
        strings.append(found["string"])
        return f'"{len(strings) - 1}"'

    return _APART.sub(number, text), strings


def _value(found: promql_parser.VectorSelector, strings: list[str]) -> Selector:
    """Its matchers; a name that is a number stands for a string, and no other name can be one."""
    matchers = [
        Matcher(
            strings[int(one.name)] if one.name.isdecimal() else one.name,
            _OPS[str(one.op)],
            strings[int(one.value)],
        )
        for one in found.matchers.matchers
    ]
    return Selector.of(*matchers, *([Matcher(NAME, Op.EQUAL, found.name)] if found.name else []))


def _unquoted(string: str) -> str:
    """What a string of PromQL means, as Go's ``strconv.Unquote`` has it.

    Raises:
        ValueError: it means nothing.
    """
    quote, inner = string[0], string[1:-1]
    if quote == "`":
        return inner

    def meant(escape: re.Match[str]) -> bytes:
        if byte := escape["byte"]:
            return bytes.fromhex(byte)
        if octal := escape["octal"]:
            return bytes([int(octal, 8)])
        if code := escape["short"] or escape["long"]:
            return chr(int(code, 16)).encode()
        if (sign := escape["sign"]) == quote:
            return sign.encode()
        if sign not in _SIGNS:
            raise ValueError(f"unknown escape sequence \\{sign}")
        return bytes([_SIGNS[sign]])

    parts, end = [], 0
    for escape in _ESCAPE.finditer(inner):
        parts += [inner[end : escape.start()].encode(), meant(escape)]
        end = escape.end()
    return b"".join([*parts, inner[end:].encode()]).decode()


def _parsed(path: str, text: str) -> object:
    try:
        return promql_parser.parse(text)
    except ValueError as error:
        raise SpecInvalid(path, f"this is not PromQL ({_one_line(error)}); {_WRITE}") from error


def _check_outline(path: str, bare: str) -> None:
    """Look at what stands outside of braces: there is little of it in a selector."""
    outline = _BRACES.sub("{}", bare)
    for foreign, problem in _FOREIGN:
        if foreign.search(outline):
            raise SpecInvalid(path, f"{problem}; {_WRITE}")
    if len(_TOKEN.findall(outline)) > _MOST_TOKENS:
        raise SpecInvalid(path, f"this is more than one selector; {_WRITE}")


def _unwrapped(path: str, expression: object, *, may_sum: bool) -> object:
    inner = _without_parentheses(expression)
    if not may_sum or not isinstance(inner, promql_parser.AggregateExpr):
        return inner
    if str(inner.op) != "sum":
        raise SpecInvalid(path, f"sum is the only aggregation allowed here; {_WRITE}")
    return _without_parentheses(inner.expr)


def _without_parentheses(expression: object) -> object:
    while isinstance(expression, promql_parser.ParenExpr):
        expression = expression.expr
    return expression


def _kind(expression: object) -> str:
    names = {
        "Call": "a function call",
        "BinaryExpr": "a computation",
        "NumberLiteral": "a number",
        "StringLiteral": "a string",
        "AggregateExpr": "an aggregation",
    }
    return names.get(type(expression).__name__, "something else")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

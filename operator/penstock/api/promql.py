"""Refuses indicators that no query can be made of, before any is sent.

Selectors are ours to wrap into ``increase(...)``, so they must be selectors. Whole expressions
(``query``, ``rawRatio``) are their author's: the parser used here lags behind Prometheus' newest
syntax, so only Prometheus may refuse those.

The parser is native code: deep nesting overflows its stack and an absurd number makes it panic,
either of which would end the operator. So it is never given more than the outline of a selector.
"""

from __future__ import annotations

import re

import promql_parser

from penstock.errors import SpecInvalid

_WRITE = (
    'write one selector, such as http_requests_total{code=~"5.."}, or, where counters are asked '
    "for, sum by (label) (selector); Penstock adds the range itself"
)
_STRING = re.compile(r"""  "(?:\\.|[^"\\\n])*"  |  '(?:\\.|[^'\\\n])*'  |  `[^`]*`  """, re.VERBOSE)
_BRACES = re.compile(r"\{[^{}]*(\}|$)")
_TOKEN = re.compile(r"\w+|[^\w\s]")
_MOST_TOKENS = 100  # sum by (...) of some forty labels; a stack of 256 KiB takes 100 levels
_FOREIGN = (
    (re.compile("#"), "a selector here has no comment"),
    (
        re.compile(r"@|\boffset\s+\w", re.ASCII | re.IGNORECASE),
        "a selector here has no offset, no @",
    ),
    (re.compile(r"\["), "this is a selector with a range, not a plain selector"),
    (re.compile(r"[-+*/%^=!<>]"), "this is a computation, not a selector"),
)


def check_selector(path: str, text: str, *, may_sum: bool = False) -> None:
    """Accept one instant selector, or (of counters) a sum of one.

    Raises:
        SpecInvalid: it is not PromQL, or more than a selector.
    """
    _check_outline(path, text)
    try:
        expression = promql_parser.parse(text)
    except ValueError as error:
        raise SpecInvalid(path, f"this is not PromQL ({_one_line(error)}); {_WRITE}") from error
    selector = _unwrapped(path, expression, may_sum=may_sum)
    if not isinstance(selector, promql_parser.VectorSelector):
        raise SpecInvalid(path, f"this is {_kind(selector)}, not a selector; {_WRITE}")


def _check_outline(path: str, text: str) -> None:
    """Look at what stands outside of strings and braces: there is little of it in a selector."""
    outline = _BRACES.sub("{}", _STRING.sub('""', text))
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
        raise SpecInvalid(path, f"only sum may stand around the selector; {_WRITE}")
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

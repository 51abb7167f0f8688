"""Refuses indicators that no query can be made of, before any is sent.

Selectors are ours to wrap into ``increase(...)``, so they must be selectors. Whole expressions
(``query``, ``rawRatio``) are their author's: the parser used here lags behind Prometheus' newest
syntax, so only Prometheus may refuse those.
"""

from __future__ import annotations

import promql_parser

from penstock.errors import SpecInvalid

_WRITE = (
    'write one selector, such as http_requests_total{code=~"5.."}, or, where counters are asked '
    "for, sum by (label) (selector); Penstock adds the range itself"
)


def check_selector(path: str, text: str, *, may_sum: bool = False) -> None:
    """Accept one instant selector, or (of counters) a sum of one.

    Raises:
        SpecInvalid: it is not PromQL, or more than a selector.
    """
    try:
        expression = promql_parser.parse(text)
    except ValueError as error:
        raise SpecInvalid(path, f"this is not PromQL ({_one_line(error)}); {_WRITE}") from error
    selector = _unwrapped(path, expression, may_sum=may_sum)
    if not isinstance(selector, promql_parser.VectorSelector):
        raise SpecInvalid(path, f"this is {_kind(selector)}, not a selector; {_WRITE}")
    if selector.offset is not None or selector.at is not None:
        raise SpecInvalid(path, f"a selector here has no offset and no @; {_WRITE}")


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
        "MatrixSelector": "a selector with a range",
        "Call": "a function call",
        "BinaryExpr": "a computation",
        "NumberLiteral": "a number",
        "StringLiteral": "a string",
        "SubqueryExpr": "a subquery",
        "UnaryExpr": "a computation",
        "AggregateExpr": "an aggregation",
    }
    return names.get(type(expression).__name__, "something else")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

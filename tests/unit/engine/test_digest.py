"""The names of ledgers in snapshots are those that the first release wrote."""

from __future__ import annotations

import pytest

from penstock.domain import indicator
from penstock.domain.indicator import (
    Indicator,
    LatencyIndicator,
    ProbeIndicator,
    QueryIndicator,
    RatioIndicator,
    RawRatioIndicator,
)
from penstock.domain.quantities import Duration
from penstock.domain.selector import Matcher, Op, Selector
from penstock.engine.budget.digest import digest

SOURCE = "MetricsSource/shop/default http://p:9090"


def selector(*matchers: tuple[str, str, str]) -> Selector:
    return Selector(tuple(Matcher(label, Op(op), value) for label, op, value in matchers))


ONE = selector(("__name__", "=", "http_total"))
MANY = selector(
    ("__name__", "=", "http_total"),
    ("code", "=~", "5..\"\\d\n'"),
    ("a.\u00fc", "!=", "x"),
    ("a", "!~", ""),
)
BAD, GOOD = indicator.CountedEvents.BAD, indicator.CountedEvents.GOOD


@pytest.mark.parametrize(
    ("measured", "name"),
    [
        (RatioIndicator(BAD, MANY, ONE), "045c8bd6c58161b14d3db1eb9bbc5f2b"),
        (RatioIndicator(GOOD, ONE, selector()), "cea41512d3ec6776dd3a278527a4c644"),
        (LatencyIndicator(ONE, Duration.parse("300ms")), "b5b121b046a5162de850175111881d64"),
        (ProbeIndicator(MANY), "0de4051cee0a02044e226d5695bd3054"),
        (QueryIndicator('sum(a["$window"])', "b'c"), "ebf25202d39581da28f1eefe323435ef"),
        (RawRatioIndicator("x \"y\" 'z'"), "a07cc499552fb2eace9c423c999127ca"),
    ],
)
def test_a_ledger_has_the_name_that_the_first_release_gave_it(
    measured: Indicator, name: str
) -> None:
    assert digest(SOURCE, measured, 300) == name


def test_each_part_makes_another_ledger() -> None:
    names = [
        digest(source, measured, resolution)
        for source in (SOURCE, f"{SOURCE}1")
        for measured in (
            ProbeIndicator(ONE),
            ProbeIndicator(MANY),
            LatencyIndicator(ONE, Duration(1)),
        )
        for resolution in (60, 300)
    ]
    assert len(set(names)) == len(names)

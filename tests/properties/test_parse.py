"""Whatever a body is, the parser answers with a value or with ``SpecInvalid``, and soon."""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.promql_validation import expression, selector
from penstock.errors import SpecInvalid
from support.strategies import bodies, junk
from support.validators import PARSERS

KINDS = list(PARSERS)


def nested(depth: int, *, as_list: bool) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if as_list else {"spec": value}
    return value


MONSTERS: dict[str, Any] = {
    "10 MB of text": "9" * 10_000_000,
    "deep lists": nested(100_000, as_list=True),
    "deep objects": nested(100_000, as_list=False),
    "a number of 10,000 digits": 10**10_000,
    "infinity": float("inf"),
    "not a number": float("nan"),
    "half a character": "\ud800",
    "numbers as keys": {1: 2, (3, 4): 5, None: 6},
    "bytes": b"99.9%",
    "a million items": [None] * 1_000_000,
    "100,000 unknown fields": {f"field{n}": n for n in range(100_000)},
    "a key of 10 MB": {"x" * 10_000_000: 1},
}


def answer(kind: str, body: Any) -> SpecInvalid | None:
    """Anything but a value and ``SpecInvalid`` fails the test."""
    try:
        PARSERS[kind](body)
    except SpecInvalid as error:
        return error
    return None


def places(body: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Ways to everything inside of a body."""
    inner = body.items() if isinstance(body, dict) else enumerate(body)
    for key, value in inner:
        yield (*way, key)
        if isinstance(value, dict | list):
            yield from places(value, (*way, key))


def with_instead(body: Any, way: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(body)
    holder = changed
    for key in way[:-1]:
        holder = holder[key]
    holder[way[-1]] = value
    return changed


@pytest.mark.parametrize("kind", KINDS)
@given(body=junk())
def test_junk_is_refused(kind: str, body: Any) -> None:
    assert answer(kind, body) is not None
    assert answer(kind, {"metadata": {"name": "a"}, "spec": body, "data": body}) is not None


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_junk_in_the_middle_of_a_right_object_is_a_value_or_refused(
    kind: str, data: st.DataObject
) -> None:
    body = data.draw(bodies(kind))
    way = data.draw(st.sampled_from(list(places(body))))
    refusal = answer(kind, with_instead(body, way, data.draw(junk())))
    assert refusal is None or (refusal.path and refusal.problem)


@pytest.mark.parametrize("monster", MONSTERS.values(), ids=MONSTERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_monster_is_refused_in_few_words(kind: str, monster: Any) -> None:
    for body in (monster, {"metadata": {"name": "a"}, "spec": monster, "data": monster}):
        refusal = answer(kind, body)
        assert refusal is not None
        assert len(str(refusal)) < 1_000


@pytest.mark.parametrize("monster", MONSTERS.values(), ids=MONSTERS)
def test_a_monster_anywhere_in_an_slo_is_refused_in_few_words(monster: Any) -> None:
    body = {
        "metadata": {"name": "a"},
        "spec": {
            "objective": "99.9%",
            "window": {"calendar": {"period": "Month", "timeZone": "UTC"}},
            "indicator": {"ratio": {"bad": "errors", "total": "all"}},
        },
    }
    for way in places(body["spec"], ("spec",)):
        refusal = answer("SLO", with_instead(body, way, monster))
        assert refusal is not None
        assert len(str(refusal)) < 1_000


@pytest.mark.parametrize("metadata", [None, [], "x", {"labels": 5, "generation": "x", "name": []}])
def test_metadata_of_any_kind_is_a_value_or_refused(metadata: Any) -> None:
    source = {"metadata": metadata, "spec": {"url": "http://prometheus:9090"}}
    refusal = answer("MetricsSource", source)
    assert refusal is None or refusal.path == "metadata"


PROMQL = [
    "(" * 4_000,
    "(" * 2_000 + "up" + ")" * 2_000,
    "-" * 4_000 + "up",
    "up" + "+up" * 1_300,
    "up" + " and up" * 580,
    "sum(" * 800 + "up" + ")" * 800,
    "abs(" * 800 + "up" + ")" * 800,
    "{" * 4_000,
    "up{" + 'a="b",' * 680 + "}",
    "up{" + "(" * 4_000,
    'up{a=~"' + "(" * 1_900 + "a" + ")" * 1_900 + '"}',
    'up{a=~"((((a{500}){500}){500}){500}){500}"}',
    "up" + "[5m:1m]" * 500,
    "up[1e99]",
    "up offset 1e20",
    "up OFFSET -1e300",
    "up @ 1e300",
    "0x" + "f" * 4_000,
    '"' * 4_095,
    "`" * 4_095,
    'up{a="\\',
    "up # {\n" + "(" * 3_000,
    "up\0",
    "\ud800",
]


@pytest.mark.parametrize("text", PROMQL, ids=lambda text: text[:20].encode("unicode_escape"))
def test_hostile_promql_ends_no_process_also_on_a_small_stack(text: str) -> None:
    """The native parser overflows its stack or panics on these, which no ``except`` catches."""
    outcomes: list[bool] = []

    def check() -> None:
        try:
            selector("spec.indicator.ratio.bad", text, may_sum=True)
        except SpecInvalid:
            outcomes.append(False)
        else:
            outcomes.append(True)

    usual = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=check)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(usual)
    assert len(outcomes) == 1


@given(
    st.text("up{}()[]\"'`\\#@,=~!+-*/ \n0123456789.emshd", max_size=60)
    | st.lists(
        st.sampled_from(["up", "{", "}", "(", ")", "sum", "by", "offset", "@", "[", "]", '"', "5m"])
        | st.sampled_from(
            ["a=", "=~", "or", "bool", "1e20", "#", "\n", " ", ",", "'", "-", "$window"]
        ),
        max_size=20,
    ).map(" ".join)
)
def test_promql_of_any_kind_is_accepted_or_refused(text: str) -> None:
    with contextlib.suppress(SpecInvalid):
        selector("spec.indicator.probe.metric", text)
    with contextlib.suppress(SpecInvalid):
        expression("spec.indicator.query.bad", text)

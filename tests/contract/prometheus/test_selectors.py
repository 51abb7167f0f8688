"""What we read in a selector is what a real Prometheus reads in it."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.domain.selector import Op
from penstock.errors import SpecInvalid
from support.history import prometheus
from support.indicators import selector

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("selectors")) as url:
        yield url


def parsed(url: str, text: str) -> list[tuple[str, str, str]]:
    """The matchers that Prometheus itself reads in a selector."""
    address = f"{url}/api/v1/parse_query?{urllib.parse.urlencode({'query': text})}"
    with urllib.request.urlopen(address, timeout=60) as answer:
        tree = json.load(answer)["data"]
    return sorted({(one["name"], one["type"], one["value"]) for one in tree["matchers"]})


PLAIN = st.sampled_from(
    ["", "a", "5..", "a|b", "\\d+", "[ab]*", "\u00e9", "it's", 'a"b', "\n", "\\\\"]
)


@st.composite
def written_selectors(draw) -> str:
    """Selectors in the forms that authors write them, with every way to write a string."""

    def string(value: str) -> str:
        ways = [json.dumps(value, ensure_ascii=draw(st.booleans()))]
        if "`" not in value:
            ways.append(f"`{value}`")
        return draw(st.sampled_from(ways))

    values = PLAIN | st.text(st.characters(codec="utf-8"), max_size=5)
    matchers = draw(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(Op), values)))
    inside = ",".join(f"{label}{op}{string(value)}" for label, op, value in matchers)
    return draw(st.sampled_from(["x", "a:b"])) + (f"{{{inside}}}" if inside else "")


@given(written_selectors())
@example('x{a="\\x41\\101\\u00e9\\a\\v"}')
@example("x{a='\\'\"', b=`\\d\"'`}")
def test_a_selector_means_what_prometheus_reads_in_it_and_in_its_print(url, text):
    try:
        read = selector(text)
    except SpecInvalid:
        return
    meant = sorted((one.label, str(one.op), one.value) for one in read.matchers)
    assert parsed(url, text) == meant
    assert parsed(url, read.text) == meant

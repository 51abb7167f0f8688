"""What a link to a real Prometheus keeps: dialects, clocks, bounds, ranges."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from penstock.adapters.clock_skew import AGAIN, EVERY
from penstock.adapters.prometheus_response import QueryError
from penstock.adapters.source_client import AT_ONCE, TRIAL, SourceClient
from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.metrics_source import Dialect, MetricsSource
from penstock.domain.source_status import SourceReason
from support.auth_proxy import AuthProxy, auth_proxy
from support.clocks import MovedClock
from support.history import NOW, History
from support.indicators import ratio
from support.measuring import Meter, slo, source
from testbed.fault_actions import Delay, Status
from testbed.fault_plan import Match, Plan, Rule
from testbed.proxy import FaultProxy

pytestmark = pytest.mark.servers

SHOP = slo("shop", ratio('shop_total{code="500"}', "shop_total"))


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    past = History()
    past.steady("shop_total", {"code": "200"}, step_up=9)
    past.steady("shop_total", {"code": "500"}, step_up=1)
    with past.served(tmp_path_factory.mktemp("past")) as url:
        yield url


@pytest.fixture
def before(upstream: str) -> Iterator[AuthProxy]:
    with auth_proxy(upstream) as standing:
        yield standing


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def meter(clock: MovedClock) -> Iterator[Meter]:
    with Meter(clock) as made:
        yield made


def ask(meter: Meter, where: MetricsSource) -> Evidence:
    return meter.one(where, SHOP, NOW)


# Dialects.


@pytest.mark.parametrize(
    ("dialect", "label", "told"),
    [
        (Dialect.PROMETHEUS, None, {}),
        (Dialect.MIMIR, None, {}),
        (Dialect.THANOS, None, {"partial_response": ["false"], "dedup": ["true"]}),
        (
            Dialect.THANOS,
            "replica",
            {"partial_response": ["false"], "dedup": ["true"], "replicaLabels[]": ["replica"]},
        ),
        (
            Dialect.VICTORIA_METRICS,
            None,
            {"nocache": ["1"], "deny_partial_response": ["1"], "max_lookback": ["5m"]},
        ),
    ],
)
def test_each_dialect_is_sent_what_it_needs_and_nothing_of_the_others(
    meter, before, dialect, label, told
):
    where = source(before.url, dialect=dialect, replica_label=label)
    assert ask(meter, where).kind is EvidenceKind.FRESH  # Prometheus itself minds none of it
    usual = {"query", "time", "timeout", "stats"}
    for form in before.forms:
        assert {name: value for name, value in form.items() if name not in usual} == told


# Clocks.


@pytest.mark.parametrize(("wrong", "says"), [(-47, "47 s ahead of ours"), (47, "47 s behind ours")])
def test_a_clock_that_differs_is_reported_and_nothing_is_decided(
    meter, upstream, clock, wrong, says
):
    clock.wrong = wrong
    where = source(upstream)
    told = ask(meter, where)
    assert told.kind is EvidenceKind.CLOCK_SKEW
    assert says in told.detail
    assert told.reading is None
    assert meter.look(where).reason is SourceReason.CLOCK_SKEW

    clock.wrong = 0
    clock.move(AGAIN)
    assert ask(meter, where).kind is EvidenceKind.FRESH
    assert meter.look(where).reason is SourceReason.CONNECTED


def test_a_clock_that_goes_wrong_later_is_noticed(meter, upstream, clock):
    where = source(upstream)
    assert ask(meter, where).kind is EvidenceKind.FRESH
    clock.wrong = 20  # ours was set: the other clock of this process did not jump
    assert ask(meter, where).kind is EvidenceKind.CLOCK_SKEW


def test_the_clocks_are_compared_again_after_a_while_and_not_at_each_tick(meter, before, clock):
    def trials() -> int:
        return sum(form["query"] == [TRIAL] for form in before.forms)

    where = source(before.url)
    for _ in range(3):
        ask(meter, where)
    assert trials() == 1
    clock.move(EVERY)
    clock.wrong = EVERY  # both clocks go on
    ask(meter, where)
    assert trials() == 2


def test_a_slow_answer_is_no_skew(meter, upstream):
    with FaultProxy(upstream) as proxy:
        slow = Plan((Rule(Match(query="time"), Delay(6)),))
        with proxy.faults(slow):
            assert ask(meter, source(proxy.url, timeout="20s")).kind is EvidenceKind.FRESH


# Bounds.


def test_a_server_with_too_much_to_do_is_asked_half_as_much_at_once(meter, upstream):
    many = [slo(f"s{n}", ratio('shop_total{code="500"}', "shop_total")) for n in range(80)]
    with FaultProxy(upstream) as proxy:
        where = source(proxy.url)
        assert meter.one(where, SHOP, NOW).kind is EvidenceKind.FRESH
        link = meter.link(where)
        assert link._limiter.limit == AT_ONCE
        busy = Plan((Rule(Match(query="shop_total"), Status(429)),))
        with proxy.faults(busy):
            assert {one.kind for one in meter.all(where, many, NOW)} == {EvidenceKind.UNREACHABLE}
        assert link._limiter.limit < AT_ONCE


def test_a_source_that_nobody_asks_is_checked_all_the_same(meter, before, clock):
    where = source(before.url)
    assert meter.look(where).reason is SourceReason.CONNECTED
    assert meter.look(where).reason is SourceReason.CONNECTED
    assert len(before.forms) == 1
    clock.move(61)
    health = meter.look(where)
    assert len(before.forms) == 2
    assert health.answered_at is not None


# What else can be asked.


def test_a_range_is_read_by_the_same_link(meter, upstream):
    async def ranged() -> None:
        link = await meter.sources.client_for(source(upstream))
        assert isinstance(link, SourceClient)
        begin = NOW - timedelta(minutes=10)
        found = await link.ask_range("sum(increase(shop_total[5m]))", begin, NOW, 300)
        assert [float(text) for _, text in found.rows[0][1]] == pytest.approx([200, 200, 200])
        assert [at for at, _ in found.rows[0][1]] == [
            NOW.timestamp() - 600,
            NOW.timestamp() - 300,
            NOW.timestamp(),
        ]
        with pytest.raises(QueryError, match="query rejected"):
            await link.ask_range("sum(", begin, NOW, 300)

    asyncio.run(ranged())

"""Fault plans: the same plan and the same requests give the same faults."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed import fault_actions, fault_plan
from testbed.fault_actions import Delay, Drop, Status, api_error, watch_error
from testbed.fault_plan import Call, Chance, Every, First, Match, Nth, Plan, Rule, When

GET = Call("GET", "/apis/penstock.dev/v1alpha1/slos", "limit=500")
PATCH = Call("PATCH", "/apis/penstock.dev/v1alpha1/namespaces/shop/slos/a/status", "force=true")

seeds = st.integers(0, 2**32)
targets = st.sampled_from(["api", "prometheus"])
calls = st.lists(st.sampled_from([GET, PATCH, Call("GET", "/api/v1/query", "query=up")]))


def hits(plan: Plan, calls: list[Call], elapsed: float = 0.0) -> list[bool]:
    armed = plan.arm()
    return [armed.decide(call, elapsed) is not None for call in calls]


def one(when: When, **match: object) -> Plan:
    return Plan((Rule(Match(when=when, **match), Status(503)),), seed=7)


@given(seeds, targets)
def test_a_random_plan_is_the_same_for_the_same_seed(seed, target):
    assert Plan.random(seed, target=target) == Plan.random(seed, target=target)


def test_other_seeds_give_other_plans():
    assert len({Plan.random(seed).rules for seed in range(50)}) == 50


@given(seeds, targets)
def test_a_printed_plan_is_one_that_can_be_run_again(seed, target):
    original = Plan.random(seed, target=target)
    assert eval(repr(original), vars(fault_plan) | vars(fault_actions)) == original


@given(seeds, targets, st.integers(0, 6))
def test_the_description_has_the_seed_and_one_line_for_each_rule(seed, target, rules):
    text = Plan.random(seed, target=target, rules=rules).describe()
    assert str(seed) in text
    assert len(text.splitlines()) == 1 + rules


@given(seeds, targets)
def test_a_random_plan_is_over_when_it_said(seed, target):
    armed = Plan.random(seed, target=target, seconds=5.0).arm()
    assert all(armed.decide(call, 5.0) is None for call in [GET, PATCH] * 20)


@given(seeds, calls)
def test_the_same_requests_meet_the_same_faults(seed, calls):
    random = Plan.random(seed)
    first, second = random.arm(), random.arm()
    assert [first.decide(c, 0.0) for c in calls] == [second.decide(c, 0.0) for c in calls]


@given(seeds, st.lists(st.booleans(), max_size=50))
def test_chances_do_not_depend_on_other_requests_in_between(seed, order):
    rule = Rule(Match(("PATCH",), when=Chance(0.5)), Delay(1))
    mixed = hits(Plan((rule,), seed), [PATCH if patch else GET for patch in order])
    alone = hits(Plan((rule,), seed), [PATCH] * sum(order))
    assert [hit for hit, patch in zip(mixed, order, strict=True) if patch] == alone


@given(seeds, calls)
def test_the_report_shows_each_hit_in_order(seed, calls):
    armed = Plan.random(seed).arm()
    acts = [armed.decide(call, 1.25) for call in calls]
    struck = [call for call, act in zip(calls, acts, strict=True) if act is not None]
    told = re.findall(r"rule \d+ hit (\S+) (\S+) at 1.25 s", armed.report())
    assert told == [(call.method, call.path) for call in struck]
    assert armed.report().startswith(armed.plan.describe())


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (fault_plan.Always(), [1, 1, 1, 1, 1, 1]),
        (Nth(2), [0, 1, 0, 0, 0, 0]),
        (First(2), [1, 1, 0, 0, 0, 0]),
        (Every(3), [0, 0, 1, 0, 0, 1]),
        (Chance(0.0), [0, 0, 0, 0, 0, 0]),
        (Chance(1.0), [1, 1, 1, 1, 1, 1]),
    ],
)
def test_a_rule_fires_on_the_matches_it_names(when, expected):
    assert hits(one(when), [GET] * 6) == [bool(hit) for hit in expected]


def test_method_path_and_query_must_all_match():
    only = one(
        fault_plan.Always(), methods=("PATCH", "PUT"), path="/slos/.*/status$", query="force=true"
    )
    assert hits(only, [PATCH, GET]) == [True, False]


def test_the_query_is_matched_as_people_read_it():
    encoded = Call("GET", "/api/v1/query", "query=up%7Bjob%3D%22shop%22%7D")
    assert hits(one(fault_plan.Always(), query=r'up\{job="shop"\}'), [encoded]) == [True]


def test_a_request_outside_of_the_time_window_is_not_counted():
    armed = one(First(1), since=2.0, until=4.0).arm()
    assert [armed.decide(GET, at) is not None for at in (0.0, 1.9, 4.0, 2.0, 3.0)] == [
        False,
        False,
        False,
        True,
        False,
    ]


def test_the_first_rule_that_fires_decides_and_the_others_count_all_the_same():
    both = Plan((Rule(Match(when=First(1)), Delay(1)), Rule(Match(when=Nth(2)), Drop(0))))
    armed = both.arm()
    assert [armed.decide(GET, 0.0) for _ in range(3)] == [Delay(1), Drop(0), None]


def test_an_empty_plan_hits_nothing_and_says_so():
    armed = Plan(()).arm()
    assert armed.decide(GET, 0.0) is None
    assert "no request was hit" in armed.report()


def test_errors_are_worded_as_the_api_server_words_them():
    status = api_error(429, "slow down", retry_after=3)
    assert ("Retry-After", "3") in status.headers
    assert '"reason": "TooManyRequests"' in status.body
    assert '"code": 410' in watch_error(410).line

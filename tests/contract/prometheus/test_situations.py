"""Closing a bucket on a real Prometheus: what each situation counts, and how wrong forms fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from datetime import timedelta
from decimal import Decimal

import pytest

from penstock.engine.promql.counting import (
    exact_increase,
    plain_increase,
    reading,
    restarts_by_drop,
)
from support.history import NOW
from support.scrapes import ask, ask_range
from support.situations import (
    BUCKET,
    BY,
    ERROR,
    HOUR,
    METRIC,
    MORE,
    NOBODY_CAN_KNOW,
    ONCE,
    TWELVE,
    closing,
    counted,
    play,
)

pytestmark = pytest.mark.servers

SITUATIONS = TWELVE | MORE | ONCE

UNWATCHED_LOSSES = {
    "crash-looping pod seen in one scrape": None,
    "errors begin with 40 at once in an old process": Decimal(0),
}
"""Without `up` and start times: a first value over ten that is the only one, and has no witness."""

OVERTAKEN = {"young process that is overtaken by the next"}
"""The next one stands higher than it ever did: nothing has fallen."""

READ = reading(METRIC)
QUICK = exact_increase(READ, BY, BUCKET, HOUR)

Wrong = Callable[[str], str]


def served(tmp_path_factory: pytest.TempPathFactory, *, watched: bool) -> Iterator[str]:
    scrapes = play(SITUATIONS, watched=watched)
    with scrapes.served(tmp_path_factory.mktemp("situations")) as url:
        yield url


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Scraped: with ``up`` and with the time at which each process began."""
    yield from served(tmp_path_factory, watched=True)


@pytest.fixture(scope="module")
def unwatched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same samples, as they come by OTLP: nothing but the counters."""
    yield from served(tmp_path_factory, watched=False)


def is_right(name: str, value: Decimal | None) -> bool:
    true = SITUATIONS[name].true
    if name in NOBODY_CAN_KNOW:
        return value is not None and abs(value - true) <= true * Decimal("0.15")
    return value == true


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_bucket_that_was_scraped_is_counted_exactly(watched, name):
    value = counted(watched, closing()).get(name)
    assert is_right(name, value), value


@pytest.mark.parametrize("name", sorted(SITUATIONS.keys() - UNWATCHED_LOSSES - NOBODY_CAN_KNOW))
def test_a_bucket_that_was_pushed_is_counted_exactly(unwatched, name):
    assert counted(unwatched, closing())[name] == SITUATIONS[name].true


@pytest.mark.parametrize("name", UNWATCHED_LOSSES)
def test_without_up_a_first_and_only_value_over_ten_is_not_counted(unwatched, name):
    assert counted(unwatched, closing()).get(name) == UNWATCHED_LOSSES[name]


def test_without_up_an_old_counter_is_still_not_counted_as_a_whole(unwatched):
    name = "old process scraped for the first time"
    assert is_right(name, counted(unwatched, closing())[name])


def test_only_outages_are_lost_with_a_lookback_of_five_minutes(watched):
    """So a hot account is looked at between two buckets, told as before the last reading."""
    found, same = (
        counted(watched, exact_increase(READ, BY, BUCKET, BUCKET)),
        counted(watched, QUICK),
    )
    assert {name for name in SITUATIONS if found.get(name) != same[name]} == {
        "outage of 20 minutes ends in the bucket"
    }


def test_before_its_last_reading_what_restarted_in_a_bucket_is_stretched_by_increase(watched):
    found = counted(watched, QUICK)
    assert all(is_right(name, found[name]) for name in SITUATIONS.keys() - ONCE.keys() - OVERTAKEN)
    assert found | told_by_increase(watched) == found


def test_a_restart_that_shows_as_a_drop_is_counted_the_same(watched):
    """As Thanos is asked, whose `resets` sees none, and of which no reading is thorough."""
    by_its_fall = exact_increase(READ, BY, BUCKET, HOUR, thorough=True, restarts=restarts_by_drop)
    found, same = counted(watched, by_its_fall), counted(watched, QUICK)
    assert {name for name in SITUATIONS if found[name] != same[name]} <= OVERTAKEN


def told_by_increase(url: str) -> dict[str, Decimal]:
    """What was reset once, as `increase` stretches it."""
    found = counted(url, plain_increase(METRIC, BY, BUCKET))
    return {name: found[name] for name in ONCE}


def test_other_series_of_a_target_are_counted_beside_it(watched):
    rows = ask(watched, closing(), NOW).rows
    assert [value for labels, value in rows if labels["code"] == "200"] == [400]


def without(part: str, instead: str = "") -> Wrong:
    """The right expression, less a part of it."""

    def wrong(selector: str) -> str:
        text = closing(selector)
        assert text.count(part) == 1, text
        return text.replace(part, instead)

    return wrong


def summed(text: str) -> Wrong:
    return lambda selector: f"sum by ({', '.join(BY)}) ({text.replace('m ', f'{selector} ')})"


EXACT_5M = (
    "(m - (m offset 5m)) >= 0 or (increase(m [5m]) and (m offset 5m))"
    " or (m <= 10 * (increase(m [5m]) + 1)) or (m <= 10)"
)
BY_STEPS = "or round(300 * rate(events_total[300001ms:15s]), 0.000001)"
BY_PEAK = (
    "or (last_over_time(events_total[300s]) < max_over_time(events_total[300s]))"
    " + max_over_time(events_total[300s]) - last_over_time(events_total[120s] offset 300s)"
    " and resets(events_total[420s]) == 1"
)
DEFECTS: dict[str, tuple[Wrong, Set[str]]] = {
    "plain increase": (
        lambda selector: plain_increase(selector, BY, BUCKET),
        {
            "one failed scrape at the border",
            "pod goes away in the middle",
            "pod is born in the middle",
            "first error ever, counter made late",
            "crash-looping pod seen in one scrape",
            "outage of 20 minutes ends in the bucket",
            "all events between the two scrapes around the border",
        },
    ),
    "plain increase from the border on": (
        summed("increase(m [5m1ms:15s])"),
        {"first error ever, counter made late", "crash-looping pod seen in one scrape"},
    ),
    "a difference, or else the counter": (
        summed("(m - m offset 5m) >= 0 or m "),
        {"outage of 20 minutes ends in the bucket", "old process scraped for the first time"},
    ),
    "a difference alone": (
        summed("m - m offset 5m"),
        {"counter reset in the bucket", "pod is born in the middle"},
    ),
    "a new series is told by its value alone": (
        summed(EXACT_5M),
        {
            "one failed scrape at the border",
            "crash-looping pod seen in one scrape",
            "young pod crashes again and grows past its old value",
        },
    ),
    "resets in the bucket go unnoticed": (
        without("unless resets(events_total[300s]) > 0"),
        {"counter reset in the bucket"},
    ),
    "no increase for what has no base": (
        without(BY_STEPS),
        {"counter reset twice in the bucket", "old process scraped for the first time"},
    ),
    "the counter for what has no base": (
        without(BY_STEPS, "or last_over_time(events_total[300s])"),
        {"counter reset twice in the bucket", "old process scraped for the first time"},
    ),
    "increase for what began anew": (
        without(f"{BY_PEAK}\n  {BY_STEPS}", f"or increase({METRIC}[300s])"),
        ONCE.keys(),
    ),
    "all that began anew is put together from its peak": (
        without("and resets(events_total[420s]) == 1"),
        {"counter reset twice in the bucket", "counter reset at the border and once more"},
    ),
    "restarts at the border go unnoticed": (
        without("resets(events_total[420s]) == 1", "resets(events_total[300s]) == 1"),
        {"counter reset at the border and once more"},
    ),
    "the peak may be the last value": (
        without(
            "(last_over_time(events_total[300s]) < max_over",
            "(last_over_time(events_total[300s]) <= max_over",
        ),
        {"young process that is overtaken by the next"},
    ),
    "the lowest value does not matter": (
        without(" <= min_over_time(events_total[300s])", " <= last_over_time(events_total[300s])"),
        {"young pod crashes again and grows past its old value"},
    ),
    "birth without evidence": (
        without("and on (job, instance) (", "or ("),
        {
            "old process scraped for the first time",
            "old process with a small counter scraped for the first time",
        },
    ),
    "no evidence from up": (
        without("(max_over_time(up[120s] offset 300s) == 1)", "(up < 0)"),
        {"errors begin with 40 at once in an old process", "first error ever, counter made late"},
    ),
    "up at the border itself": (
        without("max_over_time(up[120s] offset 300s)", "up offset 300s"),
        {"border within two failed scrapes, then the first error ever"},
    ),
    "up of a target whose labels changed": (
        without("unless on (job, instance) (up unless up offset 300s)"),
        {"target whose labels change at the border"},
    ),
    "no evidence from the process's age": (
        without("or time() - last_over_time(process_start_time_seconds[300s]) < 360"),
        {"crash-looping pod seen in one scrape"},
    ),
    "the process's age at the end of the bucket": (
        without("last_over_time(process_start_time_seconds[300s])", "process_start_time_seconds"),
        {"crash-looping pod seen in one scrape"},
    ),
    "a guess where the age is known": (
        without("unless on (job, instance) process_start_time_seconds"),
        {"old process with a small counter scraped for the first time"},
    ),
}
UNWATCHED_DEFECTS: dict[str, tuple[Wrong, set[str]]] = {
    "no witness": (
        without(
            "last_over_time(events_total[120s] offset 300s) and abs(", "events_total < 0 and abs("
        ),
        {"errors begin with 40 at once beside other events"},
    ),
    "a witness that is gone": (
        without("and abs(events_total)"),
        {
            "target whose labels change at the border",
            "target whose labels change in the middle",
        },
    ),
    "no guess": (
        without("<= 3600 * last_over_time(events_total[300s]) + 10 * 300", "< 0"),
        {"pod is born in the middle", "first error ever, counter made late"},
    ),
    "no guess for few events": (
        without("+ 10 * 300"),
        {"first error ever, counter made late", "young process fails in its last seconds"},
    ),
}


def wrongly_counted(url: str, wrong: Wrong) -> set[str]:
    found = counted(url, wrong(METRIC))
    return {name for name in SITUATIONS if not is_right(name, found.get(name))}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_wrong_expression_is_found_out(watched, defect):
    wrong, victims = DEFECTS[defect]
    assert wrongly_counted(watched, wrong) >= victims


@pytest.mark.parametrize("defect", UNWATCHED_DEFECTS)
def test_a_wrong_expression_is_found_out_by_pushed_data(unwatched, defect):
    wrong, victims = UNWATCHED_DEFECTS[defect]
    assert wrongly_counted(unwatched, wrong) - UNWATCHED_LOSSES.keys() >= victims


def test_a_range_query_counts_each_bucket_as_an_instant_one_does(watched):
    query = closing(f'{METRIC}{{code="{ERROR}"}}')
    times = [NOW - timedelta(minutes=5 * n) for n in reversed(range(13))]
    ranged = ask_range(watched, query, times[0], NOW, 300, "situation")
    for at in times:
        instant = ask(watched, query, at).by("situation")
        assert instant
        assert instant == {
            name: values[at.timestamp()]
            for name, values in ranged.items()
            if at.timestamp() in values
        }


def test_many_selectors_are_counted_by_one_expression(watched):
    """Each by a label of its own, as they are by themselves; evidence is read once for all."""
    names = sorted(TWELVE)

    def read(function: str, span: str) -> str:
        return " or ".join(
            f'label_replace({function}({METRIC}{{situation="{name}"}}{span}), '
            f'"leg", "{number}", "", "")'
            for number, name in enumerate(names)
        ).join("()")

    together = ask(watched, exact_increase(read, ("leg",), BUCKET, HOUR, thorough=True), NOW)
    alone = counted(watched, closing())
    assert together.by("leg") == {str(n): alone[name] for n, name in enumerate(names)}
    apart = [ask(watched, closing(f'{METRIC}{{situation="{name}"}}'), NOW) for name in names]
    assert together.samples < sum(one.samples for one in apart)

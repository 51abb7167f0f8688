"""Objectives cut from the month: one for each service, and a thousand with selectors of their own.

An objective is chosen so that just 80 of 100 points of its budget are truly spent when the month
ends.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from itertools import product

from benchmarks.month.data import Count, Month

METRIC = "http_requests_total"
SPENT = Decimal("0.8")
QUIET = "99.9%"
"""The objective where nothing ever failed."""


@dataclass(frozen=True)
class Promise:
    """One objective's indicator: which requests count, and which of them are bad.

    Attributes:
        kind: the class of the service.
        matchers: of the total, as label, operator, value.
        bad_codes: regular expression of the codes that are bad.
    """

    name: str
    service: str
    kind: str
    matchers: tuple[tuple[str, str, str], ...]
    bad_codes: str = "5.."

    @property
    def total(self) -> str:
        """Selector of all events."""
        return self._selector()

    @property
    def bad(self) -> str:
        """Selector of the bad ones."""
        return self._selector(("code", "=~", self.bad_codes))

    def _selector(self, *more: tuple[str, str, str]) -> str:
        inside = ",".join(f'{label}{op}"{value}"' for label, op, value in (*self.matchers, *more))
        return f"{METRIC}{{{inside}}}"

    def is_bad(self, code: str) -> bool:
        """Whether events of this code are bad."""
        return re.fullmatch(self.bad_codes, code) is not None

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Whether a series counts at all."""
        return all(_matches(labels[label], op, value) for label, op, value in self.matchers)


def _matches(found: str, op: str, value: str) -> bool:
    if op in ("=~", "!~"):
        return (re.fullmatch(value, found) is not None) == (op == "=~")
    return (found == value) == (op == "=")


def of_services(month: Month) -> list[Promise]:
    """One for each service of the month: all its requests, 5xx are bad. They share one shape."""
    return [_whole(one.name, one.kind) for one in month.of_class()]


def of_fleet(month: Month) -> list[Promise]:
    """One for each of the many services of the last six hours."""
    return [_whole(one.name, one.kind) for one in month.of_class("fleet")]


def apart(month: Month) -> list[Promise]:
    """The same, but each has errors of its own: no two can be asked by one expression."""
    return [replace(one, bad_codes=f"5..|6{n:04}") for n, one in enumerate(of_fleet(month))]


def _whole(name: str, kind: str) -> Promise:
    return Promise(name, name, kind, (("service", "=", name),))


def distinct(month: Month, number: int = 1_000) -> list[Promise]:
    """So many (or as many as there are), no two of which have the same selectors.

    By method, by pod, by code: chosen by the month's seed from all combinations.
    """
    everything = [one for service in month.of_class() for one in _cuts(service.name, service.kind)]
    order = random.Random(month.seed)
    return sorted(order.sample(everything, min(number, len(everything))), key=lambda one: one.name)


def _cuts(service: str, kind: str) -> Iterator[Promise]:
    methods = (
        ("any", ()),
        ("get", (("method", "=", "GET"),)),
        ("post", (("method", "=", "POST"),)),
    )
    pods: list[tuple[str, tuple[tuple[str, str, str], ...]]] = [("all", ())]
    pods += [(f"r{n}", (("instance", "=~", f"{service}-.+-{n}:8080"),)) for n in range(3)]
    pods += [("not0", (("instance", "!~", f"{service}-.+-0:8080"),))]
    codes = (("5xx", "5.."), ("4xx5xx", "4..|5.."))
    for (method, by_method), (pod, by_pod), (code, bad) in product(methods, pods, codes):
        matchers = (("service", "=", service), *by_method, *by_pod)
        yield Promise(f"{service}-{method}-{pod}-{code}", service, kind, matchers, bad)


def truth(month: Month, promise: Promise, start: int, end: int, *, real: bool = False) -> Count:
    """What truly was in a window whose ends are borders of buckets, in milliseconds."""
    first, last = month.number(start), month.number(end)
    bad = total = 0
    for one in month.series[promise.service]:
        if promise.takes(one.labels):
            events = one.within(first, last, real=real)
            total += events
            bad += events if promise.is_bad(one.labels["code"]) else 0
    return Count(bad, total)


def by_bucket(month: Month, promise: Promise, start: int, end: int) -> list[Count]:
    """The same for each bucket of five minutes, as a ledger closes them."""
    first, last = month.number(start), month.number(end)
    bad, total = [0] * (last - first), [0] * (last - first)
    for one in month.series[promise.service]:
        if promise.takes(one.labels):
            is_bad = promise.is_bad(one.labels["code"])
            for number, events in enumerate(one.scraped, one.first - first):
                if 0 <= number < len(total):
                    total[number] += events
                    bad[number] += events if is_bad else 0
    return list(map(Count, bad, total))


def truths(month: Month, promises: Sequence[Promise], *, real: bool = False) -> dict[str, Count]:
    """The same for the budget's window, by the promise's name."""
    start = month.end - month.window_days * 86_400_000
    return {one.name: truth(month, one, start, month.end, real=real) for one in promises}


def objective(true: Count) -> str:
    """In percent, so that 80 of 100 points are spent: 4 bad of 10,000 make 99.95%."""
    if not true.bad:
        return QUIET
    budget = Decimal(true.bad) / Decimal(true.total) / SPENT
    return f"{(100 - 100 * budget).quantize(Decimal('0.000001'), ROUND_FLOOR).normalize():f}%"

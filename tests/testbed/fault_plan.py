"""Fault plans: which requests are hit, and by what.

Owns the choice alone, and is pure: no clock, no network. The same plan given the same requests hits
the same ones, whatever else happens between them, because every rule counts its own matches and
draws from a generator of its own. That is what makes a plan worth printing when a test fails.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Literal
from urllib.parse import unquote_plus

from testbed.fault_actions import (
    Act,
    ApplyThenCut,
    Cut,
    CutThenApply,
    CutWatch,
    Delay,
    Drop,
    EditWatch,
    Garble,
    HangAfterHeaders,
    InjectLine,
    ReplaceBody,
    SlowBody,
    Status,
    api_error,
    prometheus_error,
    watch_error,
)

Target = Literal["api", "prometheus"]


@dataclass(frozen=True)
class Call:
    """What a plan sees of a request; the query of a form that is posted counts as query."""

    method: str
    path: str
    query: str = ""


@dataclass(frozen=True)
class Always:
    """Every match."""


@dataclass(frozen=True)
class Nth:
    """One match alone, counted from 1."""

    number: int


@dataclass(frozen=True)
class First:
    """The first matches."""

    count: int


@dataclass(frozen=True)
class Every:
    """Every so many matches, the last of each round."""

    step: int


@dataclass(frozen=True)
class Chance:
    """Each match with this probability, by the plan's seed."""

    probability: float


When = Always | Nth | First | Every | Chance


@dataclass(frozen=True)
class Match:
    """Which requests a rule is about; what is left out matches all.

    Regular expressions are searched for in the percent-decoded path and query. Times are seconds
    since the plan was armed; a request outside of them is not counted either.
    """

    methods: tuple[str, ...] = ()
    path: str = ""
    query: str = ""
    when: When = field(default_factory=Always)
    since: float = 0.0
    until: float | None = None

    def concerns(self, call: Call, elapsed: float) -> bool:
        """Whether the request is one to count; `when` is not asked yet."""
        return (
            (not self.methods or call.method in self.methods)
            and elapsed >= self.since
            and (self.until is None or elapsed < self.until)
            and re.search(self.path, unquote_plus(call.path)) is not None
            and re.search(self.query, unquote_plus(call.query)) is not None
        )

    def describe(self) -> str:
        """The condition in one phrase."""
        words = [",".join(self.methods) or "any method", self.path or "any path"]
        if self.query:
            words.append(f"?{self.query}")
        words.append(_describe_when(self.when))
        if self.since or self.until is not None:
            end = "the end" if self.until is None else f"{self.until:g} s"
            words.append(f"from {self.since:g} s to {end}")
        return " ".join(words)


@dataclass(frozen=True)
class Rule:
    """Do this to those."""

    match: Match
    act: Act

    def describe(self) -> str:
        """Condition and act in one line, long bodies cut short."""
        return (
            f"{self.match.describe()}: {textwrap.shorten(repr(self.act), 160, placeholder='...')}"
        )


@dataclass(frozen=True)
class Plan:
    """Rules in order: the first that fires decides. All of them count, whichever fires."""

    rules: tuple[Rule, ...]
    seed: int = 0

    @classmethod
    def random(
        cls, seed: int, *, target: Target = "api", rules: int = 4, seconds: float = 20.0
    ) -> Plan:
        """Some plan for a server of this kind, always the same for a seed; over after `seconds`.

        It contains only what a real server or network does, so that whoever recovers from it once
        it is over is right, and whoever does not has a defect.
        """
        draw = Random(f"{target}/{seed}")
        menu = _API_MENU if target == "api" else _PROMETHEUS_MENU
        return cls(tuple(_random_rule(draw, menu, seconds) for _ in range(rules)), seed)

    def arm(self) -> Armed:
        """Begin to count from nothing."""
        return Armed(self)

    def describe(self) -> str:
        """The seed, then one line for each rule."""
        lines = [f"  {number}. {rule.describe()}" for number, rule in enumerate(self.rules, 1)]
        return "\n".join([f"fault plan, seed {self.seed}", *lines])


@dataclass(frozen=True)
class Hit:
    """One fault that was done."""

    rule: int
    call: Call
    elapsed: float

    def describe(self) -> str:
        """One line for a report."""
        call = f"{self.call.method} {self.call.path}"
        return f"  rule {self.rule} hit {call} at {self.elapsed:.2f} s"


class Armed:
    """A plan at work: counts matches, draws its chances, remembers what it hit."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.hits: list[Hit] = []
        self._counts = [0 for _ in plan.rules]
        self._chances = [Random(f"{plan.seed}/{index}") for index, _ in enumerate(plan.rules)]

    def decide(self, call: Call, elapsed: float) -> Act | None:
        """What to do to this request; None leaves it alone."""
        firing = [index for index in range(len(self._counts)) if self._fires(index, call, elapsed)]
        if not firing:
            return None
        self.hits.append(Hit(firing[0] + 1, call, elapsed))
        return self.plan.rules[firing[0]].act

    def report(self) -> str:
        """The plan and what came of it, for a person who reads a failed test."""
        hits = [hit.describe() for hit in self.hits] or ["  no request was hit"]
        return "\n".join([self.plan.describe(), *hits])

    def _fires(self, index: int, call: Call, elapsed: float) -> bool:
        match = self.plan.rules[index].match
        if not match.concerns(call, elapsed):
            return False
        self._counts[index] += 1
        count = self._counts[index]
        if isinstance(match.when, Nth):
            return count == match.when.number
        if isinstance(match.when, First):
            return count <= match.when.count
        if isinstance(match.when, Every):
            return count % match.when.step == 0
        if isinstance(match.when, Chance):
            return self._chances[index].random() < match.when.probability
        return True


def _describe_when(when: When) -> str:
    if isinstance(when, Nth):
        return f"match {when.number}"
    if isinstance(when, First):
        return f"first {when.count} matches"
    if isinstance(when, Every):
        return f"every {when.step}. match"
    if isinstance(when, Chance):
        return f"with probability {when.probability:g}"
    return "every match"


_ANY: tuple[tuple[str, ...], str] = ((), "")
_READS = (("GET",), "^(?!.*watch=)")
_WRITES = (("POST", "PUT", "PATCH", "DELETE"), "")
_WATCHES = (("GET",), "watch=(true|1)")

_Course = tuple[tuple[tuple[str, ...], str], Callable[[Random], Act]]

_NETWORK_MENU: tuple[_Course, ...] = (
    (_ANY, lambda draw: Delay(round(draw.uniform(0.05, 2.0), 2))),
    (_ANY, lambda draw: Drop(round(draw.uniform(0.0, 5.0), 2))),
    (_READS, lambda draw: Cut(draw.randint(0, 2000))),
    (_READS, lambda draw: Garble(draw.randint(0, 9999))),
    (_READS, lambda draw: SlowBody(draw.choice((500, 5_000, 50_000)))),
    (_READS, lambda draw: HangAfterHeaders(round(draw.uniform(0.5, 5.0), 2))),
    (_READS, lambda _: ReplaceBody("<html><body>502 Bad Gateway</body></html>")),
)
_API_MENU: tuple[_Course, ...] = (
    *_NETWORK_MENU,
    (_ANY, lambda draw: api_error(draw.choice((401, 500, 503, 504)))),
    (_ANY, lambda _: api_error(429, retry_after=1)),
    (_READS, lambda _: api_error(410)),
    (_WRITES, lambda _: api_error(409)),
    (_WRITES, lambda _: ApplyThenCut()),
    (_WRITES, lambda draw: CutThenApply(round(draw.uniform(0.05, 1.0), 2))),
    (_WATCHES, lambda draw: CutWatch(after_seconds=round(draw.uniform(0.2, 2.0), 2))),
    (_WATCHES, lambda draw: CutWatch(after_lines=draw.randint(0, 5))),
    (_WATCHES, lambda draw: watch_error(draw.choice((410, 429, 500)))),
    (_WATCHES, lambda draw: InjectLine("not json", draw.randint(0, 5), end=True)),
    (_WATCHES, lambda draw: HangAfterHeaders(round(draw.uniform(0.5, 5.0), 2))),
    (_WATCHES, lambda draw: EditWatch(".", draw.choice(("twice", "later")))),
)
_PROMETHEUS_MENU: tuple[_Course, ...] = (
    *_NETWORK_MENU,
    (_ANY, lambda _: prometheus_error(503, "timeout")),
    (_ANY, lambda _: prometheus_error(422, "execution")),
    (_ANY, lambda draw: Status(draw.choice((429, 502, 503)), (("Retry-After", "1"),))),
)


def _random_rule(draw: Random, menu: tuple[_Course, ...], seconds: float) -> Rule:
    (methods, query), make = draw.choice(menu)
    when: When = draw.choice(
        (
            First(draw.randint(1, 3)),
            Nth(draw.randint(1, 4)),
            Every(draw.randint(2, 4)),
            Chance(round(draw.uniform(0.1, 0.5), 2)),
        )
    )
    return Rule(Match(methods, query=query, when=when, until=seconds), make(draw))

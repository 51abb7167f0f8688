"""Builds the PromQL that one batch of inquiries is asked by; what comes back is read in `reading`.

Bad (or good) and total are asked apart, never as a quotient: a quotient is NaN without traffic and
empty without errors. Every number is one *leg*, told from the others by the label ``penstock``; the
legs of many SLOs make one query. Nothing here talks to a server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from penstock.domain.evidence import Evidence, Kind
from penstock.domain.indicator import RatioIndicator
from penstock.domain.quantities import Duration
from penstock.domain.slo import Occurrences, Slo
from penstock.engine.closing import written
from penstock.engine.ports import Inquiry

LABEL = "penstock"
MOST_TOGETHER = 25
MOST_LEGS = 400
MOST_TEXT = 100_000
_AROUND = 64  # characters of label_replace(...) and of the tree around a leg
# How far an instant selector looks back by default, and so how far ahead we look for samples of a
# clock that is wrong.
LOOK_BACK = "5m"

_TOKEN = re.compile(
    r"""
    (?P<space> \s+ | \#[^\n]*)
  | (?P<string> "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | `[^`]*` )
  | (?P<word> [A-Za-z_:][A-Za-z0-9_:]* )
  | (?P<mark> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_GROUPINGS = frozenset({"by", "without"})
_IN_MATCHERS = frozenset("=!~,")


class Part(StrEnum):
    """What a leg counts; the letters are part of its name."""

    EVENTS = "e"
    TOTAL = "t"


SEEN = "seen"
AGE = "age"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about one SLO, at one instant.

    Attributes:
        inquiry: what the engine wants to know.
        window: how far back the SLO's own window reaches at that instant.
        events: the selector of bad or good events.
        total: the selector of all events.
        freshness: data that is older is stale.
    """

    inquiry: Inquiry
    window: Duration
    events: str
    total: str
    freshness: Duration

    @property
    def ranges(self) -> tuple[Duration, ...]:
        """Every look back, each once; the window's own is the longest there needs to be."""
        return tuple(sorted({self.window, *self.inquiry.looks}))

    def legs(self) -> Iterator[tuple[str, str]]:
        """Each leg's name and expression; an expression gives one number, or nothing."""
        for back in self.ranges:
            yield leg(Part.EVENTS, back), f"sum(increase({self.events}[{written(back)}]))"
            yield leg(Part.TOTAL, back), f"sum(increase({self.total}[{written(back)}]))"
        # Unlike an instant selector, a range still sees the last samples of a target that is gone.
        yield SEEN, f"count(present_over_time({self.total}[{written(self.freshness)}]))"
        ahead = f"timestamp({self.total} offset -{LOOK_BACK})"
        yield AGE, f"time() - max({ahead} or timestamp({self.total}))"


def question(inquiry: Inquiry, at: datetime, freshness: Duration) -> Question | Evidence:
    """What to ask for an inquiry, or why nothing can be asked."""
    slo = inquiry.slo
    indicator = slo.indicator
    if not isinstance(indicator, RatioIndicator):
        return _not_measured(f"an indicator of the kind {_kind(indicator)}", "write spec.ratio")
    if not isinstance(slo.budgeting, Occurrences):
        method = type(slo.budgeting).__name__
        return _not_measured(f"budgeting by {method}", "write method Occurrences")
    window = _since_start(slo, at)
    if window.milliseconds <= 0:
        return Evidence(Kind.INSUFFICIENT_HISTORY, "the window has only just begun")
    try:
        events, total = selector_in(indicator.events), selector_in(indicator.total)
    except ValueError as error:
        return Evidence(Kind.SLO_INVALID, str(error))
    return Question(inquiry, window, events, total, freshness)


def query(questions: Sequence[Question]) -> str:
    """One query for all; the rows it gives are named by :func:`row`."""
    return _any_of(
        [
            f'label_replace({expression}, "{LABEL}", "{row(index, name)}", "", "")'
            for index, asked in enumerate(questions)
            for name, expression in asked.legs()
        ]
    )


def batches(
    questions: Sequence[Question], together: int = MOST_TOGETHER
) -> Iterator[tuple[Question, ...]]:
    """Cut into batches that one request can bear: by number of SLOs, of legs, and of characters."""
    batch: list[Question] = []
    legs = text = 0
    for asked in questions:
        lengths = [len(expression) + _AROUND for _, expression in asked.legs()]
        its_legs, its_text = len(lengths), sum(lengths)
        full = len(batch) == together or legs + its_legs > MOST_LEGS or text + its_text > MOST_TEXT
        if batch and full:
            yield tuple(batch)
            batch, legs, text = [], 0, 0
        batch.append(asked)
        legs, text = legs + its_legs, text + its_text
    if batch:
        yield tuple(batch)


def leg(part: Part, back: Duration) -> str:
    """The name of the number of one kind of events in one look back."""
    return f"{part}{back.milliseconds}"


def row(index: int, leg: str) -> str:
    """The value of the label that tells this leg's row from all others in a batch."""
    return f"{index}{leg}"


def selector_in(text: str) -> str:
    """The bare selector in a selector, or in ``sum by (...) (selector)``.

    The inner grouping is dropped: the outer sum adds its groups up again. Anything else is refused,
    so that no text of an author ever gets out of the parentheses that we put around it.

    >>> selector_in('sum by (code) (http_requests_total{service="a"})')
    'http_requests_total{service="a"}'

    Raises:
        ValueError: this is no such text.
    """
    tokens = _tokens(text)
    while tokens:
        inner = _argument(tokens)
        if inner is None:
            break
        tokens = inner
    if not _is_selector(tokens):
        raise ValueError(
            f'"{_excerpt(text)}" is no selector: write one, such as '
            'http_requests_total{code=~"5.."}, or sum by (label) (selector)'
        )
    return text[tokens[0].start() : tokens[-1].end()]


def _tokens(text: str) -> list[re.Match[str]]:
    return [token for token in _TOKEN.finditer(text) if token.lastgroup != "space"]


def _argument(tokens: list[re.Match[str]]) -> list[re.Match[str]] | None:
    """What the outermost parentheses of a sum, or bare ones, hold; None if there are none."""
    if tokens[0][0].lower() == "sum" and len(tokens) > 1 and tokens[1][0] != "{":
        tokens = _without_grouping(tokens[1:])
    closing = _closing(tokens, 0)
    if closing is None or closing + 1 != len(tokens):
        return None
    return tokens[1:closing]


def _without_grouping(tokens: list[re.Match[str]]) -> list[re.Match[str]]:
    """The argument of an aggregation alone; ``by (...)`` may stand before it or behind it."""
    if tokens[0][0].lower() in _GROUPINGS:
        end = _closing(tokens, 1)
        return tokens if end is None else tokens[end + 1 :]
    end = _closing(tokens, 0)
    behind = [] if end is None else tokens[end + 1 :]
    if end is not None and behind and behind[0][0].lower() in _GROUPINGS:
        last = _closing(behind, 1)
        return tokens if last is None else [*tokens[: end + 1], *behind[last + 1 :]]
    return tokens


def _closing(tokens: list[re.Match[str]], opening: int) -> int | None:
    """Where the parenthesis at ``opening`` ends."""
    depth = 0
    for index in range(opening, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[index][0], 0)
        if depth == 0:
            return index if index > opening else None
    return None


def _is_selector(tokens: list[re.Match[str]]) -> bool:
    """A name, or matchers in braces, or both; a string that does not end is neither."""
    if tokens and tokens[0].lastgroup == "word":
        tokens = tokens[1:]
        if not tokens:
            return True
    if len(tokens) < 2 or tokens[0][0] != "{" or tokens[-1][0] != "}":
        return False
    return all(token.lastgroup != "mark" or token[0] in _IN_MATCHERS for token in tokens[1:-1])


def _any_of(terms: Sequence[str]) -> str:
    """Rows of all terms. As a tree: a chain of n ``or`` copies and hashes its rows n times over.

    300 terms took 105 ms as a chain and 28 ms as a tree.
    """
    if len(terms) <= 1:
        return "".join(terms)
    half = len(terms) // 2
    return f"({_any_of(terms[:half])}\nor {_any_of(terms[half:])})"


def _since_start(slo: Slo, at: datetime) -> Duration:
    return Duration(max(0, (at - slo.window.start(at)) // timedelta(milliseconds=1)))


def _kind(indicator: object) -> str:
    name = type(indicator).__name__.removesuffix("Indicator")
    return name[:1].lower() + name[1:]


def _not_measured(what: str, remedy: str) -> Evidence:
    detail = f"this version does not measure {what}; {remedy}"
    return Evidence(Kind.SLO_INVALID, detail)


def _excerpt(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:80]}..."

"""A selector of PromQL as a value: what it matches, and its text.

`api` reads it from what an author wrote; nobody else reads PromQL. The text is printed from the
matchers, so that no character of an author ever ends what stands around it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

NAME = "__name__"
_METRIC = re.compile("[A-Za-z_:][A-Za-z0-9_:]*", re.ASCII)
_LABEL = re.compile("[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r"})
_MEANING = re.compile(r"[\\.+*?()|\[\]{}^$]")

# The regular expressions that Python surely reads as RE2 does, in time linear in the value.
# Alternatives of plain characters, ".", "\d" and simple classes; one of them may be repeated.
_ONE = r"""(?:[A-Za-z0-9_ /:,;%@&~=<>'"!-]|\.|\\[.+*?()|\[\]{}^$/-]|\\d"""
_ONE += r"|\[\^?(?:[0-9](?:-[0-9])?|[a-z](?:-[a-z])?|[A-Z](?:-[A-Z])?|[_.])+\])"
_ALTERNATIVE = rf"{_ONE}*(?:{_ONE}[*+?]{_ONE}*)?"
_PLAIN = re.compile(rf"{_ALTERNATIVE}(?:\|{_ALTERNATIVE})*", re.ASCII)


class Op(StrEnum):
    """How a matcher compares."""

    EQUAL = "="
    UNEQUAL = "!="
    LIKE = "=~"
    UNLIKE = "!~"


@dataclass(frozen=True, slots=True, order=True)
class Matcher:
    """One condition on a label; the name of a metric is one on ``__name__``."""

    label: str
    op: Op
    value: str

    def __str__(self) -> str:
        label = self.label if _LABEL.fullmatch(self.label) else quoted(self.label)
        return f"{label}{self.op}{quoted(self.value)}"

    def test(self) -> Callable[[str], bool] | None:
        """Says of a label's value (empty: no such label) whether it matches, as Prometheus would.

        None where that is not sure: Python knows other regular expressions than RE2, and some take
        it forever.
        """
        if self.op in (Op.EQUAL, Op.UNEQUAL):
            return lambda value: (value == self.value) is (self.op is Op.EQUAL)
        pattern = plain_pattern(self.value)
        if pattern is None:
            return None
        return lambda value: (pattern.fullmatch(value) is not None) is (self.op is Op.LIKE)


@dataclass(frozen=True, slots=True)
class Selector:
    """All matchers of one selector; their order says nothing."""

    matchers: tuple[Matcher, ...]

    @classmethod
    def of(cls, *matchers: Matcher) -> Selector:
        """In one order, each once, so that what selects the same is the same."""
        return cls(tuple(sorted(set(matchers))))

    @property
    def name(self) -> str | None:
        """The metric's name, if there is one that must be equal."""
        names = [one.value for one in self.matchers if one.label == NAME and one.op is Op.EQUAL]
        return names[0] if len(names) == 1 else None

    @property
    def text(self) -> str:
        r"""As PromQL.

        >>> print(Selector.of(Matcher(NAME, Op.EQUAL, "x"), Matcher("a", Op.LIKE, r"\d")).text)
        x{a=~"\\d"}
        """
        name = self.name
        if name is None or not _METRIC.fullmatch(name):
            return f"{{{','.join(map(str, self.matchers))}}}"
        others = [str(one) for one in self.matchers if (one.label, one.op) != (NAME, Op.EQUAL)]
        return f"{name}{{{','.join(others)}}}" if others else name

    def on(self, label: str) -> tuple[Matcher, ...]:
        """The matchers on one label."""
        return tuple(one for one in self.matchers if one.label == label)

    def but(self, *matchers: Matcher) -> Selector:
        """The same with these in place of all on their labels."""
        labels = {one.label for one in matchers}
        return Selector.of(*(one for one in self.matchers if one.label not in labels), *matchers)


def quoted(text: str) -> str:
    r"""A string of PromQL.

    >>> print(quoted('a"b'))
    "a\"b"
    """
    return f'"{text.translate(_ESCAPES)}"'


def literal(text: str) -> str:
    r"""The regular expression (of RE2) that matches just this text.

    >>> print(literal("a.b|c"))
    a\.b\|c
    """
    return _MEANING.sub(r"\\\g<0>", text)


def plain_pattern(text: str) -> re.Pattern[str] | None:
    """A regular expression of the subset in which Python and RE2 surely agree; else None.

    A dot also matches a line break, as since Prometheus 3.
    """
    if not _PLAIN.fullmatch(text):
        return None
    try:
        return re.compile(text, re.ASCII | re.DOTALL)
    except re.error:  # [z-a]
        return None

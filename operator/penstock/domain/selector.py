"""A selector of PromQL as a value: what it matches, and its text.

`api` reads it from what an author wrote; nobody else reads PromQL. The text is printed from the
matchers, so that no character of an author ever ends what stands around it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

NAME = "__name__"
_METRIC = re.compile("[A-Za-z_:][A-Za-z0-9_:]*", re.ASCII)
_LABEL = re.compile("[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r"})
_MEANING = re.compile(r"[\\.+*?()|\[\]{}^$]")


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

    @property
    def is_plain(self) -> bool:
        """Whether its label can be written without quotes, as every version reads it."""
        return _LABEL.fullmatch(self.label) is not None

    def __str__(self) -> str:
        label = self.label if self.is_plain else quoted(self.label)
        return f"{label}{self.op}{quoted(self.value)}"


@dataclass(frozen=True)
class Selector:
    """All matchers of one selector; their order says nothing."""

    matchers: tuple[Matcher, ...]

    def __hash__(self) -> int:
        """Worked out once: ledgers and questions are found by their selectors in every round."""
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self.matchers)

    @classmethod
    def of(cls, *matchers: Matcher) -> Selector:
        """In one order, each once, so that what selects the same is the same."""
        return cls(tuple(sorted(set(matchers))))

    @property
    def name(self) -> str | None:
        """The metric's name, if there is one that must be equal."""
        names = [
            matcher.value
            for matcher in self.matchers
            if matcher.label == NAME and matcher.op is Op.EQUAL
        ]
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
        others = [
            str(matcher)
            for matcher in self.matchers
            if (matcher.label, matcher.op) != (NAME, Op.EQUAL)
        ]
        return f"{name}{{{','.join(others)}}}" if others else name

    def on(self, label: str) -> tuple[Matcher, ...]:
        """The matchers on one label."""
        return tuple(matcher for matcher in self.matchers if matcher.label == label)

    def but(self, *matchers: Matcher) -> Selector:
        """The same with these in place of all on their labels."""
        labels = {matcher.label for matcher in matchers}
        return Selector.of(
            *(matcher for matcher in self.matchers if matcher.label not in labels), *matchers
        )


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

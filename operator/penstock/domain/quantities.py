"""Quantities that people write and that decide: durations, percentages, ratios and objectives.

All are exact: text in, ``Decimal`` or whole milliseconds inside, text out, and ``parse(str(x)) ==
x``. A binary float never takes part, because 1 - 0.999 is 0.0010000000000000009 in one and the
budget of a million requests then is not 1,000.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import cached_property, total_ordering

MILLISECONDS_PER_UNIT = {
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
# Digits are bounded before any int(): a long digit string must cost nobody time or memory.
DURATION_PATTERN = "".join(f"([0-9]{{1,8}}{unit})?" for unit in MILLISECONDS_PER_UNIT)
PERCENTAGE_PATTERN = r"(0|[1-9][0-9]{0,2})(\.[0-9]{1,6})?%"
DECIMAL_PATTERN = r"(0|[1-9][0-9]{0,5})(\.[0-9]{1,6})?"
RATIO_PATTERN = r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?"
RATIO_PLACES = 18
# Text of a longer duration would need more digits than are read back.
LONGEST_PARSED = 10**8 * MILLISECONDS_PER_UNIT["d"]

_DURATION = re.compile(DURATION_PATTERN, re.ASCII)
_PERCENTAGE = re.compile(PERCENTAGE_PATTERN, re.ASCII)
_RATIO = re.compile(RATIO_PATTERN, re.ASCII)

# More digits than any measured number has, so that none is ever cut.
_EXACT = Context(prec=120)
_LAST_PLACE = Decimal(1).scaleb(-RATIO_PLACES)

ONE = Decimal(1)
HUNDRED = Decimal(100)


@total_ordering
@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time in whole milliseconds, zero or more.

    >>> str(Duration.parse("1w2d"))
    '9d'
    >>> Duration.parse("1h30m").seconds
    Decimal('5400')
    """

    milliseconds: int

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read ``1w2d3h4m5s6ms``: units in this order, each at most once, at least one of them.

        Raises:
            ValueError: the text is not a duration, or one over a hundred million days.
        """
        matched = _DURATION.fullmatch(text)
        if matched is None or not text:
            raise ValueError(
                f'"{_excerpt(text)}" is not a duration: write whole numbers with the units '
                'w d h m s in this order, such as "30d", "1h30m" or "90s"'
            )
        parts = zip(MILLISECONDS_PER_UNIT.items(), matched.groups(), strict=True)
        length = sum(size * int(part.removesuffix(unit)) for (unit, size), part in parts if part)
        if length >= LONGEST_PARSED:
            raise ValueError(f'"{text}" is too long: write a duration under 100000000d')
        return cls(length)

    @classmethod
    def of_seconds(cls, seconds: int) -> Duration:
        """A duration of whole seconds."""
        return cls(seconds * 1_000)

    @property
    def seconds(self) -> Decimal:
        """The same length in seconds, exact to the millisecond."""
        return Decimal(self.milliseconds) / 1_000

    def __str__(self) -> str:
        """The shortest exact text; days are the largest unit, as the field writes 7d, 28d, 30d."""
        if self.milliseconds == 0:
            return "0s"
        text, rest = "", self.milliseconds
        for unit in ("d", "h", "m", "s", "ms"):
            count, rest = divmod(rest, MILLISECONDS_PER_UNIT[unit])
            text += f"{count}{unit}" if count else ""
        return text

    def __lt__(self, other: Duration) -> bool:
        return self.milliseconds < other.milliseconds


@total_ordering
@dataclass(frozen=True, slots=True)
class Percentage:
    """A share in percent, from 0% to under 1000%, at most six decimals.

    >>> Percentage.parse("12.5%").ratio.value
    Decimal('0.125')
    """

    value: Decimal

    @classmethod
    def parse(cls, text: str) -> Percentage:
        """Read ``12.5%``; the sign is required, because "0.999" might be meant as 99.9%.

        Raises:
            ValueError: the text is not a percentage.
        """
        if _PERCENTAGE.fullmatch(text) is None:
            raise ValueError(
                f'"{_excerpt(text)}" is not a percentage: write it with its sign and at most '
                'six decimals, such as "99.9%"'
            )
        return cls(Decimal(text[:-1]))

    @property
    def ratio(self) -> Ratio:
        """The same share as a ratio: 12.5% is 0.125."""
        return Ratio(self.value / HUNDRED)

    def __str__(self) -> str:
        return f"{plain(self.value)}%"

    def __lt__(self, other: Percentage) -> bool:
        return self.value < other.value


@total_ordering
@dataclass(frozen=True, slots=True)
class Ratio:
    """An exact decimal; the share of a budget that remains is negative once it is overspent.

    >>> str(Ratio.parse("-0.5000"))
    '-0.5'
    >>> Ratio.parse("0.37204").rounded(4)
    '0.3720'
    """

    value: Decimal

    @classmethod
    def of(cls, value: Decimal) -> Ratio:
        """The nearest ratio that text can say.

        A quotient such as 2/3 is rounded to 18 decimals, so that a restarted operator reads back
        just what was decided by.

        >>> str(Ratio.of(Decimal(2) / 3))
        '0.666666666666666667'
        """
        return cls(_EXACT.add(_EXACT.quantize(value, _LAST_PLACE), 0))

    @classmethod
    def parse(cls, text: str) -> Ratio:
        """Read plain decimal text, without an exponent.

        Raises:
            ValueError: the text is not such a decimal.
        """
        if _RATIO.fullmatch(text) is None:
            raise ValueError(
                f'"{_excerpt(text)}" is not a decimal: write it plainly, such as "0.372"'
            )
        return cls(Decimal(text))

    def rounded(self, places: int) -> str:
        """Text with this number of decimals, for people and for sorting; never -0."""
        return f"{self.value:z.{places}f}"

    def __str__(self) -> str:
        return plain(self.value)

    def __lt__(self, other: Ratio) -> bool:
        return self.value < other.value


@total_ordering
@dataclass(frozen=True)
class Objective:
    """The promised share of good events: 50% or more, under 100%.

    100% leaves no budget: every division by it fails, and no release could ever be permitted.

    >>> Objective.parse("99.9%").budget
    Decimal('0.001')
    """

    percentage: Percentage

    @classmethod
    def parse(cls, text: str) -> Objective:
        """Read ``99.9%``.

        Raises:
            ValueError: the text is not a percentage, or out of range.
        """
        percentage = Percentage.parse(text)
        if not 50 <= percentage.value < HUNDRED:
            raise ValueError(
                f'"{text}" is out of range: an objective is at least 50% and under 100%'
            )
        return cls(percentage)

    @cached_property
    def budget(self) -> Decimal:
        """The share of events that may be bad: 1 - objective; exactly 0.001 for 99.9%."""
        return ONE - self.percentage.ratio.value

    def __str__(self) -> str:
        return str(self.percentage)

    def __lt__(self, other: Objective) -> bool:
        return self.percentage < other.percentage


def plain(value: Decimal) -> str:
    """Decimal text without an exponent and without idle zeros: 1E+2 is "100", 99.90 is "99.9"."""
    text = f"{value:zf}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def _excerpt(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."

"""Texts with a meaning: durations, percentages, decimals, names, addresses, PromQL.

Each function gives the annotation of one field: bounds and rules whose messages carry that field's
name. CEL computes durations exactly from their parts, and percentages with Kubernetes' own exact
``quantity``; both were tried against real API servers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from penstock.api.base import Checked, Rule
from penstock.domain.quantities import (
    DECIMAL_PATTERN,
    DURATION_PATTERN,
    MILLISECONDS_PER_UNIT,
    PERCENTAGE_PATTERN,
    Duration,
    Percentage,
)

MAX_DURATION = 54  # six parts of eight digits and their units
MAX_PERCENTAGE = 16
MAX_DECIMAL = 16
MAX_TIMESTAMP = 30
MAX_QUERY = 4_096

SECONDS_PATTERN = DURATION_PATTERN.removesuffix("([0-9]{1,8}ms)?")
NAME_PATTERN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
LABEL_VALUE_PATTERN = r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
LABEL_KEY_PATTERN = (
    r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
TIMESTAMP_PATTERN = (
    r"[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?Z"
)
# No user name or password (@), no query (?), no fragment (#): what is secret belongs in a Secret.
URL_PATTERN = r"https?://[A-Za-z0-9.\[\]:_-]+(/[A-Za-z0-9._~!$&'()*+,;=:%/-]*)?"


@dataclass(frozen=True)
class Text(Checked):
    """A string of bounded length with rules. ``longest`` is in characters."""

    longest: int
    shortest: int = 0

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        bounded = core_schema.str_schema(
            max_length=self.longest, min_length=self.shortest or None, strict=True
        )
        return core_schema.no_info_after_validator_function(self._check, bounded)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        json_schema = super().__get_pydantic_json_schema__(schema, handler)
        if not self.rules:
            json_schema.pop("x-kubernetes-validations", None)
        return json_schema


def free_text(longest: int) -> Text:
    """Any text that is not empty."""
    return Text((), longest, shortest=1)


def duration(
    field: str, *, least: str, most: str, example: str, milliseconds: bool = False
) -> Text:
    """A duration between two others, both included; ``ms`` only where asked for."""
    units = "w d h m s ms" if milliseconds else "w d h m s"
    low, high = Duration.parse(least), Duration.parse(most)
    well_formed = matches(
        DURATION_PATTERN if milliseconds else SECONDS_PATTERN,
        f"{field}: write a duration in whole numbers with the units {units}, in this order, "
        f'such as "{example}"',
        also_cel="self != ''",
    )
    length = cel_milliseconds("self", units.split())
    between = Rule(
        cel=_guarded(
            well_formed.cel,
            f"[{length}].all(length, {low.milliseconds} <= length && "
            f"length <= {high.milliseconds})",
        ),
        message=f"{field}: write a duration from {least} to {most}",
        holds=lambda text: _is_between(low, text, high),
    )
    return Text((well_formed, between), MAX_DURATION)


def _is_between(low: Duration, text: str, high: Duration) -> bool:
    try:
        return low <= Duration.parse(text) <= high
    except ValueError:  # well-formed, but longer than anything that is read
        return False


def percentage(field: str, *, least: str, below: str | None = None, example: str) -> Text:
    """A percentage with its sign, from ``least`` to under ``below`` (or up to 100%)."""
    low, high = Percentage.parse(least), Percentage.parse(below or "100%")
    well_formed = matches(
        PERCENTAGE_PATTERN,
        f"{field}: write a percentage as text with its sign and at most six decimals, "
        f'such as "{example}"',
    )
    value = "quantity(self.replace('%', ''))"
    bound, word = ("< 0", f"to under {below}") if below else ("<= 0", "to 100%")
    in_range = Rule(
        cel=_guarded(
            well_formed.cel,
            f"{value}.compareTo(quantity('{low.value}')) >= 0 && "
            f"{value}.compareTo(quantity('{high.value}')) {bound}",
        ),
        message=f"{field}: write a percentage from {least} {word}",
        holds=lambda text: (
            low <= (given := Percentage.parse(text)) and (given < high if below else given <= high)
        ),
    )
    return Text((well_formed, in_range), MAX_PERCENTAGE)


def decimal(
    field: str, *, above: str | None = None, least: str | None = None, example: str
) -> Text:
    """An exact decimal as text, over ``above`` or at least ``least``."""
    well_formed = matches(
        DECIMAL_PATTERN,
        f"{field}: write a decimal as text with at most six digits before and six after the "
        f'point, such as "{example}"',
    )
    if above is None and least is None:
        return Text((well_formed,), MAX_DECIMAL)
    low = Decimal(above or least or 0)
    in_range = Rule(
        cel=_guarded(
            well_formed.cel,
            f"quantity(self).compareTo(quantity('{low}')) {'> 0' if above else '>= 0'}",
        ),
        message=f"{field}: write a decimal {f'over {above}' if above else f'of at least {least}'}",
        holds=lambda text: Decimal(text) > low if above else Decimal(text) >= low,
    )
    return Text((well_formed, in_range), MAX_DECIMAL)


def name(field: str, of: str) -> Text:
    """The name of another object."""
    return Text(
        (
            matches(
                NAME_PATTERN,
                f"{field}: write the name of {of}: lower-case letters, digits, - and .",
            ),
        ),
        253,
    )


def timestamp(field: str) -> Text:
    """An instant in UTC. Not by the schema's format date-time, which takes an offset of 99 hours
    and is a timestamp in CEL, without a text to look at.
    """
    return Text(
        (
            matches(
                TIMESTAMP_PATTERN, f"{field}: write a time in UTC, such as 2026-11-24T10:00:00Z"
            ),
        ),
        MAX_TIMESTAMP,
    )


def matches(pattern: str, message: str, *, also_cel: str = "") -> Rule:
    """A rule that the whole text has this form; the pattern is of the subset that RE2 knows too."""
    form = re.compile(pattern, re.ASCII)
    cel = f"self.matches({cel_text(f'^({pattern})$')})"
    return Rule(
        cel=f"{cel} && {also_cel}" if also_cel else cel,
        message=message,
        holds=lambda text: form.fullmatch(text) is not None and (text != "" or not also_cel),
    )


def forbids(cel: str, message: str, refused: Callable[[Any], bool]) -> Rule:
    """A rule that something is not the case."""
    return Rule(f"!({cel})", message, lambda value: not refused(value))


def cel_text(text: str) -> str:
    """A CEL string literal of any text."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def cel_milliseconds(of: str, units: Iterable[str] = ("w", "d", "h", "m", "s")) -> str:
    """CEL for the exact length of a well-formed duration in milliseconds.

    Each unit's digits are cut out and read; a unit that is absent reads as "0". "ms" is renamed
    first, because it would be found as "m" too.
    """
    letters = {unit: "q" if unit == "ms" else unit for unit in units}
    digits = f"{of}.replace('ms', 'q')" if "ms" in letters else of
    parts = (
        f"int('0' + {digits}.find('[0-9]+{letter}').replace('{letter}', ''))"
        f" * {MILLISECONDS_PER_UNIT[unit]}"
        for unit, letter in letters.items()
    )
    return f"({' + '.join(parts)})"


def cel_is_duration(of: str) -> str:
    """CEL for: a well-formed duration of more than zero.

    Rules that compare two fields need it, because the server evaluates them also when a field's own
    rule has already refused it: one mistake shall give one message, and no overflow.
    """
    return f"{of}.matches('^{SECONDS_PATTERN}$') && {cel_milliseconds(of)} > 0"


def _guarded(form: str, demand: str) -> str:
    """A demand on well-formed text only: one mistake, one message, and no CEL evaluation error."""
    return f"!({form}) || ({demand})"

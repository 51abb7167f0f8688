"""How numbers, times and names are written in messages."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

# What the API server accepts of a message, in characters.
LONGEST = 1_024


def percent(share: Decimal) -> str:
    """0.0312 is "3.1%"."""
    return f"{share * 100:z.1f}%"


def times(rate: Decimal) -> str:
    """14.40 is "14.4x"."""
    return f"{rate:.1f}x"


def moment(at: datetime, now: datetime) -> str:
    """A time of today as "14:02 UTC", another with its date."""
    at, now = at.astimezone(UTC), now.astimezone(UTC)
    return f"{at:%H:%M UTC}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M UTC}"


def one_line(text: str) -> str:
    """The text with each run of white space as one space."""
    return " ".join(text.split())


def cut(text: str, longest: int) -> str:
    """The beginning of a text, with a sign where it was cut."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def cut_middle(name: str, longest: int) -> str:
    """Both ends of a name: the end often says more than the middle."""
    if len(name) <= longest:
        return name
    head = longest // 2
    return f"{name[:head]}…{name[len(name) - (longest - 1 - head) :]}"


def sentence(text: str) -> str:
    """The text with a capital at its beginning."""
    return text[:1].upper() + text[1:]

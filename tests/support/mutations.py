"""One mistake in a right manifest: what a hurried person, a template or a bug makes of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from support.strategies import SAMPLES

Json = Any
Way = tuple[str | int, ...]

WORDS = [
    *("Enforce", "Audit", "Off", "off", "Deny", "Warn", "Hold", "Permit", "Respect", "Release"),
    *("KeepHeld", "Week", "Month", "Occurrences", "Timeslices", "RatioTimeslices", "In", "Exists"),
    *("MetricsSource", "ClusterMetricsSource", "Authorization", "/etc/penstock/tokens/../a", "NaN"),
    *("1e3", "-1", "0x10", "1_000", "+5", "1.", ".5", "1d12h", "12h1d", "100000000s", "49.999999%"),
    *(
        "99.9",
        "99.9 %",
        "1000%",
        "00.1%",
        "0%",
        "0s",
        "0",
        "91d",
        "http://a@b",
        "https://",
        "$window",
    ),
    *("٩٩%", "３０d", "é", "\U0001f600", "a\0b", "\n", " ", "a" * 64, "2026-02-30T00:00:00Z"),
]
NUMBERS = [-1, 0, 1, 5, 10**9, 10**9 + 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**30]
FRACTIONS = [5.0, 0.5, -0.0, 1e9, 1e9 + 0.5, 1e30, 1e-7, 99.9]
OTHERS = [None, True, False, [], {}, [None], [""], {"name": "a"}, [{"name": "a"}], [[]], ""]


def mutated(body: Json, random: Random) -> tuple[str, Json]:
    """What was done, and a copy of the manifest with it done; at times to no effect."""
    changed = copy.deepcopy(body)
    part = "data" if "data" in changed else "spec"
    ways = list(_ways(changed[part], (part,)))
    way = random.choice([*ways, *ways[len(ways) // 2 :]])  # more often deep inside
    holder = changed
    for key in way[:-1]:
        holder = holder[key]
    mutation = random.choice(_that_fit(holder[way[-1]]))
    mutation(holder, way[-1], random)
    return f"{mutation.__name__.strip('_')} at {'.'.join(map(str, way))}", changed


def _ways(value: Json, way: Way) -> Iterator[Way]:
    yield way
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, part in inner:
        yield from _ways(part, (*way, key))


Mutation = Callable[[Any, Any, Random], None]


def _that_fit(value: Json) -> list[Mutation]:
    anywhere = [_drop, _drop, _null, _rename, _another_type, _another_value, _another_value]
    if isinstance(value, str):
        return [*anywhere, *[_another_text, _edited_text, *[_similar_text] * 4] * 3]
    if isinstance(value, list):
        return [*anywhere, _item_twice, _many_items, _null_item, _no_items]
    if isinstance(value, dict):
        return [*anywhere, _unknown_field, _unknown_null, _no_fields, _many_fields, _as_list]
    return [*anywhere, _another_number, _another_number]


def _drop(holder: Any, key: Any, random: Random) -> None:
    del holder[key]


def _rename(holder: Any, key: Any, random: Random) -> None:
    """Of a list's item there is no name: it moves to the end."""
    value = holder.pop(key)
    if isinstance(holder, list):
        holder.append(value)
    else:
        holder[random.choice([key.upper(), key.lower(), f"{key}s", key[:-1], f" {key}"])] = value


def _null(holder: Any, key: Any, random: Random) -> None:
    holder[key] = None


def _another_type(holder: Any, key: Any, random: Random) -> None:
    holder[key] = copy.deepcopy(random.choice([*OTHERS, *NUMBERS, *FRACTIONS]))


def _another_value(holder: Any, key: Any, random: Random) -> None:
    """The value of a neighbour: the right type more often than not."""
    others = list(holder) if isinstance(holder, list) else list(holder.values())
    holder[key] = copy.deepcopy(random.choice(others))


def _another_text(holder: Any, key: Any, random: Random) -> None:
    holder[key] = random.choice(random.choice([SAMPLES, WORDS]))


def _similar_text(holder: Any, key: Any, random: Random) -> None:
    """A duration for a duration, a percentage for a percentage: maybe out of range."""
    text = holder[key]
    similar = [sample for sample in SAMPLES if _look(sample) == _look(text)]
    holder[key] = random.choice(similar or [text])


def _look(text: str) -> tuple[bool, ...]:
    first, last = text[:1], text[-1:]
    return first.isdigit(), last.isdigit(), last == "%", "/" in text, text[:4] == "http"


def _edited_text(holder: Any, key: Any, random: Random) -> None:
    text = holder[key]
    at = random.randrange(len(text) + 1)
    holder[key] = random.choice(
        [
            "",
            text[:at] + text[at + 1 :],
            text[:at] + random.choice("a-._/%0 9é\U0001f600\0\t\n'\"\\٣:@#?") + text[at:],
            f" {text}",
            f"{text}\n",
            text.upper(),
            text.lower(),
            text[::-1],
            text * 2,
            text * 300,
            "x" * random.choice([16, 17, 54, 55, 63, 64, 253, 254, 1_024, 1_025, 4_096, 4_097]),
        ]
    )


def _another_number(holder: Any, key: Any, random: Random) -> None:
    holder[key] = random.choice([*NUMBERS, *FRACTIONS])


def _item_twice(holder: Any, key: Any, random: Random) -> None:
    holder[key] = holder[key] * 2


def _many_items(holder: Any, key: Any, random: Random) -> None:
    holder[key] = (holder[key] or [{"name": "a"}]) * random.choice([5, 8, 16, 17, 33, 65])


def _null_item(holder: Any, key: Any, random: Random) -> None:
    holder[key].append(None)


def _no_items(holder: Any, key: Any, random: Random) -> None:
    holder[key] = []


def _unknown_field(holder: Any, key: Any, random: Random) -> None:
    holder[key]["paused"] = random.choice([True, "x", {}, []])


def _unknown_null(holder: Any, key: Any, random: Random) -> None:
    holder[key]["paused"] = None


def _no_fields(holder: Any, key: Any, random: Random) -> None:
    holder[key] = {}


def _many_fields(holder: Any, key: Any, random: Random) -> None:
    holder[key].update({f"label-{number}": "x" for number in range(random.choice([1, 16, 17]))})


def _as_list(holder: Any, key: Any, random: Random) -> None:
    holder[key] = [holder[key]]

"""The month as the generator wrote it: its services, and what truly happened in them.

The truth of a series is the growth of its scraped samples, put right for resets, and the first
value of a series that was born inside the month. `real` counts the events themselves, also those
that no scrape ever told of.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

BUCKET = 300_000
DAY = 86_400_000


class Count(NamedTuple):
    """Events of a window."""

    bad: int
    total: int


@dataclass(frozen=True)
class Service:
    """One service; stretches are milliseconds since the epoch.

    Attributes:
        kind: its class of traffic.
        live: counters that exist when the month ends.
        outages: when it could not be scraped.
        late: when samples of one of its pods were scraped that arrive late.
    """

    name: str
    kind: str
    live: int
    outages: tuple[tuple[int, int], ...] = ()
    late: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Series:
    """One counter: events in each bucket of five minutes, from bucket number `first` on."""

    labels: Mapping[str, str]
    first: int
    scraped: array[int]
    real: array[int]

    def within(self, start: int, end: int, *, real: bool = False) -> int:
        """Events in the buckets from `start` up to, not with, `end`."""
        counts = self.real if real else self.scraped
        return sum(counts[max(0, start - self.first) : max(0, end - self.first)])


@dataclass(frozen=True)
class Month:
    """All of it, in a folder.

    Attributes:
        begin: milliseconds since the epoch; a whole bucket.
        end: the same; the instant for which budgets are asked.
        series: how many counters the month itself had, without the fleet.
    """

    folder: Path
    seed: int
    begin: int
    end: int
    samples: int
    services: Mapping[str, Service]

    @property
    def window_days(self) -> int:
        """The budget's window: all but the first day, which leaves something to look back on."""
        return (self.end - self.begin) // DAY - 1

    @property
    def window(self) -> str:
        """The same as Prometheus writes it."""
        return f"{self.window_days}d"

    @cached_property
    def series(self) -> Mapping[str, tuple[Series, ...]]:
        """The truth, by service."""
        found: dict[str, list[Series]] = {}
        with (self.folder / "truth.jsonl").open(encoding="utf-8") as lines:
            for line in lines:
                one = _series(json.loads(line))
                found.setdefault(one.labels["service"], []).append(one)
        return {name: tuple(series) for name, series in found.items()}

    def number(self, at: int) -> int:
        """Of the bucket that begins at an instant; ValueError within a bucket."""
        number, rest = divmod(at - self.begin, BUCKET)
        if rest:
            raise ValueError(f"{at} is no border of buckets")
        return number

    def of_class(self, *kinds: str) -> list[Service]:
        """The services of these classes; of all but the fleet if none is named."""
        services = self.services.values()
        return [one for one in services if (one.kind in kinds if kinds else one.kind != "fleet")]


def read(folder: Path) -> Month:
    """The month that lies in a folder."""
    told = json.loads((folder / "month.json").read_text(encoding="utf-8"))
    services = (
        Service(one["name"], one["class"], one["live"], _spans(one["outages"]), _spans(one["late"]))
        for one in told["services"]
    )
    return Month(
        folder=folder,
        seed=told["seed"],
        begin=told["begin"],
        end=told["end"],
        samples=told["samples"],
        services={one.name: one for one in services},
    )


def _spans(pairs: Iterable[Iterable[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((start, end) for start, end in pairs)


def _series(line: dict[str, Any]) -> Series:
    labels = {name: line[name] for name in ("service", "instance", "method", "code")}
    first, scraped, real = line["first"], line["scraped"], line["real"]
    return Series(labels, first, array("I", scraped), array("I", real))

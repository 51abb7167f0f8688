"""What a Prometheus stores while it scrapes targets that a test plays: stale markers and `up` too.

A failed scrape stores ``up`` 0 and a stale marker for every series of the scrape before; a target
that is gone has a marker after ``up`` as well; a series that is missing from a scrape gets one.
Times are seconds relative to ``NOW``; negative ones lie before it.
"""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from support.history import NOW, prometheus
from support.remote_write import RECEIVER, STALE, Sample, Series, send

Labels = frozenset[tuple[str, str]]
"""Of one series of a target: its name as ``__name__``, without the labels of the target."""

STARTED = "process_start_time_seconds"
SLICE = 600  # seconds of samples in one request
ACCEPTING_LATE_SAMPLES = {"storage": {"tsdb": {"out_of_order_time_window": "10d"}}}


@cache
def series(name: str, **labels: str) -> Labels:
    return frozenset({"__name__": name, **labels}.items())


class Scrapes:
    """All that was stored, in order of time."""

    def __init__(self) -> None:
        self._stored: dict[float, list[tuple[Labels, float]]] = defaultdict(list)

    def store(self, at: float, labels: Labels, value: float) -> None:
        self._stored[at].append((labels, value))

    def withhold(self, late: Callable[[float, Labels], bool]) -> Scrapes:
        """Take out what arrives late, to be sent afterwards."""
        withheld = Scrapes()
        for at, samples in self._stored.items():
            withheld._stored[at] = [one for one in samples if late(at, one[0])]
            samples[:] = [one for one in samples if not late(at, one[0])]
        return withheld

    def send(self, url: str) -> None:
        """Write it all, oldest first."""
        for part in self._slices():
            send(url, part)

    @contextmanager
    def served(self, folder: Path) -> Iterator[str]:
        """The address of a Prometheus that has stored this."""
        with prometheus(folder, RECEIVER, config=ACCEPTING_LATE_SAMPLES) as url:
            self.send(url)
            yield url

    def _slices(self) -> Iterator[list[Series]]:
        slices: dict[int, dict[Labels, list[Sample]]] = defaultdict(lambda: defaultdict(list))
        for at in sorted(self._stored):
            when = round((NOW.timestamp() + at) * 1_000)
            for labels, value in self._stored[at]:
                slices[int(at // SLICE)][labels].append(Sample(when, value))
        for part in slices.values():
            yield [Series(dict(labels), samples) for labels, samples in part.items()]


class Target:
    """One target, scraped as often as the test says.

    Args:
        scrapes: where it is stored.
        labels: ``job`` and ``instance``, and what else the target's series all have.
        watched: whether there is an ``up``; what comes by OTLP or a push gateway has none.
    """

    def __init__(
        self, scrapes: Scrapes, labels: Mapping[str, str], *, watched: bool = True
    ) -> None:
        self._scrapes = scrapes
        self._labels = labels
        self._watched = watched
        self._seen: set[Labels] = set()
        self._known: dict[Labels, Labels] = {}
        self._up = False

    def answers(
        self, at: float, values: Mapping[Labels, float], started: float | None = None
    ) -> None:
        """A scrape with these values, of a process that began then (if it says so)."""
        begun = {} if started is None else {series(STARTED): NOW.timestamp() + started}
        self._is_up(at, 1)
        self._now_has(at, {**values, **begun})

    def fails(self, at: float) -> None:
        self._is_up(at, 0)
        self._now_has(at, {})

    def is_gone(self, at: float) -> None:
        """Prometheus has forgotten it, in good order."""
        self._now_has(at, {})
        if self._up:
            self._is_up(at, STALE)
        self._up = False

    def _is_up(self, at: float, value: float) -> None:
        if self._watched:
            self._up = True
            self._scrapes.store(at, self._whole(series("up")), value)

    def _now_has(self, at: float, values: Mapping[Labels, float]) -> None:
        ended = self._seen - values.keys()
        for labels, value in {**dict.fromkeys(ended, STALE), **values}.items():
            self._scrapes.store(at, self._whole(labels), value)
        self._seen = set(values)

    def _whole(self, labels: Labels) -> Labels:
        if labels not in self._known:
            self._known[labels] = labels.union(self._labels.items())
        return self._known[labels]


@dataclass(frozen=True, slots=True)
class Answered:
    """The rows of an instant query, and what they cost."""

    rows: list[tuple[dict[str, str], Decimal]]
    samples: int

    @property
    def value(self) -> Decimal | None:
        """The only number there is, or None."""
        assert len(self.rows) < 2, self.rows
        return self.rows[0][1] if self.rows else None

    def by(self, label: str) -> dict[str, Decimal]:
        return {labels.get(label, ""): value for labels, value in self.rows}


def ask(url: str, query: str, at: datetime) -> Answered:
    data = _answer(url, "query", query=query, time=at.timestamp(), stats="true")
    rows = [(row["metric"], Decimal(row["value"][1])) for row in data["result"]]
    return Answered(rows, data["stats"]["samples"]["totalQueryableSamples"])


def ask_range(
    url: str, query: str, start: datetime, end: datetime, step: int, label: str
) -> dict[str, dict[float, Decimal]]:
    """By the value of a label, the numbers at each time in seconds since the epoch."""
    times = {"start": start.timestamp(), "end": end.timestamp(), "step": step}
    data = _answer(url, "query_range", query=query, **times)
    return {
        row["metric"].get(label, ""): {at: Decimal(text) for at, text in row["values"]}
        for row in data["result"]
    }


def _answer(url: str, what: str, **form: Any) -> dict[str, Any]:
    body = urllib.parse.urlencode(form).encode()
    try:
        with urllib.request.urlopen(f"{url}/api/v1/{what}", body, timeout=60) as answer:
            said = json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{error.read().decode()}\n{form['query']}") from error
    assert "warnings" not in said, said["warnings"]
    data: dict[str, Any] = said["data"]
    return data

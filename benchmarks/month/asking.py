"""Asks a Prometheus one question a request, as people do, and adds up what it says that took."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

MOST_POINTS = 11_000


@dataclass
class Tally:
    """What questions took: `samples` as the server counts them, `peak` the most held at once."""

    requests: int = 0
    samples: int = 0
    peak: int = 0


@dataclass
class Client:
    """One connection, kept open."""

    url: str
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection(
            urllib.parse.urlsplit(self.url).netloc, timeout=660
        )

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def instant(self, query: str, at: int) -> list[tuple[dict[str, str], float]]:
        """Rows of labels and number, at an instant in milliseconds."""
        rows = self._ask("query", {"query": query, "time": f"{at / 1_000:.3f}"})
        return [(row["metric"], float(row["value"][1])) for row in rows]

    def raw(self, query: str, at: int) -> list[tuple[dict[str, str], list[tuple[float, str]]]]:
        """The samples of a range selector: seconds and number."""
        rows = self._ask("query", {"query": query, "time": f"{at / 1_000:.3f}"})
        return [(row["metric"], [(t, text) for t, text in row["values"]]) for row in rows]

    def range(
        self, query: str, start: int, end: int, step: int
    ) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Rows of labels and points, first and last included; asked in as many parts as needed."""
        found: dict[str, tuple[dict[str, str], list[tuple[float, float]]]] = {}
        while start <= end:
            last = min(end, start + (MOST_POINTS - 1) * step)
            times = {"start": start, "end": last, "step": step}
            spans = {name: f"{value / 1_000:.3f}" for name, value in times.items()}
            for row in self._ask("query_range", {"query": query, **spans}):
                key = json.dumps(row["metric"], sort_keys=True)
                points = found.setdefault(key, (row["metric"], []))[1]
                points.extend((t, float(text)) for t, text in row["values"])
            start = last + step
        return list(found.values())

    def number(self, query: str, at: int) -> float | None:
        """The one number of a query; None if there is none, which is not the same as NaN."""
        rows = self.instant(query, at)
        if len(rows) > 1:
            raise ValueError(f"{len(rows)} rows: {query}")
        return rows[0][1] if rows else None

    def _ask(self, path: str, fields: dict[str, str]) -> list[dict[str, Any]]:
        body = urllib.parse.urlencode({**fields, "stats": "all"})
        content = {"Content-Type": "application/x-www-form-urlencoded"}
        self._connection.request("POST", f"/api/v1/{path}", body, content)
        response = self._connection.getresponse()
        text = response.read()
        if response.status != http.HTTPStatus.OK:
            raise ValueError(f"{response.status}: {text[:300]!r} for {fields['query']}")
        data = json.loads(text)["data"]
        samples = data["stats"]["samples"]
        self.tally.requests += 1
        self.tally.samples += samples["totalQueryableSamples"]
        self.tally.peak = max(self.tally.peak, samples["peakSamples"])
        rows: list[dict[str, Any]] = data["result"]
        return rows

"""Sloth's rules, made by the real `sloth`, as their own series would give them.

Sloth evaluates seven ratios on raw data and keeps them; its figure for the whole window is the mean
of the kept 5-minute ratios, in which each slice weighs the same however many requests it had.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.month.asking import Client
from benchmarks.month.data import BUCKET, DAY, Month
from benchmarks.month.promises import Promise
from benchmarks.month.reading import Evaluation, Reading, metered
from benchmarks.month.served import Served
from testbed.binaries import ensure

RECORDED_EACH = 60
FIRST = "slo:sli_error:ratio_rate5m"


@dataclass(frozen=True)
class Rules:
    """The recording rules of one objective, by burn window, and the one of the whole window."""

    labels: dict[str, str]
    by_window: dict[str, str]
    whole: str


def rules(promises: Sequence[Promise], days: int, folder: Path) -> dict[str, Rules]:
    """What `sloth generate` makes of them, by the name of the promise."""
    slos = [_slo(one) for one in promises]
    specification = {"version": "prometheus/v1", "service": "month", "slos": slos}
    asked, made, periods = folder / "slos.yaml", folder / "rules.yaml", folder / "periods"
    periods.mkdir(exist_ok=True)
    (periods / "window.yaml").write_text(json.dumps(_period(days)), encoding="utf-8")
    asked.write_text(yaml.safe_dump(specification), encoding="utf-8")
    command = [str(ensure(["sloth"])["sloth"]), "generate", f"--input={asked}", f"--out={made}"]
    command += [f"--slo-period-windows-path={periods}", f"--default-slo-period={days}d"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"sloth: {done.stderr.strip()}")
    groups = yaml.safe_load(made.read_text(encoding="utf-8"))["groups"]
    found: dict[str, dict[str, Any]] = {}
    for rule in (rule for group in groups for rule in group["rules"]):
        if rule.get("record", "").startswith("slo:sli_error:ratio_rate"):
            found.setdefault(rule["labels"]["sloth_slo"], {})[rule["labels"]["sloth_window"]] = rule
    return {name: _rules(windows) for name, windows in found.items()}


def _slo(one: Promise) -> dict[str, Any]:
    def rate(selector: str) -> str:
        return f"sum(rate({selector}[{{{{.window}}}}]))"

    return {
        "name": one.name,
        "objective": 99.9,  # no rule of those that are asked for here depends on it
        "sli": {"events": {"error_query": rate(one.bad), "total_query": rate(one.total)}},
        "alerting": {"page_alert": {"disable": True}, "ticket_alert": {"disable": True}},
    }


def _period(days: int) -> dict[str, Any]:
    """Its own windows for 30 days, said for the window of this month."""

    def window(percent: float, short: str, long: str) -> dict[str, Any]:
        return {"errorBudgetPercent": percent, "shortWindow": short, "longWindow": long}

    pages = {"quick": window(2, "5m", "1h"), "slow": window(5, "30m", "6h")}
    tickets = {"quick": window(10, "2h", "1d"), "slow": window(10, "6h", "3d")}
    return {
        "apiVersion": "sloth.slok.dev/v1",
        "kind": "AlertWindows",
        "spec": {"sloPeriod": f"{days}d", "page": pages, "ticket": tickets},
    }


def _rules(windows: dict[str, Any]) -> Rules:
    """The rule of the whole window is the one upon other rules."""
    exprs = {window: rule["expr"] for window, rule in windows.items()}
    (whole,) = (window for window, expr in exprs.items() if f"sum_over_time({FIRST}" in expr)
    return Rules(windows["5m"]["labels"], exprs, exprs.pop(whole))


@dataclass(frozen=True)
class Sloth:
    """All rules on raw data once; the whole window as the mean of a 5-minute ratio each 5 minutes.

    That the mean is taken here is for time's sake: recorded each 30 s for all services, it would
    take a quarter of an hour. `RecordedSloth` does so for a few.
    """

    name: str = "Sloth: its 7 rules on raw data; mean of its 5m ratios"

    def evaluate(
        self, server: Served, month: Month, promises: Sequence[Promise], at: int
    ) -> Evaluation:
        """Seven requests for each objective are metered, not the range queries for the mean."""
        made = rules(promises, month.window_days, server.folder)
        burns = {}
        with metered(server) as meter:
            client = Client(server.url, meter.tally)
            for one in promises:
                asked = made[one.name].by_window.items()
                burns[one.name] = {window: client.number(expr, at) for window, expr in asked}
            client.close()
        means = self.means(server, month, made, at)
        readings = {one.name: Reading(means[one.name], burns=burns[one.name]) for one in promises}
        return Evaluation(self.name, readings, meter.cost(len(promises)), "per run of the rules")

    def means(
        self, server: Served, month: Month, made: dict[str, Rules], at: int
    ) -> dict[str, float | None]:
        """`sum_over_time / count_over_time` of the 5-minute ratios: NaN if one of them is."""
        client = Client(server.url)
        start = at - month.window_days * DAY + BUCKET
        found: dict[str, float | None] = {}
        for name, one in made.items():
            rows = client.range(one.by_window["5m"], start, at, BUCKET)
            values = [value for _, points in rows for _, value in points]
            found[name] = sum(values) / len(values) if values else None
        client.close()
        return found


@dataclass(frozen=True)
class RecordedSloth:
    """The same with series really recorded, by promtool, and Sloth's own rule upon them."""

    name: str = "Sloth: its rule for the window, on 5m ratios recorded each 60 s"

    def evaluate(
        self, server: Served, month: Month, promises: Sequence[Promise], at: int
    ) -> Evaluation:
        """One request for each objective is metered, not the recording."""
        made = rules(promises, month.window_days, server.folder)
        self._record(server, month, made, at)
        readings = {}
        with metered(server) as meter:
            client = Client(server.url, meter.tally)
            for one in promises:
                readings[one.name] = Reading(client.number(made[one.name].whole, at))
            client.close()
        return Evaluation(self.name, readings, meter.cost(len(promises)), "per run of the rule")

    def _record(self, server: Served, month: Month, made: dict[str, Rules], at: int) -> None:
        recorded = [
            {"record": FIRST, "expr": one.by_window["5m"], "labels": one.labels}
            for one in made.values()
        ]
        group = {"name": "sloth", "interval": f"{RECORDED_EACH}s", "rules": recorded}
        file, blocks = server.folder / "recorded.json", server.folder / "recorded"
        file.write_text(json.dumps({"groups": [group]}), encoding="utf-8")
        start = (at - month.window_days * DAY) // 1_000
        command = [str(ensure(["promtool"])["promtool"]), "tsdb", "create-blocks-from", "rules"]
        command += [f"--url={server.url}", f"--start={start}", f"--end={at // 1_000}"]
        command += [f"--output-dir={blocks}", f"--eval-interval={RECORDED_EACH}s", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"promtool: {done.stderr.strip()[-1_000:]}")
        server.add_blocks(blocks)

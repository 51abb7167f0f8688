"""From the moment at which a threshold is truly passed to the decision that holds a release.

The clock is simulated, nothing else: a real Prometheus is given what is scraped of services whose
errors jump, the operator's own engine asks it after every 15 s of that clock, and the gate of a
release in progress decides by what it is told. What a request and a write to the cluster take is
not in it.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import fmean

from benchmarks.figures import Figure
from benchmarks.gate.failing import (
    BEGIN,
    BUDGET,
    LONG,
    LONGEST_LOOK,
    METRIC,
    ORIGIN,
    PROMISED,
    SCRAPE,
    SHARES,
    Failing,
    drawn,
    passed_after,
    scraped,
)
from benchmarks.gate.under_way import UnderWay
from benchmarks.month.asking import Client
from benchmarks.month.ours import CYCLE, Engine, slo
from benchmarks.month.tables import aligned
from benchmarks.seed import seed
from penstock.domain.effective_policy import resolve_policy
from penstock.domain.evidence import Evidence
from penstock.domain.memory import HOLD_CAUSES
from penstock.domain.policy import BurnPair, Policy
from penstock.domain.quantities import Duration

PHASES = 40
SHORT = Duration.parse("5m")
RULE_SECONDS = 30
DEFAULTS = Policy()
SPARE = 120


@dataclass(frozen=True)
class Threshold:
    """What is passed, and by which SLO and policy it is watched.

    Attributes:
        factor: the burn rate over 1h that passes it; over 5m it is passed long before.
        shares: of errors with which it is tried.
    """

    name: str
    factor: float
    window: str
    policy: Policy = DEFAULTS
    shares: tuple[float, ...] = SHARES


BURN = Threshold("burn 14.4 over 1h", 14.4, "30d")
FLOOR = Threshold("budget of 1h spent", 1, "1h")
CAP = Threshold(
    "0.5 % of a 30d budget spent",
    3.6,
    "30d",
    Policy(burn=(BurnPair(LONG, SHORT, Decimal("3.6")),)),
    (1.0,),
)
"""A burn of 3.6 spends 0.005 of 30d in 1h: so a policy says what a release of an hour may cost."""

Delays = Mapping[tuple[Threshold, float], Sequence[float]]
"""Seconds from the jump of errors to the decision, by the share of errors."""


def measure() -> list[Figure]:
    """The table is printed; a figure is that of the share of errors with which it is worst."""
    services = drawn(seed("these phases"), int(os.environ.get("PHASES") or PHASES))
    with (
        tempfile.TemporaryDirectory() as folder,
        scraped(services, BEGIN - LONGEST_LOOK, BEGIN).served(Path(folder)) as url,
    ):
        ours, rule = decided(url, services), alerted(url, services)
    print(f"\n{_table(ours, rule)}\n", flush=True)
    return figures(ours, rule)


def figures(ours: Delays, rule: Delays) -> list[Figure]:
    """Mean and most after the threshold was passed; of the cap since errors began."""
    name = f"an alert rule each {RULE_SECONDS} s"
    found = []
    for passed in (BURN, FLOOR):
        text = f"{passed.name} to decision"
        for what, bar, of in ((f"{text}, mean s", 16, fmean), (f"{text}, most s", 31, max)):
            found.append(
                Figure(what, _worst(ours, passed, of), bar, name, _worst(rule, passed, of))
            )
    most = (max(one[CAP, 1.0]) for one in (ours, rule))
    text = f"all requests fail to {CAP.name} and decided, most s"
    return [*found, Figure(text, next(most), 45, name, next(most))]


def _worst(of: Delays, passed: Threshold, statistic: Callable[[Sequence[float]], float]) -> float:
    return max(
        statistic(delays) - passed_after(passed.factor, share)
        for (threshold, share), delays in of.items()
        if threshold is passed
    )


class Watch:
    """One release, held when its service has passed a threshold."""

    def __init__(self, service: Failing, threshold: Threshold) -> None:
        self.service, self.threshold = service, threshold
        name = f"{service.name} {threshold.name}"
        bad, total = service.selector('code="500"'), service.selector()
        self.slo = slo(name, bad, total, PROMISED, threshold.window)
        window = Duration.parse(threshold.window)
        scrape = Duration.of_seconds(SCRAPE)
        self.release = UnderWay(
            resolve_policy(threshold.policy, self.slo.objective, window, scrape)
        )
        self.delay = math.inf

    def look(self, evidence: Evidence, at: int) -> None:
        """One round; the first hold for what was measured is the decision."""
        self.release.look(evidence, datetime.fromtimestamp(ORIGIN + at, UTC))
        if self.release.holds.keys() & HOLD_CAUSES.keys():
            self.delay = at - self.service.jumps


def decided(url: str, services: Sequence[Failing]) -> Delays:
    """By the operator's engine and gate, every 15 s while the release is hot."""
    watches = [Watch(one, passed) for one, passed in _tried(services)]
    with Engine(url, [one.slo for one in watches]) as engine:
        engine.open_accounts(ORIGIN + BEGIN, ORIGIN + BEGIN - LONGEST_LOOK)
        for at in range(BEGIN + CYCLE, _until(services), CYCLE):
            scraped(services, at - CYCLE, at).send(url)
            waiting = [one for one in watches if one.delay == math.inf]
            engine.slos = [one.slo for one in waiting]
            engine.keep_up(ORIGIN + at)
            found = engine.measure(ORIGIN + at, hot=True)
            for one in waiting:
                one.look(found[one.slo.ref.name], at)
    delays = defaultdict(list)
    for one in watches:
        delays[one.threshold, one.service.share].append(one.delay)
    return delays


def alerted(url: str, services: Sequence[Failing]) -> Delays:
    """By a rule of Prometheus, as people write it: `increase` over both burn windows."""
    client, fired = Client(url), {}
    start, end = (1_000 * (ORIGIN + at) for at in (BEGIN, _until(services)))
    for passed in (BURN, FLOOR, CAP):
        for labels, points in client.range(_rule(passed), start, end, 1_000 * RULE_SECONDS):
            fired[passed, labels["service"]] = points[0][0] - ORIGIN
    client.close()
    delays = defaultdict(list)
    for one, passed in _tried(services):
        delays[passed, one.share].append(fired.get((passed, one.name), math.inf) - one.jumps)
    return delays


def _rule(passed: Threshold) -> str:
    def ratio(burn_window: Duration) -> str:
        bad, total = f'{METRIC}{{code="500"}}[{burn_window}]', f"{METRIC}[{burn_window}]"
        return f"sum by (service) (increase({bad})) / sum by (service) (increase({total}))"

    return " and ".join(
        f"{ratio(burn_window)} > {passed.factor * BUDGET:g}" for burn_window in (LONG, SHORT)
    )


def _tried(services: Sequence[Failing]) -> list[tuple[Failing, Threshold]]:
    return [
        (one, passed)
        for passed in (BURN, FLOOR, CAP)
        for one in services
        if one.share in passed.shares
    ]


def _until(services: Sequence[Failing]) -> int:
    """When the slowest threshold has been passed, and all who wait for it have seen that."""
    return int(max(one.jumps + passed_after(BURN.factor, one.share) for one in services)) + SPARE


def _table(ours: Delays, rule: Delays) -> str:
    rows = [["threshold", "errors", "passed after s", "ours: mean / most", "rule: mean / most"]]
    for (threshold, share), delays in ours.items():
        passed = passed_after(threshold.factor, share)
        told = [
            f"{fmean(one) - passed:+.1f} / {max(one) - passed:+.1f}"
            for one in (delays, rule[threshold, share])
        ]
        rows.append([threshold.name, f"{share:.0%}", f"{passed:.1f}", *told])
    return aligned(rows)

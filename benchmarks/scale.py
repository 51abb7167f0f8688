"""2,000 SLOs and 500 Rollouts on one core: first evaluation, memory, lateness, writes at rest."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta

from benchmarks.figures import Figure
from benchmarks.process import Operator
from benchmarks.waiting import until
from benchmarks.world import ROLLOUTS, SLOS, World, ask, slo
from testbed.audit import AuditEntry, of_user, read
from testbed.bed import Bed
from testbed.shipped import ACCOUNT

INTERVAL, REST_SECONDS = 30.0, 90.0
# No status is written again within so long, if nothing has happened: no heartbeat is among what is
# counted at rest.
NO_HEARTBEAT = timedelta(minutes=5)
EVALUATED = "penstock_slo_budget_remaining_ratio"
ASKED_ALONE = 40


def measure(bed: Bed) -> list[Figure]:
    """The operator's start, then its rest."""
    with World(bed) as world:
        alone = _numbers_asked_alone(world.url)
        begun = datetime.now(UTC)
        with Operator(bed, INTERVAL, one_core=True) as operator:
            first = _until_all_evaluated(operator)
            told = _until_all_told(bed, begun)
            at_rest, core = datetime.now(UTC), operator.core_seconds()
            latest = _worst_age(operator, REST_SECONDS)
            core = (operator.core_seconds() - core) / REST_SECONDS
            written = [obj for obj in _writes(bed) if obj.at > at_rest]
            memory = operator.peak_mib()
        if datetime.now(UTC) - begun > NO_HEARTBEAT:
            raise TimeoutError("it took so long that heartbeats are among the writes at rest")
    for what, times in Counter(map(_kind, written)).items():
        print(f"at rest: {times} x {what}")
    return [
        Figure(
            f"process started to {SLOS:,} SLOs evaluated, s",
            first,
            10,
            f"each number asked alone ({ASKED_ALONE} SLOs, scaled), s",
            alone,
        ),
        Figure(
            f"process started to all SLOs and {ROLLOUTS} Rollouts told, s",
            told,
            None,
            "the interval, s",
            INTERVAL,
        ),
        Figure("most memory of the operator, MiB", memory, 250, "limit in deploy/base, MiB", 512),
        Figure(
            f"oldest evidence in {REST_SECONDS:g} s, s",
            latest,
            INTERVAL + 2,
            "the interval, s",
            INTERVAL,
        ),
        Figure(
            f"writes at rest in {REST_SECONDS:g} s, Lease apart",
            len(written),
            0,
            "one for each evaluation would be",
            SLOS * REST_SECONDS / INTERVAL,
        ),
        Figure("share of one core at rest", core, None, "the whole core", 1),
    ]


def _numbers_asked_alone(url: str) -> float:
    """Seconds for all SLOs, if each number were a request of its own: measured on a few."""
    begun = time.monotonic()
    for number in range(0, SLOS, SLOS // ASKED_ALONE):
        spec = slo(number)["spec"]
        for back in (spec["window"]["rolling"], "5m"):
            for selector in spec["indicator"]["ratio"].values():
                ask(url, f"sum(increase({selector}[{back}]))")
    return (time.monotonic() - begun) * SLOS / ASKED_ALONE


def _until_all_evaluated(operator: Operator) -> float:
    """Seconds from the start of the process until each SLO has a budget.

    It is asked once a second, because telling thousands of series is work for its one core too.
    """
    begun = time.monotonic()
    until("all are evaluated", 180, lambda: len(operator.values(EVALUATED)) >= SLOS, every=1)
    return time.monotonic() - begun


def _until_all_told(bed: Bed, begun: datetime) -> float:
    """Seconds until the last of the first writes: nothing more came for fifteen seconds."""
    end = time.monotonic() + 150
    while time.monotonic() < end:
        last = max((obj.at for obj in _writes(bed)), default=datetime.now(UTC))
        if datetime.now(UTC) - last > timedelta(seconds=15):
            return (last - begun).total_seconds()
        time.sleep(3)
    writes = _writes(bed)
    again = len(writes) - len({(_kind(obj), obj.name) for obj in writes})
    latest = dict(Counter(map(_kind, writes[-100:])))
    raise TimeoutError(
        f"the operator goes on writing: {len(writes)} so far, {again} of them not the first of "
        f"their kind for an object; of the last 100: {latest}"
    )


def _worst_age(operator: Operator, seconds: float) -> float:
    """The oldest evidence that was seen."""
    worst, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        worst = max(worst, *operator.values("penstock_evaluation_age_seconds"))
        time.sleep(1)
    return worst


def _writes(bed: Bed) -> list[AuditEntry]:
    reads = {"get", "list", "watch"}
    return [
        obj
        for obj in of_user(read(bed.audit_log), ACCOUNT.user)
        if obj.verb not in reads and obj.resource != "leases"
    ]


def _kind(obj: AuditEntry) -> str:
    return f"{obj.verb} {obj.resource}/{obj.subresource}".rstrip("/")

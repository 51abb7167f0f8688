"""A month shown to a release that is always in progress: how often would it have been held?

What truly happened in each service is closed bucket by bucket in a ledger, as the operator keeps
it, and after each bucket the gate decides by what the ledger says, under the default policy. Each
service's objective is such that 80 of 100 points of its budget are spent. The month before was like
this one, so that they are spent at every instant: no budget runs out, and what holds is burning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from statistics import fmean

from benchmarks.figures import Figure
from benchmarks.gate.under_way import UnderWay
from benchmarks.month import promises
from benchmarks.month.data import BUCKET, DAY, Month, Service
from benchmarks.month.data import Count as TrueCount
from benchmarks.month.generated import month
from benchmarks.month.ours import slos
from benchmarks.month.report import size
from benchmarks.month.tables import aligned
from benchmarks.seed import seed
from penstock.domain.bucket_ring import BucketState
from penstock.domain.effective_policy import EffectivePolicy, resolve_policy
from penstock.domain.evidence import EventCounts, Evidence, EvidenceKind
from penstock.domain.ledger import Ledger
from penstock.domain.memory import HOLD_CAUSES
from penstock.domain.policy import Policy
from penstock.domain.quantities import Duration
from penstock.domain.slo import Slo
from penstock.domain.thresholds import fastest_firing_rule
from penstock.domain.window import length
from penstock.engine.budget.ledger_evidence import evidence_from_ledger
from penstock.engine.budget.ledger_plan import plan_ledger_read

GRAIN = BUCKET // 1_000
SPAN = Duration.of_seconds(GRAIN)
LEAST_DAYS = 7
"""Burn pairs of a shorter window look back less than a bucket."""
FRESH = 120_000
"""Milliseconds without a scrape after which data is stale: what a source has by default."""


@dataclass(frozen=True)
class Bucket:
    """What was seen of five minutes.

    Attributes:
        end: seconds since the epoch.
        count: None where nothing could be scraped; what happened meanwhile is in the next.
        is_stale: the newest sample is too old at its end.
    """

    end: int
    count: EventCounts | None
    is_stale: bool = False


@dataclass(frozen=True)
class Replayed:
    """What became of one release.

    Attributes:
        holds: how often it was held for what was measured.
        blind: how often because nothing could be measured.
        hours: for how long, all together.
        alerts: how often alerts on the same burn pairs would have begun, without a minimum of bad
            events and without calm.
    """

    holds: int
    blind: int
    hours: float
    alerts: int


def measure() -> list[Figure]:
    """The table is printed; the figure is of the class that is held most often."""
    with month(seed("this month"), size(), print) as made:
        found = replayed(made)
        print(f"\nmean of each class in {made.window}\n\n{_table(found)}\n", flush=True)
        return figures(found, made.window)


def replayed(made: Month) -> dict[str, list[Replayed]]:
    """Each service's month, by class."""
    start = made.end - made.window_days * DAY
    asked = promises.of_services(made)
    window = f"{max(made.window_days, LEAST_DAYS)}d"
    found: dict[str, list[Replayed]] = {}
    for one, slo in zip(asked, slos(made, asked, window), strict=True):
        counts = promises.by_bucket(made, one, start, made.end)
        buckets = list(seen(counts, start, made.services[one.service]))
        found.setdefault(one.kind, []).append(replay(slo, buckets))
    return found


def seen(counts: Sequence[TrueCount], start: int, service: Service) -> Iterator[Bucket]:
    """A service's buckets from an instant in milliseconds on, as scraping showed them."""
    for number, (bad, total) in enumerate(counts, 1):
        at = start + number * BUCKET
        stale = any(begin + FRESH < at <= end for begin, end in service.outages)
        count = None if stale and not total else EventCounts(Decimal(bad), Decimal(total))
        yield Bucket(at // 1_000, count, stale)


def replay(slo: Slo, buckets: Sequence[Bucket]) -> Replayed:
    """A release that is in progress all the time, and looked at after each bucket."""
    window = length(slo.window, _moment(buckets[0].end))
    release = UnderWay(resolve_policy(Policy(), slo.objective, window))
    ledger, bare = _as_before(window, buckets), _without_minimum(release.guard)
    alerts, alerting, held = 0, False, 0
    for one in buckets:
        known = _known(slo, release, ledger, one)
        release.look(known, _moment(one.end))
        held += release.held
        was = alerting
        alerting = (
            known.reading is not None and fastest_firing_rule(known.reading, bare) is not None
        )
        alerts += alerting and not was
        ledger.close(one.end, one.count, BucketState.SEALED)
    measured = sum(times for reason, times in release.holds.items() if reason in HOLD_CAUSES)
    blind = release.holds.total() - measured
    return Replayed(measured, blind, held * GRAIN / 3_600, alerts)


def figures(found: Mapping[str, Sequence[Replayed]], window: str) -> list[Figure]:
    """The class that is held most often, beside bare alerts in the same class."""
    worst = max(found, key=lambda kind: fmean(one.holds for one in found[kind]))
    return [
        Figure(
            f"holds of a service in {window}, worst class: {worst}",
            fmean(one.holds for one in found[worst]),
            2.5,
            "the same burn pairs as bare alerts",
            fmean(one.alerts for one in found[worst]),
        )
    ]


def _as_before(window: Duration, buckets: Sequence[Bucket]) -> Ledger:
    """A ledger of a whole window before, in which the same happened as often as it fits in."""
    length = len(buckets) * GRAIN
    times = -(-int(window.seconds) // length)
    ledger = Ledger(GRAIN, int(window.seconds))
    ledger.begin(buckets[0].end - GRAIN - times * length)
    for ago in range(times, 0, -1):
        for one in buckets:
            ledger.close(one.end - ago * length, one.count, BucketState.SEALED)
    return ledger


def _known(slo: Slo, release: UnderWay, ledger: Ledger, newest: Bucket) -> Evidence:
    """As the operator puts it together: what is closed, and the newest bucket, still open."""
    if newest.is_stale:
        return Evidence(EvidenceKind.STALE, "nothing could be scraped")
    planned = plan_ledger_read(slo, release.guard.burn_windows, ledger, _moment(newest.end))
    return evidence_from_ledger(planned, ledger, {SPAN: newest.count} if newest.count else {})


def _without_minimum(applies: EffectivePolicy) -> EffectivePolicy:
    """The same burn pairs, whatever few events they rest on."""
    return replace(
        applies,
        burn_rules=tuple(replace(rule, minimum_bad_events=0) for rule in applies.burn_rules),
    )


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _table(found: Mapping[str, Sequence[Replayed]]) -> str:
    rows = [["class", "services", "holds", "most", "hours held", "bare alerts", "held for no data"]]
    for kind, them in found.items():
        means = (
            fmean(numbers)
            for numbers in zip(*((one.hours, one.alerts, one.blind) for one in them), strict=True)
        )
        holds = [one.holds for one in them]
        told = (f"{number:.1f}" for number in means)
        rows.append([kind, str(len(them)), f"{fmean(holds):.2f}", str(max(holds)), *told])
    return aligned(rows)

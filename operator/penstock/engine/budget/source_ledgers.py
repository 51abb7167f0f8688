"""The ledgers of one metrics source: one for each indicator, shared by all its SLOs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from penstock.domain.exported_counters import CounterTotals, count_final_hours
from penstock.domain.indicator import Indicator
from penstock.domain.ledger import HOUR, Ledger
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.quantities import Duration
from penstock.domain.slo import Slo
from penstock.domain.timeslices import bucket_seconds, timeslice_rule
from penstock.domain.window import length
from penstock.engine.budget.digest import digest
from penstock.engine.promql import build_indicator_query

# How far back the first request reads, so that burn rates work as soon as it is answered.
BURN_SECONDS = 6 * HOUR
UNUSED_SECONDS = 3_600.0
QUARANTINE_SECONDS, LONGEST_QUARANTINE = 10.0, 600.0


@dataclass(frozen=True, slots=True)
class LedgerKey:
    """What a ledger is of: an indicator, as one source measures it, in buckets of one length.

    Objective, window and policy are not part of it: these may change without new data.
    """

    source: str
    indicator: Indicator
    resolution: int

    @property
    def digest(self) -> str:
        """Its name in a snapshot; the same in every process and every release."""
        return digest(self.source, self.indicator, self.resolution)


class TrackedLedger:
    """One indicator's ledger, and the state of its upkeep.

    Args:
        begun: seconds since the epoch at which its ledger began; None for one from a snapshot.

    Attributes:
        lacks_before: the time before which its past was not looked for yet, if any.
    """

    def __init__(self, key: LedgerKey, ledger: Ledger, begun: int | None = None) -> None:
        self.key, self.ledger = key, ledger
        self.digest, self.indicator_query = key.digest, build_indicator_query(key.indicator)
        self.lacks_before = None if begun is None else ledger.closed_until
        self.recalls_failed = 0
        self._counts_from = 0 if begun is None else -(-begun // HOUR) * HOUR
        self.counted: CounterTotals | None = None
        self.used_at = 0.0
        self.is_hot = False
        self.not_before = 0.0
        self._failures = 0

    @property
    def span(self) -> Duration:
        """The length of its buckets."""
        return Duration.of_seconds(self.key.resolution)

    def count(self, now: int) -> None:
        """Bring its counters up to date.

        A ledger that starts empty counts only new hours: the last process may have exported earlier
        ones, and counted them differently.
        """
        self.counted = count_final_hours(self.counted, self.ledger, self._counts_from, now)

    def refused(self, now: float) -> None:
        """Its query was rejected: retries come later each time and costs the others nothing."""
        seconds = QUARANTINE_SECONDS * 2**self._failures
        self.not_before = now + min(seconds, LONGEST_QUARANTINE)
        self._failures = min(self._failures + 1, 10)

    def answered(self) -> None:
        """Its query was answered."""
        self._failures = 0


class SourceLedgers:
    """All ledgers of one source."""

    def __init__(self, source: MetricsSource) -> None:
        self.source, self._name = source, name_of(source)
        self._tracked_ledgers: dict[tuple[Indicator, int], TrackedLedger] = {}

    def __iter__(self) -> Iterator[TrackedLedger]:
        return iter(self._tracked_ledgers.values())

    def __len__(self) -> int:
        return len(self._tracked_ledgers)

    def ledger_for(self, slo: Slo, at: datetime, kept: dict[str, Ledger]) -> TrackedLedger:
        """The ledger of an SLO; a new one is created, or taken from a snapshot.

        A new ledger begins at a full hour, far enough back for burn rates.
        """
        kind = _kind(slo)
        retention = length(slo.window, at).milliseconds // 1_000
        tracked = self._tracked_ledgers.get(kind)
        if tracked is None:
            key = LedgerKey(self._name, *kind)
            ledger = kept.pop(key.digest, None)
            tracked = (
                TrackedLedger(key, ledger)
                if ledger
                else TrackedLedger(key, _begun(key.resolution, retention, at), int(at.timestamp()))
            )
            self._tracked_ledgers[kind] = tracked
        tracked.ledger.extend_retention(retention)
        timeslices = timeslice_rule(slo.budgeting)
        if timeslices is not None:
            tracked.ledger.add_timeslices(timeslices)
        return tracked

    def find(self, slo: Slo) -> TrackedLedger | None:
        """The ledger of an SLO, if it exists already."""
        return self._tracked_ledgers.get(_kind(slo))

    def forget_unused(self, now: float) -> None:
        """Drop the ledgers that nobody has used recently."""
        tracked_ledgers = self._tracked_ledgers.items()
        for kind in [
            kind for kind, tracked in tracked_ledgers if now - tracked.used_at > UNUSED_SECONDS
        ]:
            del self._tracked_ledgers[kind]


def _kind(slo: Slo) -> tuple[Indicator, int]:
    """The part of an SLO by which its ledger is found among those of its source."""
    return slo.indicator, bucket_seconds(slo.budgeting)


def counters_of(source: MetricsSource, tracked: TrackedLedger) -> str:
    """The name of a ledger's counters, which includes the uid of the source.

    So nobody takes those of a namesake in another cluster, which one server may have too, for ours.
    """
    named = f"{source.ref.uid} {tracked.digest}"
    return hashlib.sha256(named.encode()).hexdigest()[:32]


def name_of(source: MetricsSource) -> str:
    """What identifies the numbers of a source: the object, and the address that it queries."""
    return f"{source.kind}/{source.ref.namespace}/{source.ref.name} {source.url}"


def _begun(resolution: int, retention: int, at: datetime) -> Ledger:
    ledger = Ledger(resolution, retention)
    ledger.begin((int(at.timestamp()) - BURN_SECONDS) // HOUR * HOUR)
    return ledger

"""The ledgers of one metrics source, one account for each indicator, shared by all its SLOs."""

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

# What burn rates look back at most, so that they work as soon as the first request is answered.
BURN_SECONDS = 6 * HOUR
UNUSED_SECONDS = 3_600.0
QUARANTINE_SECONDS, LONGEST_QUARANTINE = 10.0, 600.0


@dataclass(frozen=True, slots=True)
class LedgerKey:
    """What a ledger is of: an indicator, as one source measures it, in buckets of one length.

    No objective, no window and no policy is part of it: these may change without new data.
    """

    source: str
    indicator: Indicator
    resolution: int

    @property
    def digest(self) -> str:
        """Its name in a snapshot; the same in every process and every release."""
        return digest(self.source, self.indicator, self.resolution)


class TrackedLedger:
    """One indicator's ledger, and how its upkeep goes.

    Args:
        begun: seconds since the epoch at which its ledger was begun; None for one from a snapshot.

    Attributes:
        lacks_before: the border before which nobody has looked for its past yet, if so.
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

        Of a ledger that is begun afresh they count new hours only, as the last process may have
        shown its own of those before, and read them otherwise.
        """
        self.counted = count_final_hours(self.counted, self.ledger, self._counts_from, now)

    def refused(self, now: float) -> None:
        """Its query is at fault: later each time, so that it costs the others nothing."""
        seconds = QUARANTINE_SECONDS * 2**self._failures
        self.not_before = now + min(seconds, LONGEST_QUARANTINE)
        self._failures = min(self._failures + 1, 10)

    def answered(self) -> None:
        """Its query is well."""
        self._failures = 0


class SourceLedgers:
    """All accounts of one source."""

    def __init__(self, source: MetricsSource) -> None:
        self.source, self._name = source, name_of(source)
        self._tracked_ledgers: dict[tuple[Indicator, int], TrackedLedger] = {}

    def __iter__(self) -> Iterator[TrackedLedger]:
        return iter(self._tracked_ledgers.values())

    def __len__(self) -> int:
        return len(self._tracked_ledgers)

    def ledger_for(self, slo: Slo, at: datetime, kept: dict[str, Ledger]) -> TrackedLedger:
        """The account that an SLO is measured from; made, or taken from a snapshot, when new.

        A new ledger begins at an hour's border that lies as far back as burn rates look.
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
        """The account that an SLO is measured from, if there is one already."""
        return self._tracked_ledgers.get(_kind(slo))

    def forget_unused(self, now: float) -> None:
        """Nobody has asked for these any more."""
        tracked_ledgers = self._tracked_ledgers.items()
        for kind in [
            kind for kind, tracked in tracked_ledgers if now - tracked.used_at > UNUSED_SECONDS
        ]:
            del self._tracked_ledgers[kind]


def _kind(slo: Slo) -> tuple[Indicator, int]:
    """What of an SLO its account is found by, in the book of its source."""
    return slo.indicator, bucket_seconds(slo.budgeting)


def counters_of(source: MetricsSource, tracked: TrackedLedger) -> str:
    """What counters of an account are called: also by the uid of the source.

    So nobody takes those of a namesake in another cluster, which one server may know too, for ours.
    """
    named = f"{source.ref.uid} {tracked.digest}"
    return hashlib.sha256(named.encode()).hexdigest()[:32]


def name_of(source: MetricsSource) -> str:
    """What makes the numbers of a source its own: who it is, and where it asks."""
    return f"{source.kind}/{source.ref.namespace}/{source.ref.name} {source.url}"


def _begun(resolution: int, retention: int, at: datetime) -> Ledger:
    ledger = Ledger(resolution, retention)
    ledger.begin((int(at.timestamp()) - BURN_SECONDS) // HOUR * HOUR)
    return ledger

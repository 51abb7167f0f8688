"""The ledgers of one metrics source, one account for each indicator, shared by all its SLOs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from penstock.domain.indicator import Indicator
from penstock.domain.ledger import HOUR, Ledger
from penstock.domain.quantities import Duration
from penstock.domain.slices import grain_of, slicing_of
from penstock.domain.slo import Slo
from penstock.domain.source import Source
from penstock.domain.window import length

# What burn rates look back at most, so that they work as soon as the first request is answered.
BURN_SECONDS = 6 * HOUR
UNUSED_SECONDS = 3_600.0
QUARANTINE_SECONDS, LONGEST_QUARANTINE = 10.0, 600.0


@dataclass(frozen=True, slots=True)
class Sli:
    """What a ledger is of: an indicator, as one source measures it, in buckets of one length.

    No objective, no window and no policy is part of it: these may change without new data.
    """

    source: str
    indicator: Indicator
    grain: int

    @property
    def digest(self) -> str:
        """Its name in a snapshot; the same in every process."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:32]


class Account:
    """One indicator's ledger, and how its upkeep goes."""

    def __init__(self, sli: Sli, ledger: Ledger) -> None:
        self.sli, self.ledger = sli, ledger
        self.used_at = 0.0
        self.is_hot = False
        self.not_before = 0.0
        self._failures = 0

    @property
    def span(self) -> Duration:
        """The length of its buckets."""
        return Duration.of_seconds(self.sli.grain)

    def refused(self, now: float) -> None:
        """Its query is at fault: later each time, so that it costs the others nothing."""
        seconds = QUARANTINE_SECONDS * 2**self._failures
        self.not_before = now + min(seconds, LONGEST_QUARANTINE)
        self._failures = min(self._failures + 1, 10)

    def answered(self) -> None:
        """Its query is well."""
        self._failures = 0


class Book:
    """All accounts of one source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._accounts: dict[Sli, Account] = {}

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    def __len__(self) -> int:
        return len(self._accounts)

    def account(self, slo: Slo, at: datetime, kept: dict[str, Ledger]) -> Account:
        """The account that an SLO is measured from; made, or taken from a snapshot, when new.

        A new ledger begins at an hour's border that lies as far back as burn rates look.
        """
        sli = Sli(name_of(self.source), slo.indicator, grain_of(slo.budgeting))
        reach = int(length(slo.window, at).seconds)
        account = self._accounts.get(sli)
        if account is None:
            ledger = kept.pop(sli.digest, None) or _begun(sli.grain, reach, at)
            account = self._accounts[sli] = Account(sli, ledger)
        account.ledger.stretch_out(reach)
        slicing = slicing_of(slo.budgeting)
        if slicing is not None:
            account.ledger.slice_by(slicing)
        return account

    def forget_unused(self, now: float) -> None:
        """Nobody has asked for these any more."""
        unused = [sli for sli, one in self._accounts.items() if now - one.used_at > UNUSED_SECONDS]
        for sli in unused:
            del self._accounts[sli]


def name_of(source: Source) -> str:
    """What makes the numbers of a source its own: who it is, and where it asks."""
    return f"{source.kind}/{source.ref.namespace}/{source.ref.name} {source.url}"


def _begun(grain: int, reach: int, at: datetime) -> Ledger:
    ledger = Ledger(grain, reach)
    ledger.begin((int(at.timestamp()) - BURN_SECONDS) // HOUR * HOUR)
    return ledger

"""An SLO whose indicator was changed: the former one answers until the new one is backfilled.

Otherwise every correction of a query would leave its SLO without a budget during the backfill. What
is already known of the new indicator counts as well: it may refuse a release, and it never lets
through what the former one refuses. None of this outlives the process: after a restart only the new
ledger is backfilled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from penstock.domain.evidence import Evidence, EvidenceGrade, EvidenceKind, Reading
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import Slo
from penstock.domain.timeslices import bucket_seconds
from penstock.engine.budget.source_ledgers import UNUSED_SECONDS, LedgerKey, name_of
from penstock.engine.ports import EvidenceRequest


@dataclass(frozen=True, slots=True)
class _LastAnswer:
    generation: int
    key: LedgerKey


class Migrations:
    """Which indicator each SLO was last measured by over its whole window."""

    def __init__(self) -> None:
        self._answered: dict[ObjectRef, _LastAnswer] = {}
        self._asked: set[ObjectRef] = set()
        self._tidied = 0.0

    def former(
        self, source: MetricsSource, requests: Iterable[EvidenceRequest]
    ) -> list[EvidenceRequest]:
        """The same requests by the former indicator, for those SLOs that have changed theirs.

        A change of the source or of the bucket length needs another ledger in any case, which would
        have to be backfilled as well.
        """
        found = []
        for request in requests:
            last = self._answered.get(request.slo.ref)
            if last is None or last.generation == request.slo.generation:
                continue
            now = _sli(source, request.slo)
            if last.key != now and replace(last.key, indicator=now.indicator) == now:
                of = replace(
                    request.slo, ref=_shadow_ref(request.slo.ref), indicator=last.key.indicator
                )
                found.append(replace(request, slo=of))
        return found

    def merge(
        self,
        source: MetricsSource,
        requests: Sequence[EvidenceRequest],
        found: Mapping[ObjectRef, Evidence],
        now: float,
    ) -> dict[ObjectRef, Evidence]:
        """Evidence for each request, from the new and the former indicators."""
        self._tidy(now)
        settled = {}
        for request in requests:
            ref = request.slo.ref
            evidence, former = found[ref], found.get(_shadow_ref(ref))
            settled[ref] = evidence if former is None else while_migrating(former, evidence)
            self._asked.add(ref)
            self._note(source, request.slo, evidence)
        return settled

    def _note(self, source: MetricsSource, slo: Slo, evidence: Evidence) -> None:
        last = self._answered.get(slo.ref)
        is_known = last is not None and last.generation == slo.generation
        if (
            is_known
            or evidence.grade is EvidenceGrade.OUTAGE
            or evidence.kind is EvidenceKind.WARMING_UP
        ):
            return
        self._answered[slo.ref] = _LastAnswer(slo.generation, _sli(source, slo))

    def _tidy(self, now: float) -> None:
        """Drop SLOs that were not requested since the last time."""
        if now - self._tidied < UNUSED_SECONDS:
            return
        self._answered = {ref: one for ref, one in self._answered.items() if ref in self._asked}
        self._asked.clear()
        self._tidied = now


def while_migrating(former: Evidence, new: Evidence) -> Evidence:
    """The evidence while a former indicator may still answer for a new one.

    The new one alone, once it can answer, or if it cannot be measured at all; also when the
    former one is of no more use.
    """
    if new.kind is not EvidenceKind.WARMING_UP or new.so_far is None:
        return new
    if former.kind is not EvidenceKind.FRESH or former.reading is None:
        return new
    poorer, richer = sorted((former.reading, new.so_far), key=_share_left)
    detail = (
        f"Migrating: the previous indicator answers while the new one is backfilled ({new.detail})"
    )
    return Evidence(EvidenceKind.MIGRATING, detail, poorer, richer)


def _share_left(reading: Reading) -> tuple[bool, object]:
    """What has no budget yet comes last."""
    remaining = reading.remaining
    return remaining is None, remaining.value if remaining else 0


def _sli(source: MetricsSource, slo: Slo) -> LedgerKey:
    return LedgerKey(name_of(source), slo.indicator, bucket_seconds(slo.budgeting))


def _shadow_ref(ref: ObjectRef) -> ObjectRef:
    """A name derived from the SLO's own, which no object has."""
    return replace(ref, uid=f"{ref.uid} formerly")

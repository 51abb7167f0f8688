"""Measures budgets by asking servers of the Prometheus query API: the port ``Metrics``.

Owns which SLOs are asked together. Many share one query, since a request for each would cost forty
times as much; a query that is refused is then cut in halves until the SLO at fault is alone, so
that it costs nobody else's evidence, and next time it is asked apart from the start. Nothing here
is kept that a restart would miss.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from penstock.adapters.prometheus_answer import Failed, NotAsked, Outcome, Vector
from penstock.adapters.prometheus_link import Link
from penstock.adapters.sources import Sources
from penstock.domain.evidence import Evidence, Kind
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import Slo
from penstock.domain.source import Source
from penstock.domain.source_report import Health
from penstock.engine.ports import Clock, Inquiry
from penstock.engine.promql.together import (
    LABEL,
    MOST_TOGETHER,
    Question,
    batches,
    query,
    question,
)
from penstock.engine.reading import evidence, told_apart

APART_SECONDS = 3_600.0

Found = dict[ObjectRef, Evidence]


class Prometheus:
    """Which SLOs are asked together, and what their answers are as evidence."""

    def __init__(self, sources: Sources, clock: Clock) -> None:
        self._sources = sources
        self._company = Company(clock)

    async def measure(
        self, source: Source, inquiries: Sequence[Inquiry], at: datetime
    ) -> Mapping[ObjectRef, Evidence]:
        """Evidence for each inquiry, all for the same instant."""
        found: Found = {}
        questions: list[Question] = []
        for inquiry in inquiries:
            asked = question(inquiry, at, source.freshness)
            if isinstance(asked, Evidence):
                found[inquiry.slo.ref] = asked
            else:
                questions.append(asked)
        if not questions:
            return found
        link = await self._sources.reach(source)
        if isinstance(link, Evidence):
            return found | _all(questions, link)
        return found | await _Round(link, self._company, at).answers(questions)

    async def look(self, source: Source) -> Health:
        """How a source stands."""
        return await self._sources.look(source)


class Company:
    """How many others an SLO may be asked together with; all, until it has spoilt a query."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._most: dict[tuple[ObjectRef, int], tuple[int, float]] = {}

    def limit(self, questions: Sequence[Question], most: int) -> None:
        """From now on ask these with at most so many in one query, themselves included."""
        ends = self._clock.monotonic() + APART_SECONDS
        for asked in questions:
            slo = asked.inquiry.slo
            self._most[slo.ref, slo.generation] = max(1, min(most, self._of(slo))), ends

    def batches(self, questions: Sequence[Question]) -> list[tuple[Question, ...]]:
        """Batches, the most trusted first: a query that is too dear delays none but its like."""
        now = self._clock.monotonic()
        self._most = {key: kept for key, kept in self._most.items() if kept[1] > now}
        by_size: dict[int, list[Question]] = {}
        for asked in questions:
            by_size.setdefault(self._of(asked.inquiry.slo), []).append(asked)
        return [
            batch
            for size, group in sorted(by_size.items(), reverse=True)
            for batch in batches(group, size)
        ]

    def _of(self, slo: Slo) -> int:
        return self._most.get((slo.ref, slo.generation), (MOST_TOGETHER, 0.0))[0]


class _Round:
    """One tick of one source."""

    def __init__(self, link: Link, company: Company, at: datetime) -> None:
        self.link, self.company, self.at = link, company, at
        self._trial = asyncio.Lock()
        self._is_sane = False

    async def answers(self, questions: Sequence[Question]) -> Found:
        groups = self.company.batches(questions)
        parts = await asyncio.gather(*(self._ask(group) for group in groups))
        return {ref: one for part in parts for ref, one in part.items()}

    async def _ask(self, batch: Sequence[Question]) -> Found:
        try:
            vector = await self.link.ask(query(batch), self.at)
            if vector.warnings:
                return await self._warned(batch, vector)
            return _read(batch, vector, self.at)
        except Failed as failed:
            return await self._failed(batch, failed)

    async def _failed(self, batch: Sequence[Question], failed: Failed) -> Found:
        told = _all(batch, self.link.told(failed))
        if isinstance(failed, NotAsked):
            return told
        if failed.outcome is Outcome.OVERLOADED:
            self.company.limit(batch, len(batch) // 2)
        if failed.outcome is not Outcome.REJECTED:
            return told
        if len(batch) == 1:
            self.company.limit(batch, 1)
            return told
        try:
            await self._see_that_others_are_answered()
        except Failed as worse:
            return _all(batch, self.link.told(worse))
        return await self._halves(batch)

    async def _see_that_others_are_answered(self) -> None:
        """A server that refuses whatever it is asked must not be asked about each SLO."""
        async with self._trial:
            if not self._is_sane:
                await self.link.understands()
            self._is_sane = True

    async def _warned(self, batch: Sequence[Question], vector: Vector) -> Found:
        """Warnings mean that something is missing. Those of PromQL are about a single query."""
        by_query = all(warning.startswith("PromQL") for warning in vector.warnings)
        if by_query and len(batch) > 1:
            return await self._halves(batch)
        if by_query:
            self.company.limit(batch, 1)
        failed = Failed(Outcome.PARTIAL, f"the answer is partial: {vector.warnings[0]}")
        return _all(batch, self.link.told(failed))

    async def _halves(self, batch: Sequence[Question]) -> Found:
        middle = len(batch) // 2
        parts = await asyncio.gather(self._ask(batch[:middle]), self._ask(batch[middle:]))
        found = parts[0] | parts[1]
        if not {Kind.REJECTED, Kind.PARTIAL} & {one.kind for one in found.values()}:
            self.company.limit(batch, middle)  # none of them is at fault: together they are too big
        return found


def _read(batch: Sequence[Question], vector: Vector, at: datetime) -> Found:
    try:
        rows = [(labels.get(LABEL, ""), text) for labels, text in vector.rows]
        answers = told_apart(batch, rows)
    except ValueError as error:
        raise Failed(Outcome.MALFORMED, str(error)) from error
    return {
        asked.inquiry.slo.ref: evidence(asked, answer, at)
        for asked, answer in zip(batch, answers, strict=True)
    }


def _all(questions: Sequence[Question], same: Evidence) -> Found:
    return {asked.inquiry.slo.ref: same for asked in questions}

"""The port ``Metrics``: short windows are read directly, longer ones from ledgers."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from penstock.domain.evidence import EventCounts, Evidence
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.quantities import Duration
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import Occurrences, Slo
from penstock.domain.source_status import SourceHealth
from penstock.domain.window import length
from penstock.engine.asking import Asker
from penstock.engine.budget.book import Account
from penstock.engine.budget.direct import Direct
from penstock.engine.budget.library import Library
from penstock.engine.budget.migrating import Migrations
from penstock.engine.budget.reading import Plan, evidence, plan
from penstock.engine.ports import Clock, Inquiry
from penstock.engine.promql import Counts, Leg, Question, measured

SHORTEST_OF_LEDGER = Duration.parse("1h")


class Planned(NamedTuple):
    """How one inquiry is answered."""

    inquiry: Inquiry
    account: Account
    plan: Plan


class Budgets:
    """Evidence of every SLO's budget."""

    def __init__(self, asker: Asker, library: Library, clock: Clock) -> None:
        self._asker, self._library, self._clock = asker, library, clock
        self._direct = Direct(asker)
        self._migrations = Migrations()

    async def measure(
        self, source: MetricsSource, inquiries: Sequence[Inquiry], at: datetime
    ) -> Mapping[ObjectRef, Evidence]:
        """Evidence for each inquiry, all for the same instant."""
        short, others = list[Inquiry](), list[Inquiry]()
        for one in inquiries:
            (short if _is_read_directly(one.slo, at) else others).append(one)
        read, kept = await asyncio.gather(
            self._direct.measure(source, short, at),
            self._migrating(source, others, at.replace(microsecond=0)),
        )
        return {**read, **kept}

    async def look(self, source: MetricsSource) -> SourceHealth:
        """How a source stands."""
        return await self._asker.look(source)

    def is_overloaded(self, source: MetricsSource) -> bool:
        """Whether a source has said lately that it has too much to do."""
        return self._asker.is_overloaded(source)

    async def _migrating(
        self, source: MetricsSource, inquiries: Sequence[Inquiry], at: datetime
    ) -> dict[ObjectRef, Evidence]:
        """Of an SLO whose indicator has changed, the former one is measured as well."""
        former = self._migrations.former(source, inquiries)
        found = await self._from_ledgers(source, [*inquiries, *former], at)
        return self._migrations.settled(source, inquiries, found, self._clock.monotonic())

    async def _from_ledgers(
        self, source: MetricsSource, inquiries: Sequence[Inquiry], at: datetime
    ) -> dict[ObjectRef, Evidence]:
        if not inquiries:
            return {}
        planned = self.planned(source, inquiries, at)
        found = await self.read(source, planned, at)
        self._library.wake(source)
        return {
            one.inquiry.slo.ref: told
            if isinstance(told := found[one.account], Evidence)
            else evidence(
                one.plan, one.account.ledger, _by_look(told, one.plan), one.inquiry.onsets
            )
            for one in planned
        }

    def planned(
        self, source: MetricsSource, inquiries: Sequence[Inquiry], at: datetime
    ) -> list[Planned]:
        """How each inquiry is answered: from which ledger, and by which questions besides."""
        book, now = self._library.book(source), self._clock.monotonic()
        found = []
        for inquiry in inquiries:
            account = book.account(inquiry.slo, at, self._library.kept)
            account.used_at, account.is_hot = now, inquiry.hot
            made = plan(inquiry.slo, inquiry.looks, account.ledger, at, hot=inquiry.hot)
            found.append(Planned(inquiry, account, made))
        return found

    async def read(
        self, source: MetricsSource, planned: Sequence[Planned], at: datetime
    ) -> Mapping[Hashable, Counts | Evidence]:
        """What the ledgers lack, by account: one query, however many SLOs need it."""
        wanted: dict[Account, frozenset[Leg]] = {}
        for _, account, made in planned:
            asked = wanted.setdefault(account, made.legs.every)
            if asked is not made.legs.every:
                wanted[account] = asked | made.legs.every
        fresh = source.freshness
        questions = [
            Question(account, account.measure, asked, fresh, account.ledger.has_events)
            for account, asked in wanted.items()
        ]
        return await measured(self._asker, source, questions, at)


def _is_read_directly(slo: Slo, at: datetime) -> bool:
    """Slices of time are kept by ledgers alone, however short the window is."""
    return isinstance(slo.budgeting, Occurrences) and length(slo.window, at) < SHORTEST_OF_LEDGER


def _by_look(read: Counts, made: Plan) -> dict[Duration, EventCounts]:
    """Counts by look back; one without data is missing."""
    moment = made.at * 1_000
    return {
        burn_window: count
        for burn_window, leg in made.legs.by_look.items()
        if (count := read.at[leg].get(moment)) is not None
    }

"""An SLO whose indicator has changed: by which it is measured, and what is told meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.metrics_source import MetricsSource
from penstock.domain.quantities import Duration, Percentage
from penstock.domain.slo import Slo, Timeslices
from penstock.engine.budget.migration import Migrations, while_migrating
from penstock.engine.budget.source_ledgers import UNUSED_SECONDS
from penstock.engine.ports import EvidenceRequest
from support.decision_fixtures import reading
from support.indicators import ratio
from support.measuring import slo, source

SOURCE = source("http://prometheus:9090")
FIRST = slo("checkout", ratio("bad_total", "all_total"), window="30d")
SECOND = replace(FIRST, generation=2, indicator=ratio("worse_total", "all_total"))
THIRD = replace(FIRST, generation=3, indicator=ratio("worst_total", "all_total"))
KNOWN = Evidence(EvidenceKind.FRESH, reading=reading("0.5"))
YOUNG = Evidence(EvidenceKind.WARMING_UP, "Backfilling 37%", reading("0.9"), reading("0.8"))


class Told:
    """Rounds of one SLO."""

    def __init__(self) -> None:
        self.migrations = Migrations()

    def round(
        self,
        of: Slo,
        present: Evidence,
        former: Evidence = KNOWN,
        *,
        where: MetricsSource = SOURCE,
        now: float = 0.0,
    ) -> tuple[list[Slo], Evidence]:
        """By which former indicators it was measured besides, and what was told."""
        asked = [EvidenceRequest(of, frozenset())]
        besides = [request.slo for request in self.migrations.former(where, asked)]
        found = {of.ref: present} | {request.ref: former for request in besides}
        return besides, self.migrations.merge(where, asked, found, now)[of.ref]


def test_until_its_indicator_changes_an_slo_is_measured_once() -> None:
    told = Told()
    for generation in (1, 2):
        of = replace(FIRST, generation=generation)
        assert told.round(of, KNOWN) == ([], KNOWN)


def test_the_former_indicator_answers_until_the_new_one_can() -> None:
    told = Told()
    told.round(FIRST, KNOWN)
    for _ in range(2):
        (besides,), evidence = told.round(SECOND, YOUNG)
        assert (besides.indicator, besides.objective) == (FIRST.indicator, FIRST.objective)
        assert besides.ref != SECOND.ref
        assert (evidence.kind, evidence.reading) == (EvidenceKind.MIGRATING, KNOWN.reading)
        assert evidence.so_far == YOUNG.so_far
        assert "Backfilling 37%" in evidence.detail
    fresh = Evidence(EvidenceKind.FRESH, reading=reading("0.7"))
    assert told.round(SECOND, fresh)[1] == fresh
    assert told.round(SECOND, fresh) == ([], fresh)


def test_one_that_changes_again_meanwhile_is_answered_by_what_was_known() -> None:
    told = Told()
    told.round(FIRST, KNOWN)
    told.round(SECOND, YOUNG)
    (besides,), evidence = told.round(THIRD, YOUNG)
    assert besides.indicator == FIRST.indicator
    assert evidence.kind is EvidenceKind.MIGRATING
    back = replace(FIRST, generation=4)
    assert told.round(back, KNOWN) == ([], KNOWN)


@pytest.mark.parametrize(
    "kind",
    [EvidenceKind.REJECTED, EvidenceKind.ABSENT, EvidenceKind.STALE, EvidenceKind.UNREACHABLE],
)
def test_a_new_indicator_that_cannot_be_measured_is_reported_and_nothing_stands_in_for_it(
    kind,
) -> None:
    told = Told()
    told.round(FIRST, KNOWN)
    broken = Evidence(kind, "it is wrong")
    assert told.round(SECOND, broken)[1] == broken
    assert told.round(SECOND, YOUNG)[1].kind is EvidenceKind.MIGRATING


@pytest.mark.parametrize(
    "kind",
    [EvidenceKind.STALE, EvidenceKind.ABSENT, EvidenceKind.NO_TRAFFIC, EvidenceKind.WARMING_UP],
)
def test_a_former_indicator_that_is_of_no_use_any_more_answers_for_nothing(kind) -> None:
    told = Told()
    told.round(FIRST, KNOWN)
    assert told.round(SECOND, YOUNG, Evidence(kind, "gone", reading()))[1] == YOUNG


def test_of_both_that_with_less_left_is_shown() -> None:
    spent = replace(YOUNG, so_far=reading("-0.2"))
    evidence = while_migrating(KNOWN, spent)
    assert (evidence.reading, evidence.so_far) == (spent.so_far, KNOWN.reading)


def test_what_was_never_measured_whole_has_nothing_to_answer_by() -> None:
    told = Told()
    told.round(FIRST, YOUNG)
    assert told.round(SECOND, YOUNG) == ([], YOUNG)


def test_another_source_or_other_buckets_restart_in_any_case() -> None:
    told = Told()
    told.round(FIRST, KNOWN)
    elsewhere = source("http://elsewhere:9090")
    assert told.round(SECOND, YOUNG, where=elsewhere) == ([], YOUNG)
    finer = replace(SECOND, budgeting=Timeslices(Duration.parse("1m"), Percentage.parse("95%")))
    assert told.round(finer, YOUNG) == ([], YOUNG)


def test_what_nobody_asks_for_any_more_is_forgotten() -> None:
    told = Told()
    other = slo("other", ratio("x", "y"), window="30d")
    told.round(FIRST, KNOWN, now=UNUSED_SECONDS)
    for hours in (2, 3):
        told.round(other, KNOWN, now=hours * UNUSED_SECONDS)
    assert told.round(SECOND, YOUNG, now=3 * UNUSED_SECONDS) == ([], YOUNG)

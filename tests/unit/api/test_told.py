"""What an SLO's status said is read back: a restart neither writes it anew nor moves times."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from penstock.api.status_decoding import decode_slo_status
from penstock.api.status_encoding import encode_slo_status
from penstock.domain.evidence import EventCounts, Evidence, EvidenceKind, Reading
from penstock.domain.quantities import Duration, Objective
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import Occurrences, Slo
from penstock.domain.slo_status import slo_status
from penstock.domain.window import RollingWindow
from penstock.engine.status_policy import should_write_slo
from support.indicators import ratio

REF = ObjectRef("shop", "availability", "uid-1")
NOW = datetime(2026, 11, 24, 10, 0, 5, 250_000, tzinfo=UTC)
WINDOW = Duration.parse("30d")
OBJECTIVE = Objective.parse("99.9%")
INDICATOR = ratio("errors_total", "requests_total")
SLO = Slo(REF, 3, {}, "", OBJECTIVE, RollingWindow(WINDOW), Occurrences(), INDICATOR, None, 0)


def measured(bad: int) -> Evidence:
    whole = EventCounts(Decimal(bad), Decimal(1_000_000))
    return Evidence(EvidenceKind.FRESH, reading=Reading(NOW, OBJECTIVE, WINDOW, whole))


@pytest.mark.parametrize(
    "evidence", [measured(500), measured(1_500), Evidence(EvidenceKind.UNREACHABLE)]
)
def test_a_restart_finds_nothing_worth_writing_again(evidence: Evidence):
    written = slo_status(SLO, evidence, NOW, None)
    told = decode_slo_status(REF, encode_slo_status(written))
    assert told is not None
    assert told.conditions == written.conditions
    assert not should_write_slo(slo_status(SLO, evidence, NOW, told), told)


@pytest.mark.parametrize(
    "status",
    [
        None,
        {},
        {"state": "Healthy"},
        {"state": "Splendid", "evaluatedAt": "2026-11-24T10:00:00Z", "conditions": []},
        {"evaluatedAt": "yesterday", "state": "Healthy"},
        {"budget": 7},
    ],
)
def test_a_status_that_says_nothing_readable_is_written_again(status: dict[str, object] | None):
    assert decode_slo_status(REF, status) is None

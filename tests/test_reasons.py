"""Each reason is one that a test reaches with real parts around us, by its word or its kind."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from penstock.domain.evidence import REASONS
from penstock.domain.verdict import Reason

TESTS = Path(__file__).parent
ON_REAL_PARTS = ("integration", "faults", "contract/prometheus")
KINDS = {reason: f"Kind.{kind.name}" for kind, reason in REASONS.items()}


@cache
def sources() -> str:
    found = (path for folder in ON_REAL_PARTS for path in (TESTS / folder).rglob("test_*.py"))
    return "\n".join(path.read_text() for path in found)


@pytest.mark.parametrize("reason", Reason)
def test_a_test_on_real_parts_names(reason: Reason) -> None:
    words = [f'"{reason}"', *([KINDS[reason]] if reason in KINDS else [])]
    assert re.search(rf"({'|'.join(map(re.escape, words))})(?!\w)", sources()), (
        f"no test in {', '.join(ON_REAL_PARTS)} reaches {reason}"
    )

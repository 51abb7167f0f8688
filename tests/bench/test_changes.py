"""What changes cost, on a month of two days: nothing is read again."""

from __future__ import annotations

import pytest
from benchmarks.month.changes import of_changes
from benchmarks.month.data import Month
from benchmarks.month.served import Served

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("month")]


def test_no_change_reads_a_sample_again_and_a_bad_slo_costs_nobody_an_evaluation(
    month: Month, server: Served
) -> None:
    figures = of_changes(month, server)
    assert {one.name: one.ours for one in figures if not one.holds} == {}
    anew, cycle = figures[0].theirs, figures[1].theirs
    assert anew is not None
    assert cycle is not None
    assert anew > cycle > 0

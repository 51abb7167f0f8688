"""Ours on a month of two days: what it counts is what was scraped, to the event."""

from __future__ import annotations

import pytest
from benchmarks.month import promises
from benchmarks.month.bars import CRASHING
from benchmarks.month.data import Month
from benchmarks.month.ours import Ours
from benchmarks.month.served import Served

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("month")]
# A counter that began anew within a bucket is read by `increase`, which guesses; the past is read
# by the hour, so there it guesses more.
GUESSED, GUESSED_BY_THE_HOUR = 0.002, 0.01


@pytest.mark.parametrize("backfilled", [False, True])
def test_every_class_of_service_is_counted_to_the_event(
    month: Month, server: Served, backfilled: bool
) -> None:
    asked = promises.of_services(month)
    true = promises.truths(month, asked)
    found = Ours(backfilled=backfilled).evaluate(server, month, asked, month.end).readings
    for one in asked:
        reading, right = found[one.name], true[one.name]
        assert reading.bad is not None
        assert reading.total is not None
        pair = float(reading.bad), float(reading.total)
        if one.kind == CRASHING:
            guessed = GUESSED_BY_THE_HOUR if backfilled else GUESSED
            assert pair == pytest.approx(tuple(right), rel=guessed, abs=2), one.name
        else:
            assert pair == tuple(right), one.name

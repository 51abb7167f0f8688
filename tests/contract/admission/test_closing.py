"""How soon a gate that was written closed is closed, and one that was written open is open."""

from __future__ import annotations

import time

import pytest

from support.admission_fixture import Workload, closed, percentiles, until

pytestmark = pytest.mark.servers


def test_closing_and_opening_take_effect_at_once(
    checkout: Workload, capsys: pytest.CaptureFixture[str]
) -> None:
    """From before the write to the first answer of the other kind; printed and not judged."""
    figures: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(20):
        for admits in (False, True):
            begin = time.perf_counter()
            checkout.write_record(closed(checkout.name) | {"admits": admits})
            until(lambda admits=admits: checkout.refuses() is not admits)
            figures[admits].append(time.perf_counter() - begin)
    with capsys.disabled():
        print(f"\nclosing takes effect: {percentiles(figures[False])}")
        print(f"opening takes effect: {percentiles(figures[True])}")

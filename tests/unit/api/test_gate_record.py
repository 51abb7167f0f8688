"""The policy finds a record by its labels: they must say what its data says."""

from __future__ import annotations

import pytest

from penstock.api.gate_record import record_labels


def test_a_gate_that_admits_is_not_even_read_by_the_policy() -> None:
    assert record_labels({"admits": True, "admission": "Deny"}) == {}


@pytest.mark.parametrize("admission", ["Deny", "Warn"])
def test_a_closed_gate_is_labelled_with_what_happens_to_a_release(admission: str) -> None:
    labels = record_labels({"admits": False, "admission": admission})
    assert labels == {"penstock.dev/closed": admission}

"""Ends each test of tests/integration and tests/faults that tells a story by asking the oracle.

As a part of the test itself, not of a fixture: none can forget it, and what it finds is a failure
of the test that left things so.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from support.oracle import assert_all_is_well
from support.story import Story
from testbed.proxy import FaultProxy

FOLDERS = {Path(__file__).parents[1] / name for name in ("integration", "faults")}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    yield
    if item.path.parent not in FOLDERS:
        return
    given = getattr(item, "funcargs", {})
    proxy = given.get("proxy")
    recorder = proxy.recorder if isinstance(proxy, FaultProxy) else None
    for value in given.values():
        for story in value if isinstance(value, tuple) else (value,):
            if isinstance(story, Story):
                assert_all_is_well(story, recorder)

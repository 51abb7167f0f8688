"""The fixtures `bed`, `namespace`, `admin`, `kubectl` and `image`: testbed.plugin, support.engine.

At the end of each story the oracle is asked; see support.oracle_plugin. Several processes share the
tests as support.parallel says; support.minutes ends a run with the time that it took, by folder.
Hypothesis has no deadlines: a loaded machine of two cores is slow, not wrong.
"""

import pytest
from hypothesis import HealthCheck, settings

from support import draws

pytest_plugins = [
    "testbed.plugin",
    "support.oracle_plugin",
    "support.engine",
    "support.minutes",
    "support.parallel",
]

settings.register_profile(
    "drawn",
    settings.default,
    deadline=None,
    max_examples=draws.size(commit=50, full=200),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("drawn")


def pytest_report_header(config: pytest.Config) -> str:
    return f"draws: the size {draws.name()!r} (`make test-all` draws the full one)"

"""The fixtures `bed`, `namespace`, `admin`, `kubectl` and `image`: testbed.plugin, support.engine.

At the end of each story the oracle is asked; see support.at_the_end.
Hypothesis has no deadlines: a loaded machine of two cores is slow, not wrong.
"""

from hypothesis import HealthCheck, settings

pytest_plugins = ["testbed.plugin", "support.at_the_end", "support.engine"]

settings.register_profile(
    "unhurried", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")

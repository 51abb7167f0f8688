"""The seed of a benchmark: chosen and told when it begins, so that it can be measured again."""

from __future__ import annotations

import os
import random


def seed(of: str) -> int:
    """`SEED` of the environment, or another each time."""
    chosen = int(os.environ.get("SEED") or random.SystemRandom().randrange(1, 1_000_000))
    print(f"SEED={chosen} repeats {of}", flush=True)
    return chosen

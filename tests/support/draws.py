"""How much a run draws: a commit's size, or the full one of `make test-all`.

Drawn are examples of hypothesis, manifests with one mistake, moments of a kill, random histories
and the like. No test is left out in a commit's run; what is drawn there is smaller.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "PENSTOCK_DRAWS"
COMMIT, FULL = "commit", "full"


def name() -> str:
    """The size of this run: `commit`, unless the environment says `full`."""
    chosen = os.environ.get(VARIABLE) or COMMIT
    if chosen not in (COMMIT, FULL):
        raise ValueError(f"{VARIABLE}={chosen} is neither {COMMIT!r} nor {FULL!r}")
    return chosen


def is_full() -> bool:
    """Whether this run draws as much as `make test-all` does."""
    return name() == FULL


def size(*, commit: int, full: int) -> int:
    """The number to draw in this run."""
    return full if is_full() else commit


def seed(usual: int | None = None) -> int:
    """The seed that SEED names, else the usual one, else a random one; printed in any case."""
    named = os.environ.get("SEED")
    fallback = random.SystemRandom().randrange(10**6) if usual is None else usual
    chosen = int(named) if named else fallback
    print(f"SEED={chosen}")
    return chosen

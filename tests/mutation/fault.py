"""What a planted fault is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A mistake as people make it: a flipped comparison, a forgotten condition or call.

    Attributes:
        behaviour: what does not hold any more, as a sentence.
        file: below ``operator/penstock``.
        code: what is in this file, exactly once.
        planted: what is there instead.
        caught_by: the pytest node id of the test that must fail.
    """

    behaviour: str
    file: str
    code: str
    planted: str
    caught_by: str

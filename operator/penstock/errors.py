"""Our exceptions.

PenstockError
└── SpecInvalid    a manifest says something that we cannot act on; names the field and the remedy
"""

from __future__ import annotations


class PenstockError(Exception):
    """Any failure that Penstock itself names."""


class SpecInvalid(PenstockError):  # noqa: N818 - the name is the condition's reason too
    """A manifest that cannot be acted on.

    Attributes:
        path: the field, as ``spec.window.rolling`` or ``spec.slos[2].name``.
        problem: one sentence with what is wrong and what to write instead.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem

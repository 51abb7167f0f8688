"""Our exceptions.

PenstockError
├── SpecInvalid        a manifest says something that we cannot act on; field and remedy
└── ClusterError       the API server did not do what was asked
    ├── Conflict       somebody else was quicker, or owns the field; read again
    ├── NotFound       there is no such object, or not of this uid any more
    ├── Forbidden      a permission is missing; names verb and resource
    ├── Throttled      too many requests; says when to come back
    ├── InvalidRequest the server rejects the request: correct it, do not repeat it
    └── Unavailable    no answer, or an answer that says "later"
"""

from __future__ import annotations


class PenstockError(Exception):
    """Any failure that Penstock itself names."""


class SpecInvalid(PenstockError):
    """A manifest that cannot be acted on.

    Attributes:
        path: the field, as ``spec.window.rolling`` or ``spec.slos[2].name``.
        problem: one sentence with what is wrong and what to write instead.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class ClusterError(PenstockError):
    """The API server did not do what was asked."""


class Conflict(ClusterError):
    """Somebody else was quicker, or owns the field.

    Attributes:
        managers: who owns the fields in question, where the server says it.
    """

    def __init__(self, message: str, managers: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.managers = managers


class NotFound(ClusterError):
    """The object, or this uid of it, is no more."""


class Forbidden(ClusterError):
    """A permission is missing."""


class Throttled(ClusterError):
    """Too many requests.

    Attributes:
        retry_after: seconds until it may be tried again.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class InvalidRequest(ClusterError):
    """The server rejects the request itself; repeating it does not help."""


class Unavailable(ClusterError):
    """No answer, or one that says "later"."""


class KindNotServed(Unavailable):
    """The API server knows no such kind: its CRD is not installed, or not yet."""

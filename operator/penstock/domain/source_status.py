"""The content of a source's status: whether it answers, and if not, what to fix."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from penstock.domain.refs import ObjectRef
from penstock.domain.rollout_state import Condition, Truth
from penstock.domain.slo import SourceKind

READY = "Ready"


class SourceReason(StrEnum):
    """Why a source is ready or not; a gate uses the same word for the same cause."""

    CONNECTED = "Connected"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason
    SECRET_FORBIDDEN = "SecretForbidden"  # noqa: S105
    SECRET_INVALID = "SecretInvalid"  # noqa: S105
    UNAUTHORIZED = "Unauthorized"
    UNREACHABLE = "MetricsUnreachable"
    MALFORMED = "Malformed"
    PARTIAL = "PartialResponse"
    CLOCK_SKEW = "ClockSkew"
    INVALID = "SpecInvalid"


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """The health of a source when it was last queried.

    Attributes:
        detail: what is wrong and what to do, redacted; for people.
        answered_at: when it last answered; None if it never has in this process.
    """

    reason: SourceReason
    detail: str = ""
    answered_at: datetime | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether it answers."""
        return self.reason is SourceReason.CONNECTED


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """All that one source's status says.

    Attributes:
        reported_at: when this was found, or read back: its heartbeat counts from there.
    """

    kind: SourceKind
    ref: ObjectRef
    generation: int
    ready: Condition
    answered_at: datetime | None
    reported_at: datetime


def source_status(
    kind: SourceKind,
    ref: ObjectRef,
    generation: int,
    health: SourceHealth,
    now: datetime,
    before: SourceStatus | None,
) -> SourceStatus:
    """The content of a source's status after one probe.

    The transition time moves only when Ready does; a namesake's past does not count.
    """
    former = before.ready if before is not None and before.ref == ref else None
    truth: Truth = "True" if health.is_healthy else "False"
    since = former.since if former is not None and former.status == truth else now
    message = health.detail or "it answers, and its clock agrees with Penstock's"
    answered = health.answered_at or (before.answered_at if before and former else None)
    ready = Condition(READY, truth, health.reason, message, since)
    return SourceStatus(kind, ref, generation, ready, answered, now)

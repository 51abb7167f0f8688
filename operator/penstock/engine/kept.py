"""What the keeper knows of one Rollout between rounds."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.domain.rollout import Rollout
from penstock.domain.standing import Record, Standing
from penstock.domain.verdict import GateState
from penstock.domain.workload import Observation


@dataclass(slots=True)
class Kept:
    """One Rollout; times without a zone are seconds on the monotonic clock.

    Attributes:
        since: when it was met, or its author changed it last.
        told: the standing as written to the status.
        recorded: the record as written, with the gate's reason in place of the sentence.
        forbidden: what the API server forbade last, as an Event has told.
        not_before: until then no act is tried again, as the API server has refused the last one.
    """

    rollout: Rollout
    standing: Standing
    since: float
    told: Standing | None = None
    recorded: Record | None = None
    seen: Observation | None = None
    seen_at: float = 0.0
    failures: int = 0
    forbidden: str = ""
    not_before: float = 0.0

    @property
    def is_under_way(self) -> bool:
        """Whether there is a release, or a hold in force."""
        return self.standing.release is not None or self.standing.hold.active

    @property
    def is_shut(self) -> bool:
        """Whether its gate is not open."""
        gate = self.standing.gate
        return gate is not None and gate.state is not GateState.OPEN

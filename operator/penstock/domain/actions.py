"""What a gate decision asks for, as data.

The gate machine returns actions in the order in which they must be carried out; the engine carries
them out and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.domain.rollout_state import GateRecord


@dataclass(frozen=True, slots=True)
class WriteGateRecord:
    """Write what the admission policy reads.

    Attributes:
        decision: state and reason of the gate. The sentence in the record has numbers that move;
            they alone are not worth a write.
    """

    record: GateRecord
    decision: str


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """Write the Rollout's status before anything that follows is done."""


@dataclass(frozen=True, slots=True)
class HoldWorkload:
    """Hold the workload that was observed, under this field manager.

    Attributes:
        keep: the hold outlives its Rollout.
    """

    manager: str
    keep: bool


@dataclass(frozen=True, slots=True)
class ReleaseWorkload:
    """Take our own hold off the workload that was observed."""


WorkloadAction = HoldWorkload | ReleaseWorkload
Action = WriteGateRecord | WriteStatus | WorkloadAction

"""The input of a decision and its result: plain values that carry their evidence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from penstock.domain.effective_policy import EffectivePolicy
from penstock.domain.evidence import Evidence
from penstock.domain.memory import Memory
from penstock.domain.verdict import GateState, Reason, Verdict


class DecisionPoint(StrEnum):
    """Two separate questions: an answer to one must not answer the other."""

    START = "Start"
    CONTINUE = "GoOn"


class ReleaseOrigin(StrEnum):
    """How the release in progress started."""

    ADMITTED = "Admitted"
    WHILE_CLOSED = "WhileClosed"
    RECREATED = "Recreated"


@dataclass(frozen=True, slots=True)
class SloEvidence:
    """One SLO of a Rollout: its evidence, and the policy that applies to it.

    ``policy`` is None if the SLO itself is missing or invalid.
    """

    name: str
    evidence: Evidence
    policy: EffectivePolicy | None


@dataclass(frozen=True, slots=True)
class ReleaseInput:
    """The release in progress.

    Attributes:
        id: hash of the template that is being released.
        returns: it is a return to a stable template.
        first: nothing was ever complete under this name.
        origin: how it came to start.
        resumed_by_person: a person has resumed it, and the Rollout respects that.
        held: our hold on it is in force.
    """

    id: str
    returns: bool = False
    first: bool = False
    origin: ReleaseOrigin = ReleaseOrigin.ADMITTED
    resumed_by_person: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True)
class DecisionInput:
    """Everything that a decision rests on.

    Attributes:
        slos: all SLOs that the Rollout names or selects; never empty (one that is missing is here
            with evidence that says so).
        memory: what the gate remembers, with this instant already noticed.
        person: the reason of a person's own hold; None without one.
        release: the release in progress, if any.
        now: the instant of the decision.
        named: the SLO that the gate's sentence names so far; empty if none.
    """

    slos: tuple[SloEvidence, ...]
    memory: Memory
    person: str | None
    release: ReleaseInput | None
    now: datetime
    named: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer: verdict, reason, effect, and the SLO and evidence that it is based on.

    ``proceeds`` is the effect: for Unknown the policy decides it.
    """

    point: DecisionPoint
    verdict: Verdict
    reason: Reason
    proceeds: bool
    slo: SloEvidence | None = None

    @property
    def state(self) -> GateState:
        """The state of the gate by this answer."""
        if self.proceeds:
            return GateState.OPEN
        return GateState.CLOSED if self.verdict is Verdict.HOLD else GateState.UNKNOWN


@dataclass(frozen=True, slots=True)
class Decisions:
    """Both answers of one instant; ``release`` is None when none is in progress."""

    gate: Decision
    release: Decision | None

"""When a decision changes although nothing else does: calm is complete, a keepLast ends.

Without these moments an expiry would wait for the next evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from penstock.domain.decide import unknown_rule
from penstock.domain.decision import DecisionInput
from penstock.domain.evidence import EvidenceGrade
from penstock.domain.quantities import Duration
from penstock.domain.rollout_state import RolloutState

LOSSES_REMEMBERED = timedelta(minutes=10)
SECOND_TRY_AFTER = timedelta(seconds=30)


def look_again_at(state: RolloutState, facts: DecisionInput, calm: Duration) -> datetime | None:
    """The first moment after ``facts.now`` at which the same input leads to another decision.

    Args:
        state: the Rollout's state after the decision.
        facts: the input of the decision.
        calm: how long a template has to run while the gate is open to become stable.
    """
    moments = (
        *_calm_ends(state),
        *_last_verdict_ends(state, facts),
        *_hold_is_tried_again(state),
        *_template_is_proven(state, calm),
    )
    return min((moment for moment in moments if moment > facts.now), default=None)


def _calm_ends(state: RolloutState) -> Iterator[datetime]:
    memory = state.memory
    if memory.held_for is not None and memory.calm_since is not None:
        yield memory.calm_since + _delta(memory.calm_required)


def _last_verdict_ends(state: RolloutState, facts: DecisionInput) -> Iterator[datetime]:
    since = state.memory.unknown_since
    for slo in facts.slos:
        if since is not None and slo.evidence.grade is not EvidenceGrade.FRESH:
            yield since + _delta(unknown_rule(slo).keep_last)


def _hold_is_tried_again(state: RolloutState) -> Iterator[datetime]:
    losses = state.hold.lost_at
    if len(losses) > 1 and not state.hold.active:
        yield losses[-1] + SECOND_TRY_AFTER
        yield losses[-2] + LOSSES_REMEMBERED


def _template_is_proven(state: RolloutState, calm: Duration) -> Iterator[datetime]:
    if state.proving_since is not None:
        yield state.proving_since + _delta(calm)


def _delta(duration: Duration) -> timedelta:
    return timedelta(milliseconds=duration.milliseconds)

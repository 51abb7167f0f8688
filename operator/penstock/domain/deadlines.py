"""When a decision changes though nothing else does: a calm has lasted, a last verdict runs out.

Without these moments an expiry would wait for the next evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from penstock.domain.case import Case
from penstock.domain.decide import unknown_rule
from penstock.domain.evidence import Grade
from penstock.domain.quantities import Duration
from penstock.domain.standing import Standing

LOSSES_REMEMBERED = timedelta(minutes=10)
SECOND_TRY_AFTER = timedelta(seconds=30)


def look_again_at(standing: Standing, case: Case, calm: Duration) -> datetime | None:
    """The first moment after ``case.now`` at which the same input is decided otherwise.

    Args:
        standing: where the Rollout stands after the decision.
        case: what was decided on.
        calm: how long a template has to run behind an open gate to be stable.
    """
    moments = (
        *_calm_ends(standing),
        *_last_verdict_ends(standing, case),
        *_hold_is_tried_again(standing),
        *_template_is_proven(standing, calm),
    )
    return min((moment for moment in moments if moment > case.now), default=None)


def _calm_ends(standing: Standing) -> Iterator[datetime]:
    memory = standing.memory
    if memory.held_for is not None and memory.calm_since is not None:
        yield memory.calm_since + _delta(memory.calm_required)


def _last_verdict_ends(standing: Standing, case: Case) -> Iterator[datetime]:
    since = standing.memory.unknown_since
    for slo in case.slos:
        if since is not None and slo.evidence.grade is not Grade.FRESH:
            yield since + _delta(unknown_rule(slo).keep_last)


def _hold_is_tried_again(standing: Standing) -> Iterator[datetime]:
    losses = standing.hold.lost_at
    if len(losses) > 1 and not standing.hold.active:
        yield losses[-1] + SECOND_TRY_AFTER
        yield losses[-2] + LOSSES_REMEMBERED


def _template_is_proven(standing: Standing, calm: Duration) -> Iterator[datetime]:
    if standing.proving_since is not None:
        yield standing.proving_since + _delta(calm)


def _delta(duration: Duration) -> timedelta:
    return timedelta(milliseconds=duration.milliseconds)

"""Detects that somebody else resumed what Penstock held, and which writer repeats it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from penstock.domain.deadlines import LOSSES_REMEMBERED
from penstock.domain.rollout import OnExternalResume, Rollout
from penstock.domain.rollout_state import Hold, RolloutState
from penstock.domain.workload import WorkloadState

# Three losses within ten minutes: a machine is doing it, and we do not fight machines.
LOSSES_TO_CONTEST = 3


def detect_external_resume(
    rollout: Rollout,
    before: RolloutState,
    state: RolloutState,
    workload: WorkloadState,
    now: datetime,
) -> RolloutState:
    """We held it, it is not held, and we did not release it: somebody else did.

    One who resumes what we held is respected; one who put something else in its place is not.
    """
    hold = state.hold
    if not hold.active or workload.held_by_us or not workload.exists:
        return state
    if before.workload is not None and before.workload.uid != workload.uid:
        return replace(state, hold=Hold())
    lost_at = (*recent_losses(hold.lost_at, now), now)
    contested = hold.contested_by
    if len(lost_at) >= LOSSES_TO_CONTEST:
        contested = workload.pinned_by or "an unknown writer"
    state = replace(
        state,
        hold=replace(hold, active=False, since=None, lost_at=lost_at, contested_by=contested),
    )
    held, release = before.release, state.release
    if is_respected(rollout) and held is not None and release is not None and held.id == release.id:
        resumed = release.resumed_at or now
        return replace(state, release=replace(release, resumed_at=resumed))
    return state


def is_respected(rollout: Rollout) -> bool:
    """Whether this Rollout obeys a person who resumes what it holds."""
    return rollout.on_external_resume is OnExternalResume.RESPECT


def recent_losses(moments: tuple[datetime, ...], now: datetime) -> tuple[datetime, ...]:
    """Those that still count when a writer is suspected of undoing the hold."""
    return tuple(at for at in moments if now - at < LOSSES_REMEMBERED)

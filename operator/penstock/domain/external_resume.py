"""Detects that somebody else resumed what Penstock held, and who keeps doing so."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from penstock.domain.deadlines import LOSSES_REMEMBERED
from penstock.domain.rollout import OnExternalResume, Rollout
from penstock.domain.standing import Hold, Standing
from penstock.domain.workload import Observation

# Three losses within ten minutes: a machine is doing it, and we do not fight machines.
LOSSES_TO_CONTEST = 3


def detect_external_resume(
    rollout: Rollout, before: Standing, standing: Standing, seen: Observation, now: datetime
) -> Standing:
    """We held it, it is not held, and we did not release it: somebody else did.

    One who resumes what we held is respected; one who put something else in its place is not.
    """
    hold = standing.hold
    if not hold.active or seen.ours or not seen.exists:
        return standing
    if before.workload is not None and before.workload.uid != seen.uid:
        return replace(standing, hold=Hold())
    lost_at = (*recent_losses(hold.lost_at, now), now)
    contested = hold.contested_by
    if len(lost_at) >= LOSSES_TO_CONTEST:
        contested = seen.pinned_by or "an unknown writer"
    standing = replace(
        standing,
        hold=replace(hold, active=False, since=None, lost_at=lost_at, contested_by=contested),
    )
    held, release = before.release, standing.release
    if is_respected(rollout) and held is not None and release is not None and held.id == release.id:
        resumed = release.resumed_at or now
        return replace(standing, release=replace(release, resumed_at=resumed))
    return standing


def is_respected(rollout: Rollout) -> bool:
    """Whether this Rollout obeys a person who resumes what it holds."""
    return rollout.on_external_resume is OnExternalResume.RESPECT


def recent_losses(moments: tuple[datetime, ...], now: datetime) -> tuple[datetime, ...]:
    """Those that still count when a writer is suspected of undoing the hold."""
    return tuple(at for at in moments if now - at < LOSSES_REMEMBERED)

"""What each Rollout is doing, as far as evaluations depend on it; its reconciler writes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from penstock.engine.object_cache import Key


@dataclass(frozen=True, slots=True)
class ActiveRelease:
    """What one Rollout is doing.

    Attributes:
        uid: the Rollout's uid; a hold names its owner by it.
        is_under_way: a release is in progress, or a hold is active.
        is_closed: the gate is not open.
        started_at: when the release in progress began; None without one.
    """

    uid: str
    is_under_way: bool = False
    is_closed: bool = False
    started_at: datetime | None = None


class ActiveReleases:
    """All reconciled Rollouts, including those whose deletion is still being handled."""

    def __init__(self) -> None:
        self._known: dict[Key, ActiveRelease] = {}

    def get(self, rollout: Key) -> ActiveRelease | None:
        """What one Rollout is doing."""
        return self._known.get(rollout)

    def put(self, rollout: Key, release: ActiveRelease) -> None:
        """Store what one Rollout is doing."""
        self._known[rollout] = release

    def forget(self, rollout: Key) -> None:
        """Remove a Rollout that is gone and whose hold is released."""
        self._known.pop(rollout, None)

    def owners(self) -> frozenset[str]:
        """Uids of all Rollouts."""
        return frozenset(release.uid for release in self._known.values())

    def are_hot(self, rollouts: Iterable[Key], *, overloaded: bool) -> bool:
        """Whether the SLOs of these Rollouts are evaluated at the hot interval.

        A closed gate alone does not count while the source is overloaded: otherwise the load would
        rise with the number of gates that the load itself has closed.
        """
        known = (self._known.get(key) for key in rollouts)
        return any(it and (it.is_under_way or (it.is_closed and not overloaded)) for it in known)

    def starts(self, rollouts: Iterable[Key]) -> frozenset[datetime]:
        """When the releases in progress of these Rollouts began."""
        known = (self._known.get(key) for key in rollouts)
        return frozenset(it.started_at for it in known if it and it.started_at is not None)

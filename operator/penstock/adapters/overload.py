"""Whether a source has said lately that it has too much to do, so that it is asked less often.

One answer is enough to begin it; only a while of good ones ends it, because a source that bears one
question does not bear all of them yet.
"""

from __future__ import annotations

WELL_SECONDS = 60.0


class Overload:
    """Begun by a complaint (429, 503), over when good answers have come for ``WELL_SECONDS``."""

    def __init__(self) -> None:
        self._is_told = False
        self._well_since: float | None = None

    def told(self) -> None:
        """The source has complained."""
        self._is_told, self._well_since = True, None

    def answered(self, now: float) -> None:
        """It answered well, at this time of the monotonic clock."""
        if self._well_since is None:
            self._well_since = now

    def lasts(self, now: float) -> bool:
        """Whether it is still to be spared."""
        is_well = self._well_since is not None and now - self._well_since >= WELL_SECONDS
        return self._is_told and not is_well

"""What a gate remembers between decisions; it lives in the Rollout's status and nowhere else.

A restarted operator reads it back and continues: ``parse(print(memory)) == memory``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from penstock.domain.evidence import EvidenceGrade
from penstock.domain.quantities import Duration
from penstock.domain.verdict import Reason, Verdict

# Each new hold within this time doubles the calm that ends it, up to the same length.
HOLDS_REMEMBERED = timedelta(hours=2)
HELD_BY_KEPT = 32
NO_TIME = Duration.of_seconds(0)
LONGEST_CALM = Duration.parse("2h")


class HoldCause(StrEnum):
    """What an active hold is for: a budget hold also waits for budget to come back."""

    BUDGET = "Budget"
    BURN = "Burn"


HOLD_CAUSES = {
    Reason.BUDGET_EXHAUSTED: HoldCause.BUDGET,
    Reason.BUDGET_LOW: HoldCause.BUDGET,
    Reason.BURNING_FAST: HoldCause.BURN,
    Reason.BURNING_SLOW: HoldCause.BURN,
}


@dataclass(frozen=True, slots=True)
class Memory:
    """What one gate remembers.

    Attributes:
        serial: counts changes of the decision.
        held_for: what the active hold is for; None without one. A person's hold does not count.
        held_by: names of the SLOs that caused it, sorted; empty during a hold: all of them.
        calm_since: since when all SLOs have been calm, during a hold.
        calm_required: how long they must be calm.
        recent_holds: when holds of the last two hours began, oldest first.
        unknown: how evidence is missing, thin or an outage; None while it is not.
        unknown_since: since when evidence is missing like that.
        last_known: the verdict before that.
    """

    serial: int = 0
    held_for: HoldCause | None = None
    held_by: tuple[str, ...] = ()
    calm_since: datetime | None = None
    calm_required: Duration = NO_TIME
    recent_holds: tuple[datetime, ...] = ()
    unknown: EvidenceGrade | None = None
    unknown_since: datetime | None = None
    last_known: Verdict | None = None

    def is_calm_long_enough(self, now: datetime) -> bool:
        """Whether calm has lasted long enough for the active hold."""
        return self.calm_since is not None and now - self.calm_since >= timedelta(
            milliseconds=self.calm_required.milliseconds
        )

    def excludes(self, slo: str) -> bool:
        """Whether the active hold is for other SLOs: this one is known never to have crossed."""
        return bool(self.held_by) and slo not in self.held_by

    def observe(self, *, calm: bool, grade: EvidenceGrade, now: datetime) -> Memory:
        """The memory with what this instant shows, before anything is decided.

        Nothing began later than now: a clock that was set back must not keep a verdict for long.
        """
        unknown = None if grade is EvidenceGrade.FRESH else grade
        since = self.unknown_since if unknown is self.unknown else None
        return replace(
            self,
            calm_since=min(self.calm_since or now, now) if self.held_for and calm else None,
            unknown=unknown,
            unknown_since=min(since or now, now) if unknown else None,
        )

    def after_decision(
        self,
        verdict: Verdict,
        reason: Reason,
        calm: Duration,
        now: datetime,
        by: Collection[str] = (),
    ) -> Memory:
        """The memory after a decision; ``by`` names the SLOs that cross a threshold now.

        A hold that is already in force keeps its calm time; one that now lacks budget as well waits
        for budget too.
        """
        cause = HOLD_CAUSES.get(reason)
        known = self.last_known if verdict is Verdict.UNKNOWN else verdict
        if cause is not None:
            return replace(self._held(cause, calm, now, by), last_known=known, calm_since=None)
        settled = replace(self, last_known=known)
        return settled.after_recovery(now) if verdict is Verdict.PERMIT else settled

    def after_recovery(self, now: datetime) -> Memory:
        """The memory once no hold is active: the next one is a new hold."""
        return replace(
            self, held_for=None, held_by=(), calm_since=None, recent_holds=self._recent(now)
        )

    def _held(self, cause: HoldCause, calm: Duration, now: datetime, by: Collection[str]) -> Memory:
        if self.held_for is not None:
            both = {self.held_for, cause}
            return replace(
                self,
                held_for=HoldCause.BUDGET if HoldCause.BUDGET in both else cause,
                held_by=_named({*self.held_by, *by}) if self.held_by else (),
            )
        recent = self._recent(now)
        required = min(calm.milliseconds << len(recent), max(calm, LONGEST_CALM).milliseconds)
        return replace(
            self,
            held_for=cause,
            held_by=_named(by),
            calm_required=Duration(required),
            recent_holds=(*recent, now),
        )

    def _recent(self, now: datetime) -> tuple[datetime, ...]:
        return tuple(at for at in self.recent_holds if now - at < HOLDS_REMEMBERED)[-16:]


def _named(slos: Collection[str]) -> tuple[str, ...]:
    """Sorted; of more than a status can bear none, which stands for all."""
    return tuple(sorted(slos)) if len(slos) <= HELD_BY_KEPT else ()

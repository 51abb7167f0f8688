"""Judges one SLO at a time: does it cross a threshold, is it calm, which of several is worst."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from penstock.domain.budget import NOTABLE
from penstock.domain.case import Judged, Question
from penstock.domain.evidence import Evidence, Grade, Kind, Reading
from penstock.domain.guard import (
    CALM_LONG_BELOW,
    CALM_SHORT_BELOW,
    ActivePair,
    Guard,
)
from penstock.domain.quantities import Duration
from penstock.domain.verdict import Reason

_SEVERITY = {
    Reason.BUDGET_EXHAUSTED: 0,
    Reason.BURNING_FAST: 1,
    Reason.BURNING_SLOW: 2,
    Reason.BUDGET_LOW: 3,
}
_NO_SHARE = Decimal("Infinity")


def apart(judged: Judged) -> tuple[Judged, ...]:
    """While an indicator is replaced, the former one and the new one count as two SLOs would."""
    evidence = judged.evidence
    if evidence.kind is not Kind.MIGRATING or evidence.so_far is None:
        return (judged,)
    readings = (evidence.reading, evidence.so_far)
    return tuple(
        replace(judged, evidence=replace(evidence, reading=one, so_far=None)) for one in readings
    )


def admissible(judged: Judged) -> Judged:
    """The same SLO, its evidence replaced where the policy that applies cannot use it.

    A look back that was not read would otherwise compare as quiet.
    """
    evidence, guard = judged.evidence, judged.guard
    if guard is None or evidence.reading is None:
        return judged
    if guard.refused:
        names = ", ".join(f"{pair.long}/{pair.short} at {pair.factor}" for pair in guard.refused)
        detail = (
            f"spec.policy.burn: {names} can never fire at an objective of "
            f"{evidence.reading.objective}; lower the factor"
        )
        return replace(judged, evidence=Evidence(Kind.POLICY_INVALID, detail))
    unread = sorted(look for look in guard.looks if evidence.reading.events(look) is None)
    if unread:
        detail = f"no data for the last {', '.join(map(str, unread))}"
        return replace(judged, evidence=Evidence(Kind.ABSENT, detail))
    return judged


def crossing(judged: Judged, question: Question) -> Reason | None:
    """Why this SLO holds a release, or None: budget first, then burn pairs from the fastest on."""
    reading, guard = judged.evidence.reading, judged.guard
    if reading is None or guard is None or judged.evidence.grade is Grade.OUTAGE:
        return None
    if judged.evidence.grade is Grade.FRESH:
        lacking = _lacking_budget(reading, guard, question)
        if lacking is not None:
            return lacking
    hot = hottest(reading, guard)
    if hot is None:
        return None
    return Reason.BURNING_FAST if hot is guard.pairs[0] else Reason.BURNING_SLOW


def hottest(reading: Reading, guard: Guard) -> ActivePair | None:
    """The fastest burn pair that is hot."""
    return next((pair for pair in guard.pairs if _hot(reading, pair)), None)


def _lacking_budget(reading: Reading, guard: Guard, question: Question) -> Reason | None:
    remaining = reading.remaining
    if remaining is None:
        return None
    starting = question is Question.START
    if remaining.value > (guard.start_hold_at if starting else guard.in_flight_hold_at):
        return None
    if not starting and _burn(reading, guard.errors_look) <= guard.while_burn_above:
        return None
    return Reason.BUDGET_EXHAUSTED if remaining.value <= 0 else Reason.BUDGET_LOW


def _hot(reading: Reading, pair: ActivePair) -> bool:
    bad = reading.bad_events(pair.long)
    return (
        reading.events(pair.long) is not None
        and (bad is None or bad >= pair.minimum_bad_events)
        and _burn(reading, pair.long) > pair.factor
        and _burn(reading, pair.short) > pair.factor
    )


def quiet(judged: Judged) -> bool:
    """Whether errors have calmed down, read from events: silence is not calm."""
    reading, guard = judged.evidence.reading, judged.guard
    if reading is None or guard is None or judged.evidence.grade is Grade.OUTAGE:
        return False
    short, long = guard.calm_looks
    happened = reading.events(long)
    return (
        happened is not None
        and happened.total > 0
        and _burn(reading, short) < CALM_SHORT_BELOW
        and _burn(reading, long) < CALM_LONG_BELOW
    )


def silent(judged: Judged) -> bool:
    """Whether it was read that nothing happened lately, so that there is no calm to wait for."""
    reading, guard = judged.evidence.reading, judged.guard
    if reading is None or guard is None or judged.evidence.grade is Grade.OUTAGE:
        return False
    happened = reading.events(guard.calm_looks[1])
    return happened is not None and happened.total <= 0


def short_of_margin(judged: Judged) -> bool:
    """Whether less than the threshold and its margin is left, so that a budget hold continues.

    Of thin evidence the budget says nothing, so it shows no margin.
    """
    guard, share = judged.guard, share_left(judged)
    if guard is None or share is None or judged.evidence.grade is not Grade.FRESH:
        return True
    return share < min(guard.start_hold_at + guard.margin, Decimal(1))


def share_left(judged: Judged) -> Decimal | None:
    """Share of the budget that is left, where the evidence has one."""
    reading = judged.evidence.reading
    remaining = reading.remaining if reading else None
    return remaining.value if remaining else None


def worst(candidates: Iterable[tuple[Judged, Reason]], named: str) -> tuple[Judged, Reason] | None:
    """The one that a sentence names: by severity, then the least budget, then the name.

    The one that is ``named`` already stays so until another has half a point less, because equals
    would take turns for ever: 90.1% gives way to 89.5%, not to 89.8%.
    """
    found = sorted(candidates, key=_badness)
    kept = (one for one in found if one[0].name == named and _is_as_bad(one, found[0]))
    return next(kept, found[0] if found else None)


def _is_as_bad(one: tuple[Judged, Reason], first: tuple[Judged, Reason]) -> bool:
    (severity, share, _), (highest, least, _) = _badness(one), _badness(first)
    return severity == highest and share <= least + NOTABLE


def _badness(candidate: tuple[Judged, Reason]) -> tuple[int, Decimal, str]:
    judged, reason = candidate
    share = share_left(judged)
    return _SEVERITY.get(reason, 9), _NO_SHARE if share is None else share, judged.name


def _burn(reading: Reading, look: Duration) -> Decimal:
    """A burn rate that ``admissible`` has seen to be there."""
    burn = reading.burn(look)
    if burn is None:
        raise LookupError(f"the look back of {look} was not read")
    return burn.value

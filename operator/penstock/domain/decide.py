"""Decides whether a new release may start, and whether the release in progress may continue.

THE GATE: may a new release start? The first row that applies.

  row  when                                                     verdict  reason            starts
  G1   a person's hold                                          Hold     HeldByPerson      no
  G2   an SLO has no more budget left than start.holdAt,        Hold     BudgetExhausted   no
       or a burn pair fires; of several SLOs the worst                   BudgetLow
                                                                         BurningFast/Slow
  G3   an SLO's evidence is missing: no for keepLast (outage)   Unknown  by its kind       policy
       or as before (thin), then as policy.unknown says
  G4   a hold is active and calm has not lasted long enough,    Hold     Recovering        no
       or, for a budget hold, less than holdAt + margin is left
  G5   otherwise                                                Permit   BudgetHealthy     yes

THE RELEASE IN PROGRESS: may it continue? The first row that applies.

  row  when                                                     verdict  reason            continues
  R1   it returns to a stable template                          Permit   RollbackPermitted yes
  R2   nothing has ever completed under this name               Permit   FirstRelease-     yes
                                                                         Permitted
  R3   a person resumed it, and that is respected               Permit   OverrideActive    yes
  R4   a person's hold                                          Hold     HeldByPerson      no
  R5   it started while the gate was closed, or ungated, and    Hold     AdmittedWhile-    no
       no new release may start yet                                      Closed,
                                                                         ReleasedUngated
  R6   an SLO has no more budget left than inFlight.holdAt      Hold     as G2             no
       while errors continue, or a burn pair fires
  R7   an SLO's evidence is missing: as before for keepLast,    Unknown  by its kind       policy
       then as policy.unknown says
  R8   it is held, and G4 applies                               Hold     Recovering        no
  R9   otherwise                                                Permit   BudgetHealthy     yes

Unknown never ends a hold. While a hold is active the policy counts as "no", unless the data of
every SLO that caused the hold shows that G4 no longer applies. An SLO that did not cause the hold
need not be calm while it has no events, nor have the margin while its evidence is thin. If several
SLOs lack evidence, each of them must let the release pass. Nothing here ever aborts a release.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from penstock.domain.decision import (
    Decision,
    DecisionInput,
    DecisionPoint,
    Decisions,
    ReleaseOrigin,
    SloEvidence,
)
from penstock.domain.effective_policy import OUTAGE, UnknownRule
from penstock.domain.evidence import EvidenceGrade
from penstock.domain.memory import HoldCause, Memory
from penstock.domain.policy import UnknownThen
from penstock.domain.quantities import Duration
from penstock.domain.thresholds import (
    breach_reason,
    has_no_traffic,
    is_below_margin,
    is_calm,
    split_migration,
    with_usable_evidence,
    worst,
)
from penstock.domain.verdict import Reason, Verdict

Rule = Callable[[DecisionInput], Decision | None]

_GRAVITY = (EvidenceGrade.FRESH, EvidenceGrade.THIN, EvidenceGrade.OUTAGE)


def decide(facts: DecisionInput) -> Decisions:
    """Both answers for one instant. Total: any case has an answer, and no rule raises."""
    gate = _first(GATE_RULES, facts)
    return Decisions(gate, _first(RELEASE_RULES, facts) if facts.release else None)


def prepare(facts: DecisionInput) -> DecisionInput:
    """The case with evidence that its policy can use, and a memory that knows this instant."""
    slos = tuple(with_usable_evidence(one) for slo in facts.slos for one in split_migration(slo))
    memory = facts.memory.observe(
        calm=_calm(slos, facts.memory),
        grade=max((slo.evidence.grade for slo in slos), key=_GRAVITY.index),
        now=facts.now,
    )
    return replace(facts, slos=slos, memory=memory)


def _calm(slos: tuple[SloEvidence, ...], memory: Memory) -> bool:
    """Calm is read from events: of those that have some, and of those that the hold is for."""
    asked = [slo for slo in slos if not (has_no_traffic(slo) and memory.excludes(slo.name))]
    return bool(asked) and all(map(is_calm, asked))


def _first(rules: tuple[Rule, ...], facts: DecisionInput) -> Decision:
    return next(answer for rule in rules if (answer := rule(facts)) is not None)


def _person_holds_gate(facts: DecisionInput) -> Decision | None:
    return _person_holds(facts, DecisionPoint.START)


def _slo_crosses_for_start(facts: DecisionInput) -> Decision | None:
    return _slo_crosses(facts, DecisionPoint.START)


def _unknown_at_gate(facts: DecisionInput) -> Decision | None:
    return _unknown(facts, DecisionPoint.START)


def _still_recovering(facts: DecisionInput) -> Decision | None:
    if not _recovering(facts):
        return None
    return Decision(DecisionPoint.START, Verdict.HOLD, Reason.RECOVERING, False, _poorest(facts))


def _nothing_against_start(facts: DecisionInput) -> Decision:
    slo = _poorest(facts)
    return Decision(DecisionPoint.START, Verdict.PERMIT, Reason.BUDGET_HEALTHY, True, slo)


def _returns_to_stable(facts: DecisionInput) -> Decision | None:
    return _permitted(
        facts.release is not None and facts.release.returns, Reason.ROLLBACK_PERMITTED
    )


def _is_first(facts: DecisionInput) -> Decision | None:
    first = facts.release is not None and facts.release.first
    return _permitted(first, Reason.FIRST_RELEASE_PERMITTED)


def _person_resumed(facts: DecisionInput) -> Decision | None:
    resumed = facts.release is not None and facts.release.resumed_by_person
    return _permitted(resumed, Reason.OVERRIDE_ACTIVE)


def _person_holds_release(facts: DecisionInput) -> Decision | None:
    return _person_holds(facts, DecisionPoint.CONTINUE)


def _slipped_past_gate(facts: DecisionInput) -> Decision | None:
    if facts.release is None or facts.release.origin is ReleaseOrigin.ADMITTED:
        return None
    gate = _first(GATE_RULES, facts)
    if gate.proceeds:
        return None
    slipped = facts.release.origin is ReleaseOrigin.WHILE_CLOSED
    reason = Reason.ADMITTED_WHILE_CLOSED if slipped else Reason.RELEASED_UNGATED
    return Decision(DecisionPoint.CONTINUE, Verdict.HOLD, reason, False, gate.slo)


def _slo_crosses_for_release(facts: DecisionInput) -> Decision | None:
    return _slo_crosses(facts, DecisionPoint.CONTINUE)


def _unknown_for_release(facts: DecisionInput) -> Decision | None:
    return _unknown(facts, DecisionPoint.CONTINUE)


def _release_still_recovering(facts: DecisionInput) -> Decision | None:
    if not _is_held(facts) or not _recovering(facts):
        return None
    return Decision(DecisionPoint.CONTINUE, Verdict.HOLD, Reason.RECOVERING, False, _poorest(facts))


def _nothing_against_release(facts: DecisionInput) -> Decision:
    slo = _poorest(facts)
    return Decision(DecisionPoint.CONTINUE, Verdict.PERMIT, Reason.BUDGET_HEALTHY, True, slo)


GATE_RULES: tuple[Rule, ...] = (
    _person_holds_gate,
    _slo_crosses_for_start,
    _unknown_at_gate,
    _still_recovering,
    _nothing_against_start,
)
RELEASE_RULES: tuple[Rule, ...] = (
    _returns_to_stable,
    _is_first,
    _person_resumed,
    _person_holds_release,
    _slipped_past_gate,
    _slo_crosses_for_release,
    _unknown_for_release,
    _release_still_recovering,
    _nothing_against_release,
)


def _permitted(applies: bool, reason: Reason) -> Decision | None:
    return Decision(DecisionPoint.CONTINUE, Verdict.PERMIT, reason, True) if applies else None


def _person_holds(facts: DecisionInput, point: DecisionPoint) -> Decision | None:
    if facts.person is None:
        return None
    return Decision(point, Verdict.HOLD, Reason.HELD_BY_PERSON, False)


def _slo_crosses(facts: DecisionInput, point: DecisionPoint) -> Decision | None:
    reasons = ((judged, breach_reason(judged, point)) for judged in facts.slos)
    found = worst(((slo, reason) for slo, reason in reasons if reason is not None), facts.named)
    if found is None:
        return None
    return Decision(point, Verdict.HOLD, found[1], False, found[0])


def _unknown(facts: DecisionInput, point: DecisionPoint) -> Decision | None:
    missing = [slo for slo in facts.slos if slo.evidence.grade is not EvidenceGrade.FRESH]
    if not missing:
        return None
    named = min(missing, key=lambda it: (-_GRAVITY.index(it.evidence.grade), it.name))
    proceeds = all(_may_without_evidence(facts, point, slo) for slo in missing)
    return Decision(point, Verdict.UNKNOWN, named.evidence.reason, proceeds, named)


def _may_without_evidence(facts: DecisionInput, point: DecisionPoint, slo: SloEvidence) -> bool:
    terms, starting = unknown_rule(slo), point is DecisionPoint.START
    held = facts.memory.held_for is not None if starting else _is_held(facts)
    if not _keeps_last(facts, terms):
        return terms.then is UnknownThen.PERMIT and (not held or _hold_is_over(facts))
    if starting:
        thin = slo.evidence.grade is EvidenceGrade.THIN
        return thin and not held and facts.memory.last_known is Verdict.PERMIT
    return not held


def unknown_rule(slo: SloEvidence) -> UnknownRule:
    """What its class of missing evidence means; strict where no policy could be completed."""
    if slo.policy is None:
        return UnknownRule(OUTAGE.keep_last or Duration(0), UnknownThen.HOLD)
    outage = slo.evidence.grade is EvidenceGrade.OUTAGE
    return slo.policy.outage if outage else slo.policy.thin


def _keeps_last(facts: DecisionInput, terms: UnknownRule) -> bool:
    since = facts.memory.unknown_since
    kept = timedelta(milliseconds=terms.keep_last.milliseconds)
    return since is not None and facts.now - since < kept


def _is_held(facts: DecisionInput) -> bool:
    return facts.release is not None and facts.release.held


def _hold_is_over(facts: DecisionInput) -> bool:
    """Whether the hold in force has seen what ends it, although some evidence is missing."""
    return facts.memory.held_for is not None and not _recovering(facts)


def _recovering(facts: DecisionInput) -> bool:
    memory = facts.memory
    if memory.held_for is None:
        return False
    lacking = memory.held_for is HoldCause.BUDGET and any(
        is_below_margin(slo)
        for slo in facts.slos
        if slo.evidence.grade is not EvidenceGrade.THIN or not memory.excludes(slo.name)
    )
    return lacking or not memory.is_calm_long_enough(facts.now)


def _poorest(facts: DecisionInput) -> SloEvidence | None:
    """The SLO with the least budget left, as the one that an all-clear names."""
    found = worst(((slo, Reason.BUDGET_HEALTHY) for slo in facts.slos), facts.named)
    return found[0] if found else None

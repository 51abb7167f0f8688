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

from penstock.domain.case import Case, Decision, Judged, Judgement, Onset, Question
from penstock.domain.evidence import Grade
from penstock.domain.guard import OUTAGE, Unknown
from penstock.domain.judge import (
    admissible,
    apart,
    crossing,
    quiet,
    short_of_margin,
    silent,
    worst,
)
from penstock.domain.memory import Cause, Memory
from penstock.domain.policy import UnknownThen
from penstock.domain.quantities import Duration
from penstock.domain.verdict import Reason, Verdict

Rule = Callable[[Case], Decision | None]

_GRAVITY = (Grade.FRESH, Grade.THIN, Grade.OUTAGE)


def judgement(case: Case) -> Judgement:
    """Both answers for one instant. Total: any case has an answer, and no rule raises."""
    gate = _first(GATE_RULES, case)
    return Judgement(gate, _first(RELEASE_RULES, case) if case.release else None)


def noticed(case: Case) -> Case:
    """The case with evidence that its policy can use, and a memory that knows this instant."""
    slos = tuple(admissible(one) for judged in case.slos for one in apart(judged))
    memory = case.memory.noticing(
        calm=_calm(slos, case.memory),
        grade=max((judged.evidence.grade for judged in slos), key=_GRAVITY.index),
        now=case.now,
    )
    return replace(case, slos=slos, memory=memory)


def _calm(slos: tuple[Judged, ...], memory: Memory) -> bool:
    """Calm is read from events: of those that have some, and of those that the hold is for."""
    asked = [one for one in slos if not (silent(one) and memory.spares(one.name))]
    return bool(asked) and all(map(quiet, asked))


def _first(rules: tuple[Rule, ...], case: Case) -> Decision:
    return next(answer for rule in rules if (answer := rule(case)) is not None)


def _person_holds_gate(case: Case) -> Decision | None:
    return _person_holds(case, Question.START)


def _slo_crosses_for_start(case: Case) -> Decision | None:
    return _slo_crosses(case, Question.START)


def _unknown_at_gate(case: Case) -> Decision | None:
    return _unknown(case, Question.START)


def _still_recovering(case: Case) -> Decision | None:
    if not _recovering(case):
        return None
    return Decision(Question.START, Verdict.HOLD, Reason.RECOVERING, False, _poorest(case))


def _nothing_against_start(case: Case) -> Decision:
    slo = _poorest(case)
    return Decision(Question.START, Verdict.PERMIT, Reason.BUDGET_HEALTHY, True, slo)


def _returns_to_stable(case: Case) -> Decision | None:
    return _permitted(case.release is not None and case.release.returns, Reason.ROLLBACK_PERMITTED)


def _is_first(case: Case) -> Decision | None:
    first = case.release is not None and case.release.first
    return _permitted(first, Reason.FIRST_RELEASE_PERMITTED)


def _person_resumed(case: Case) -> Decision | None:
    resumed = case.release is not None and case.release.resumed_by_person
    return _permitted(resumed, Reason.OVERRIDE_ACTIVE)


def _person_holds_release(case: Case) -> Decision | None:
    return _person_holds(case, Question.GO_ON)


def _slipped_past_gate(case: Case) -> Decision | None:
    if case.release is None or case.release.onset is Onset.ADMITTED:
        return None
    gate = _first(GATE_RULES, case)
    if gate.proceeds:
        return None
    slipped = case.release.onset is Onset.WHILE_CLOSED
    reason = Reason.ADMITTED_WHILE_CLOSED if slipped else Reason.RELEASED_UNGATED
    return Decision(Question.GO_ON, Verdict.HOLD, reason, False, gate.slo)


def _slo_crosses_for_release(case: Case) -> Decision | None:
    return _slo_crosses(case, Question.GO_ON)


def _unknown_for_release(case: Case) -> Decision | None:
    return _unknown(case, Question.GO_ON)


def _release_still_recovering(case: Case) -> Decision | None:
    if not _is_held(case) or not _recovering(case):
        return None
    return Decision(Question.GO_ON, Verdict.HOLD, Reason.RECOVERING, False, _poorest(case))


def _nothing_against_release(case: Case) -> Decision:
    slo = _poorest(case)
    return Decision(Question.GO_ON, Verdict.PERMIT, Reason.BUDGET_HEALTHY, True, slo)


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
    return Decision(Question.GO_ON, Verdict.PERMIT, reason, True) if applies else None


def _person_holds(case: Case, question: Question) -> Decision | None:
    if case.person is None:
        return None
    return Decision(question, Verdict.HOLD, Reason.HELD_BY_PERSON, False)


def _slo_crosses(case: Case, question: Question) -> Decision | None:
    reasons = ((judged, crossing(judged, question)) for judged in case.slos)
    found = worst(((slo, reason) for slo, reason in reasons if reason is not None), case.named)
    if found is None:
        return None
    return Decision(question, Verdict.HOLD, found[1], False, found[0])


def _unknown(case: Case, question: Question) -> Decision | None:
    missing = [judged for judged in case.slos if judged.evidence.grade is not Grade.FRESH]
    if not missing:
        return None
    named = min(missing, key=lambda it: (-_GRAVITY.index(it.evidence.grade), it.name))
    proceeds = all(_may_without_evidence(case, question, judged) for judged in missing)
    return Decision(question, Verdict.UNKNOWN, named.evidence.reason, proceeds, named)


def _may_without_evidence(case: Case, question: Question, judged: Judged) -> bool:
    terms, starting = unknown_rule(judged), question is Question.START
    held = case.memory.held_for is not None if starting else _is_held(case)
    if not _keeps_last(case, terms):
        return terms.then is UnknownThen.PERMIT and (not held or _hold_is_over(case))
    if starting:
        thin = judged.evidence.grade is Grade.THIN
        return thin and not held and case.memory.last_known is Verdict.PERMIT
    return not held


def unknown_rule(judged: Judged) -> Unknown:
    """What its class of missing evidence means; strict where no policy could be completed."""
    if judged.guard is None:
        return Unknown(OUTAGE.keep_last or Duration(0), UnknownThen.HOLD)
    outage = judged.evidence.grade is Grade.OUTAGE
    return judged.guard.outage if outage else judged.guard.thin


def _keeps_last(case: Case, terms: Unknown) -> bool:
    since = case.memory.unknown_since
    kept = timedelta(milliseconds=terms.keep_last.milliseconds)
    return since is not None and case.now - since < kept


def _is_held(case: Case) -> bool:
    return case.release is not None and case.release.held


def _hold_is_over(case: Case) -> bool:
    """Whether the hold in force has seen what ends it, although some evidence is missing."""
    return case.memory.held_for is not None and not _recovering(case)


def _recovering(case: Case) -> bool:
    memory = case.memory
    if memory.held_for is None:
        return False
    lacking = memory.held_for is Cause.BUDGET and any(
        short_of_margin(one)
        for one in case.slos
        if one.evidence.grade is not Grade.THIN or not memory.spares(one.name)
    )
    return lacking or not memory.calm_enough(case.now)


def _poorest(case: Case) -> Judged | None:
    """The SLO with the least budget left, as the one that an all-clear names."""
    found = worst(((judged, Reason.BUDGET_HEALTHY) for judged in case.slos), case.named)
    return found[0] if found else None

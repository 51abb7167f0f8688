"""The messages of decisions: the state of a gate, and what to do now.

Status, Event, log and the API server's refusal print the same message.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from penstock.domain.decision import Decision, Decisions, SloEvidence
from penstock.domain.effective_policy import CALM_LONG_BELOW, CALM_SHORT_BELOW
from penstock.domain.evidence import EvidenceGrade, Reading
from penstock.domain.memory import HoldCause
from penstock.domain.quantities import Duration
from penstock.domain.remedies import remedy
from penstock.domain.rollout import Admission, InFlight, Mode, Rollout
from penstock.domain.rollout_state import RolloutState, too_large
from penstock.domain.thresholds import fastest_firing_rule, remaining_share
from penstock.domain.verdict import Reason, Verdict
from penstock.domain.wording import (
    LONGEST,
    cut,
    cut_middle,
    moment,
    one_line,
    percent,
    sentence,
    times,
)
from penstock.domain.workload import HoldEffect, WorkloadState

LONGEST_SUMMARY = 100
LONGEST_NAME = 40
LONGEST_DETAIL = 400


@dataclass(frozen=True, slots=True)
class GateMessage:
    """One message in its four parts; all but the summary may be empty.

    Attributes:
        summary: where the gate stands, since when and why, in at most 100 characters.
        effect: what happens to new releases and to the one under way.
        opens_when: what opens the gate.
        advice: what to do now.
    """

    summary: str
    effect: str = ""
    opens_when: str = ""
    advice: str = ""

    @property
    def text(self) -> str:
        """The parts as one line of at most 1,024 characters."""
        parts = (self.summary, self.effect, self.opens_when, self.advice)
        return cut(one_line(". ".join(part for part in parts if part)), LONGEST)


@dataclass(frozen=True, slots=True)
class _Why:
    """Why the gate stands as it does, as the text before and after the SLO's name.

    The detail may be longer than a summary has room for.
    """

    before: str
    name: str = ""
    after: str = ""
    detail: str = ""


def gate(
    rollout: Rollout,
    state: RolloutState,
    workload: WorkloadState,
    decisions: Decisions,
    now: datetime,
) -> GateMessage:
    """The message of one Rollout's gate and of the release under way."""
    decision = decisions.gate
    why = _why(rollout, state, workload, decision)
    summary, rest = _summary(_headline(state, decision, now), why)
    advice = (rest, *_advice(rollout, state, workload, decisions))
    return GateMessage(
        summary=summary,
        effect=_effect(rollout, state, workload, decisions, now),
        opens_when=sentence(_opens_when(rollout, state, workload, decision, now)),
        advice=". ".join(part for part in advice if part),
    )


def not_enforcing(rollout: Rollout, conflicting: str | None) -> GateMessage:
    """The message of a Rollout that enforces nothing."""
    effect = "This Rollout refuses and holds nothing"
    if conflicting is None:
        return GateMessage(
            "Not enforcing: spec.mode is Off",
            effect,
            advice="Set spec.mode to Enforce or Audit to use the gate",
        )
    summary = f"Not enforcing: {rollout.workload} is already guarded by Rollout {conflicting}"
    if len(summary) <= LONGEST_SUMMARY:
        return GateMessage(summary, effect, advice="Delete one of the two Rollouts")
    summary = f"Not enforcing: Rollout {cut_middle(conflicting, LONGEST_NAME)} already guards this"
    advice = f"Delete one of the two Rollouts of {rollout.workload}: this one, or {conflicting}"
    return GateMessage(f"{summary} workload", effect, advice=advice)


def _headline(state: RolloutState, decision: Decision, now: datetime) -> str:
    former = state.gate
    same = former is not None and (former.state, former.reason) == (
        decision.state,
        decision.reason,
    )
    since = former.since if same and former else now
    return f"{decision.state} since {moment(since, now)}: "


def _summary(headline: str, why: _Why) -> tuple[str, str]:
    """The summary, and what of the detail it had no room for.

    A name of up to 40 characters stays whole where leaving out the detail is enough for that.
    """
    detail = one_line(why.detail)
    failure, _, remainder = detail.partition("; ")
    options = [(why.after, "")]
    if detail:
        options = [
            (f"{why.after}: {detail}", ""),
            (f"{why.after}: {failure}", sentence(remainder)),
            (why.after, f"Details: {detail}"),
        ]
    room = LONGEST_SUMMARY - len(headline) - len(why.before)
    wanted = min(len(why.name), LONGEST_NAME)
    after, rest = next((it for it in options if room - len(it[0]) >= wanted), options[-1])
    name = cut_middle(why.name, min(room - len(after), LONGEST_NAME))
    return f"{headline}{why.before}{name}{after}", cut(rest, LONGEST_DETAIL)


def _why(
    rollout: Rollout, state: RolloutState, workload: WorkloadState, decision: Decision
) -> _Why:
    if decision.reason is Reason.HELD_BY_PERSON:
        reason = rollout.hold_reason if rollout.hold_reason is not None else workload.person_holds
        return _Why("a person closed the gate", detail=reason or "")
    if decision.slo is None:
        return _Why("no SLO is named")
    # A selector that matches nothing has no name of an SLO.
    name = decision.slo.name.strip("()")
    if decision.verdict is Verdict.UNKNOWN:
        return _not_evaluated(name, decision.slo)
    if decision.reason in (Reason.BURNING_FAST, Reason.BURNING_SLOW):
        return _Why("", name, _burning(decision.slo))
    if decision.reason is Reason.RECOVERING:
        what = "low budget" if state.memory.held_for is HoldCause.BUDGET else "high burn rate"
        return _Why("", name, f" is recovering from a {what}, {_share(decision.slo)} left")
    share = remaining_share(decision.slo)
    if share is None:
        return _Why("", name, " has no budget figure")
    return _Why("", name, f" has {percent(share)} of its error budget left")


def _not_evaluated(name: str, slo: SloEvidence) -> _Why:
    thin = slo.evidence.grade is EvidenceGrade.THIN
    before = "not enough data for " if thin else "cannot evaluate "
    return _Why(before, name, f" ({slo.evidence.reason})", slo.evidence.detail or "no data")


def _burning(slo: SloEvidence) -> str:
    reading, policy = slo.evidence.reading, slo.policy
    rule = fastest_firing_rule(reading, policy) if reading and policy else None
    if reading is None or rule is None:
        return " burns its error budget too fast"
    return (
        f" burns at {_rate(reading, rule.long)} over {rule.long} (limit {times(rule.factor)}), "
        f"{_share(slo)} left"
    )


def _rate(reading: Reading, burn_window: Duration) -> str:
    burn = reading.burn(burn_window)
    return times(burn.value) if burn is not None else "an unknown rate"


def _share(slo: SloEvidence) -> str:
    share = remaining_share(slo)
    return percent(share) if share is not None else "an unknown share"


def _effect(
    rollout: Rollout,
    state: RolloutState,
    workload: WorkloadState,
    decisions: Decisions,
    now: datetime,
) -> str:
    parts = [
        _new_releases(rollout, state, decisions.gate),
        _release(rollout, state, workload, decisions, now),
        _spent(state, now),
    ]
    effect = sentence("; ".join(part for part in parts if part))
    if rollout.mode is Mode.AUDIT and not decisions.gate.proceeds:
        return f"{effect}. Mode is Audit, so nothing is refused or held"
    return effect


def _new_releases(rollout: Rollout, state: RolloutState, decision: Decision) -> str:
    admission = rollout.enforcement.admission
    if decision.proceeds:
        return "new releases may start"
    if admission is Admission.OFF:
        return "new releases may start (enforcement.admission is Off)"
    warned = admission is Admission.WARN or too_large(state)
    if rollout.mode is not Mode.ENFORCE:
        return f"new releases would be {'admitted with a warning' if warned else 'refused'}"
    return f"new releases are {'admitted with a warning' if warned else 'refused'}"


def _release(
    rollout: Rollout,
    state: RolloutState,
    workload: WorkloadState,
    decisions: Decisions,
    now: datetime,
) -> str:
    release, decision = state.release, decisions.release
    if release is None or decision is None:
        return ""
    name = f"release {release.id}"
    if decision.proceeds:
        return _continues(name, decision, state, now)
    origin = {
        Reason.ADMITTED_WHILE_CLOSED: " (it started while the gate was closed)",
        Reason.RELEASED_UNGATED: f" (the {workload.ref.kind} was deleted and re-created with it)",
    }.get(decision.reason, "")
    obstacle = _obstacle(rollout, state, workload)
    if obstacle is not None:
        verb, reason = obstacle
        return f"{name} {verb}{origin}{reason}"
    effect = "fully" if state.hold.effect is HoldEffect.FULL else "partly"
    return (
        f"{name} is held{origin} at {workload.updated} of {workload.total} pods, {effect} effective"
    )


def _obstacle(
    rollout: Rollout, state: RolloutState, workload: WorkloadState
) -> tuple[str, str] | None:
    """Why a release that should be held is not, as verb and reason; None when it is."""
    hold = state.hold
    if rollout.mode is not Mode.ENFORCE:
        return "would be held", ""
    if rollout.enforcement.in_flight is InFlight.OFF:
        return "is not held", " (enforcement.inFlight is Off)"
    if workload.unsupported_reason is not None:
        return "cannot be held", f": {workload.ref} {workload.unsupported_reason}"
    if hold.contested_by:
        return "is not held", f": {hold.contested_by} keeps resuming it"
    if hold.refused:
        refused = cut(hold.refused, LONGEST_DETAIL)
        return "is not held", f": the API server refused the hold ({refused})"
    if hold.effect is HoldEffect.NONE and not hold.active:
        return "can no longer be held", ": pausing would not stop it"
    return None


def _continues(name: str, decision: Decision, state: RolloutState, now: datetime) -> str:
    if decision.reason is Reason.ROLLBACK_PERMITTED:
        return f"{name} is a rollback to a stable template and continues"
    if decision.reason is Reason.FIRST_RELEASE_PERMITTED:
        return f"{name} is the first release and continues"
    if decision.reason is Reason.OVERRIDE_ACTIVE and state.release is not None:
        resumed = state.release.resumed_at
        return f"{name} continues: a person resumed it at {moment(resumed or now, now)}"
    return f"{name} continues"


def _spent(state: RolloutState, now: datetime) -> str:
    release = state.release
    if release is None or release.spent is None:
        return ""
    spent, since = release.spent, moment(release.started_at, now)
    return f"{percent(spent.share)} of the error budget of {spent.slo} was spent since {since}"


def _opens_when(
    rollout: Rollout,
    state: RolloutState,
    workload: WorkloadState,
    decision: Decision,
    now: datetime,
) -> str:
    if decision.proceeds:
        return ""
    if decision.reason is Reason.HELD_BY_PERSON:
        if rollout.hold_reason is not None:
            return "opens when spec.hold is removed"
        return f"opens when the label penstock.dev/hold is removed from {workload.ref}"
    if decision.verdict is Verdict.UNKNOWN:
        return "opens once the SLO can be evaluated and has budget left"
    return _recovers_when(state, decision, now)


def _recovers_when(state: RolloutState, decision: Decision, now: datetime) -> str:
    memory, policy = state.memory, decision.slo.policy if decision.slo else None
    if policy is None:
        return ""
    short, long = policy.calm_windows
    calm = f"for {memory.calm_required} (under {times(CALM_SHORT_BELOW)} over {short} and "
    calm += f"under {times(CALM_LONG_BELOW)} over {long})"
    if memory.calm_since is not None:
        end = memory.calm_since + timedelta(milliseconds=memory.calm_required.milliseconds)
        calm = f"until {moment(end, now)}"
    if memory.held_for is HoldCause.BUDGET:
        threshold = min(policy.start_hold_at + policy.margin, Decimal(1))
        return (
            f"opens once {percent(threshold)} of the budget is left{_back(decision, now)} and "
            f"burn rates have stayed low {calm}"
        )
    return f"opens once burn rates have stayed low {calm}"


def _back(decision: Decision, now: datetime) -> str:
    """When a spent budget is back, as far as its ledger can tell."""
    reading = decision.slo.evidence.reading if decision.slo else None
    at = reading.forecast.recovers_at if reading else None
    return "" if at is None else f" (some of it about {moment(at, now)} without more errors)"


def _advice(
    rollout: Rollout, state: RolloutState, workload: WorkloadState, decisions: Decisions
) -> list[str]:
    gate, release, advice = decisions.gate, decisions.release, []
    if gate.verdict is Verdict.UNKNOWN and gate.slo is not None:
        outage = gate.slo.evidence.grade is EvidenceGrade.OUTAGE
        advice.append(remedy(gate.slo.evidence) if outage or not gate.proceeds else "")
    if state.release is None or release is None or release.proceeds:
        return advice
    if _obstacle(rollout, state, workload) is None:
        advice.append(workload.advice.roll_back)
    elif rollout.mode is Mode.ENFORCE and state.hold.contested_by:
        advice.append(workload.advice.let_hold)
    elif rollout.mode is Mode.ENFORCE and state.stable:
        advice.append("To stop the release, roll back: a stable template always passes")
    return advice

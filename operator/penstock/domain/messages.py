"""The messages of decisions, from where a gate stands to what to do now.

Status, Event, log and the API server's refusal print the same message.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from penstock.domain.case import Decision, Judged, Judgement
from penstock.domain.evidence import Grade, Reading
from penstock.domain.guard import CALM_LONG_BELOW, CALM_SHORT_BELOW
from penstock.domain.judge import hottest, share_left
from penstock.domain.memory import Cause
from penstock.domain.quantities import Duration
from penstock.domain.remedies import remedy
from penstock.domain.rollout import Admission, InFlight, Mode, Rollout
from penstock.domain.standing import Standing, too_large
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
from penstock.domain.workload import Effect, Observation

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
    rollout: Rollout, standing: Standing, seen: Observation, judged: Judgement, now: datetime
) -> GateMessage:
    """The message of one Rollout's gate and of the release under way."""
    decision = judged.gate
    why = _why(rollout, standing, seen, decision)
    summary, rest = _summary(_headline(standing, decision, now), why)
    advice = (rest, *_advice(rollout, standing, seen, judged))
    return GateMessage(
        summary=summary,
        effect=_effect(rollout, standing, seen, judged, now),
        opens_when=sentence(_opens_when(rollout, standing, seen, decision, now)),
        advice=". ".join(part for part in advice if part),
    )


def not_enforcing(rollout: Rollout, rival: str | None) -> GateMessage:
    """The message of a Rollout that enforces nothing."""
    effect = "This Rollout refuses and holds nothing"
    if rival is None:
        return GateMessage(
            "Not enforcing: spec.mode is Off",
            effect,
            advice="Set spec.mode to Enforce or Audit to use the gate",
        )
    summary = f"Not enforcing: {rollout.workload} is already guarded by Rollout {rival}"
    if len(summary) <= LONGEST_SUMMARY:
        return GateMessage(summary, effect, advice="Delete one of the two Rollouts")
    summary = f"Not enforcing: Rollout {cut_middle(rival, LONGEST_NAME)} already guards this"
    advice = f"Delete one of the two Rollouts of {rollout.workload}: this one, or {rival}"
    return GateMessage(f"{summary} workload", effect, advice=advice)


def _headline(standing: Standing, decision: Decision, now: datetime) -> str:
    former = standing.gate
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


def _why(rollout: Rollout, standing: Standing, seen: Observation, decision: Decision) -> _Why:
    if decision.reason is Reason.HELD_BY_PERSON:
        reason = rollout.hold_reason if rollout.hold_reason is not None else seen.person_holds
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
        what = "low budget" if standing.memory.held_for is Cause.BUDGET else "high burn rate"
        return _Why("", name, f" is recovering from a {what}, {_share(decision.slo)} left")
    share = share_left(decision.slo)
    if share is None:
        return _Why("", name, " has no budget figure")
    return _Why("", name, f" has {percent(share)} of its error budget left")


def _not_evaluated(name: str, slo: Judged) -> _Why:
    thin = slo.evidence.grade is Grade.THIN
    before = "not enough data for " if thin else "cannot evaluate "
    return _Why(before, name, f" ({slo.evidence.reason})", slo.evidence.detail or "no data")


def _burning(slo: Judged) -> str:
    reading, guard = slo.evidence.reading, slo.guard
    pair = hottest(reading, guard) if reading and guard else None
    if reading is None or pair is None:
        return " burns its error budget too fast"
    return (
        f" burns at {_rate(reading, pair.long)} over {pair.long} (limit {times(pair.factor)}), "
        f"{_share(slo)} left"
    )


def _rate(reading: Reading, look: Duration) -> str:
    burn = reading.burn(look)
    return times(burn.value) if burn is not None else "an unknown rate"


def _share(slo: Judged) -> str:
    share = share_left(slo)
    return percent(share) if share is not None else "an unknown share"


def _effect(
    rollout: Rollout, standing: Standing, seen: Observation, judged: Judgement, now: datetime
) -> str:
    parts = [
        _new_releases(rollout, standing, judged.gate),
        _release(rollout, standing, seen, judged, now),
        _spent(standing, now),
    ]
    effect = sentence("; ".join(part for part in parts if part))
    if rollout.mode is Mode.AUDIT and not judged.gate.proceeds:
        return f"{effect}. Mode is Audit, so nothing is refused or held"
    return effect


def _new_releases(rollout: Rollout, standing: Standing, decision: Decision) -> str:
    admission = rollout.enforcement.admission
    if decision.proceeds:
        return "new releases may start"
    if admission is Admission.OFF:
        return "new releases may start (enforcement.admission is Off)"
    warned = admission is Admission.WARN or too_large(standing)
    if rollout.mode is not Mode.ENFORCE:
        return f"new releases would be {'admitted with a warning' if warned else 'refused'}"
    return f"new releases are {'admitted with a warning' if warned else 'refused'}"


def _release(
    rollout: Rollout, standing: Standing, seen: Observation, judged: Judgement, now: datetime
) -> str:
    release, decision = standing.release, judged.release
    if release is None or decision is None:
        return ""
    name = f"release {release.id}"
    if decision.proceeds:
        return _continues(name, decision, standing, now)
    origin = {
        Reason.ADMITTED_WHILE_CLOSED: " (it started while the gate was closed)",
        Reason.RELEASED_UNGATED: f" (the {seen.ref.kind} was deleted and re-created with it)",
    }.get(decision.reason, "")
    obstacle = _obstacle(rollout, standing, seen)
    if obstacle is not None:
        verb, reason = obstacle
        return f"{name} {verb}{origin}{reason}"
    effect = "fully" if standing.hold.effect is Effect.FULL else "partly"
    return f"{name} is held{origin} at {seen.updated} of {seen.total} pods, {effect} effective"


def _obstacle(rollout: Rollout, standing: Standing, seen: Observation) -> tuple[str, str] | None:
    """Why a release that should be held is not, as verb and reason; None when it is."""
    hold = standing.hold
    if rollout.mode is not Mode.ENFORCE:
        return "would be held", ""
    if rollout.enforcement.in_flight is InFlight.OFF:
        return "is not held", " (enforcement.inFlight is Off)"
    if seen.refusal is not None:
        return "cannot be held", f": {seen.ref} {seen.refusal}"
    if hold.contested_by:
        return "is not held", f": {hold.contested_by} keeps resuming it"
    if hold.refused:
        refused = cut(hold.refused, LONGEST_DETAIL)
        return "is not held", f": the API server refused the hold ({refused})"
    if hold.effect is Effect.NONE and not hold.active:
        return "can no longer be held", ": pausing would not stop it"
    return None


def _continues(name: str, decision: Decision, standing: Standing, now: datetime) -> str:
    if decision.reason is Reason.ROLLBACK_PERMITTED:
        return f"{name} is a rollback to a stable template and continues"
    if decision.reason is Reason.FIRST_RELEASE_PERMITTED:
        return f"{name} is the first release and continues"
    if decision.reason is Reason.OVERRIDE_ACTIVE and standing.release is not None:
        resumed = standing.release.resumed_at
        return f"{name} continues: a person resumed it at {moment(resumed or now, now)}"
    return f"{name} continues"


def _spent(standing: Standing, now: datetime) -> str:
    release = standing.release
    if release is None or release.spent is None:
        return ""
    spent, since = release.spent, moment(release.started_at, now)
    return f"{percent(spent.share)} of the error budget of {spent.slo} was spent since {since}"


def _opens_when(
    rollout: Rollout, standing: Standing, seen: Observation, decision: Decision, now: datetime
) -> str:
    if decision.proceeds:
        return ""
    if decision.reason is Reason.HELD_BY_PERSON:
        if rollout.hold_reason is not None:
            return "opens when spec.hold is removed"
        return f"opens when the label penstock.dev/hold is removed from {seen.ref}"
    if decision.verdict is Verdict.UNKNOWN:
        return "opens once the SLO can be evaluated and has budget left"
    return _recovers_when(standing, decision, now)


def _recovers_when(standing: Standing, decision: Decision, now: datetime) -> str:
    memory, guard = standing.memory, decision.slo.guard if decision.slo else None
    if guard is None:
        return ""
    short, long = guard.calm_looks
    calm = f"for {memory.calm_required} (under {times(CALM_SHORT_BELOW)} over {short} and "
    calm += f"under {times(CALM_LONG_BELOW)} over {long})"
    if memory.calm_since is not None:
        end = memory.calm_since + timedelta(milliseconds=memory.calm_required.milliseconds)
        calm = f"until {moment(end, now)}"
    if memory.held_for is Cause.BUDGET:
        threshold = min(guard.start_hold_at + guard.margin, Decimal(1))
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
    rollout: Rollout, standing: Standing, seen: Observation, judged: Judgement
) -> list[str]:
    gate, release, advice = judged.gate, judged.release, []
    if gate.verdict is Verdict.UNKNOWN and gate.slo is not None:
        outage = gate.slo.evidence.grade is Grade.OUTAGE
        advice.append(remedy(gate.slo.evidence) if outage or not gate.proceeds else "")
    if standing.release is None or release is None or release.proceeds:
        return advice
    if _obstacle(rollout, standing, seen) is None:
        advice.append(seen.advice.roll_back)
    elif rollout.mode is Mode.ENFORCE and standing.hold.contested_by:
        advice.append(seen.advice.let_hold)
    elif rollout.mode is Mode.ENFORCE and standing.stable:
        advice.append("To stop the release, roll back: a stable template always passes")
    return advice

"""The one sentence of a decision: where the gate stands, why, since when, what would change it.

Status, event, log and the API server's refusal all print it, so that nobody is told two stories.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from penstock.domain.case import Decision, Judged, Judgement
from penstock.domain.evidence import Forecast, Reading, Unit
from penstock.domain.guard import CALM_LONG_BELOW, CALM_SHORT_BELOW
from penstock.domain.judge import hottest, share_left
from penstock.domain.memory import Cause
from penstock.domain.quantities import Duration, Objective
from penstock.domain.rollout import InFlight, Mode, Rollout
from penstock.domain.standing import Standing
from penstock.domain.verdict import GateState, Reason, Verdict
from penstock.domain.window import Window
from penstock.domain.workload import Effect, Observation

LONGEST = 1_024

_WAY_BACK = (
    "to go back, apply the former manifest again or `kubectl set image` to the former image "
    "(`kubectl rollout undo` refuses a paused Deployment)"
)


def gate(
    rollout: Rollout, standing: Standing, seen: Observation, judged: Judgement, now: datetime
) -> str:
    """The sentence for one Rollout's gate and the release under way."""
    parts = [
        f"{_headline(standing, judged.gate, now)}: {_why(rollout, standing, seen, judged.gate)}",
        _what_changes_it(rollout, standing, seen, judged.gate, now),
        _release(rollout, standing, seen, judged, now),
        _spent(standing, now),
        _audited(rollout, judged),
    ]
    return _cut("; ".join(part for part in parts if part))


def stood_down(rollout: Rollout, rival: str | None) -> str:
    """The sentence for a Rollout that enforces nothing."""
    if rival is not None:
        return (
            f"Enforces nothing: Rollout {rival} guards {rollout.workload} already; delete one of "
            "the two"
        )
    return "Enforces nothing: spec.mode is Off; set it to Enforce or Audit to have it decided"


def _headline(standing: Standing, decision: Decision, now: datetime) -> str:
    word = {
        GateState.OPEN: "Open",
        GateState.CLOSED: "Held",
        GateState.UNKNOWN: "Unknown",
    }[decision.state]
    former = standing.gate
    same = former is not None and (former.state, former.reason) == (
        decision.state,
        decision.reason,
    )
    return f"{word} since {moment(former.since if same and former else now, now)}"


def _why(rollout: Rollout, standing: Standing, seen: Observation, decision: Decision) -> str:
    if decision.reason is Reason.HELD_BY_PERSON:
        reason = rollout.hold_reason if rollout.hold_reason is not None else seen.person_holds
        return f"a person holds it ({reason})" if reason else "a person holds it"
    if decision.slo is None:
        return "no SLO is named"
    if decision.verdict is Verdict.UNKNOWN:
        return _missing(decision.slo)
    if decision.reason in (Reason.BURNING_FAST, Reason.BURNING_SLOW):
        return _burning(decision.slo)
    if decision.reason is Reason.RECOVERING:
        return f"{_left(decision.slo)} and recovers{_recovering(standing)}"
    return _left(decision.slo)


def _missing(slo: Judged) -> str:
    told = slo.evidence.detail or "no admissible evidence"
    return f"{slo.name} gives no verdict, {slo.evidence.reason}: {told}"


def _left(slo: Judged) -> str:
    share = share_left(slo)
    if share is None:
        return f"{slo.name} has no budget figure"
    return f"{slo.name} has {percent(share)} of its error budget left"


def _burning(slo: Judged) -> str:
    reading, guard = slo.evidence.reading, slo.guard
    pair = hottest(reading, guard) if reading and guard else None
    if reading is None or pair is None:
        return f"{slo.name} burns its error budget too fast"
    return (
        f"{slo.name} burns its error budget at {_rate(reading, pair.long)} over {pair.long} and "
        f"{_rate(reading, pair.short)} over {pair.short} (limit {times(pair.factor)}), "
        f"{_share(reading)} left"
    )


def _rate(reading: Reading, look: Duration) -> str:
    burn = reading.burn(look)
    return times(burn.value) if burn is not None else "an unknown rate"


def _share(reading: Reading) -> str:
    remaining = reading.remaining
    return percent(remaining.value) if remaining is not None else "an unknown share"


def _recovering(standing: Standing) -> str:
    memory = standing.memory
    kind = "budget" if memory.held_for is Cause.BUDGET else "burn"
    return f" from a {kind} hold"


def _what_changes_it(
    rollout: Rollout, standing: Standing, seen: Observation, decision: Decision, now: datetime
) -> str:
    if decision.proceeds:
        return ""
    if decision.reason is Reason.HELD_BY_PERSON:
        where = (
            "spec.hold"
            if rollout.hold_reason is not None
            else (f"the label penstock.dev/hold of {seen.ref}")
        )
        return f"remove {where} to end it"
    if decision.verdict is Verdict.UNKNOWN:
        return "nothing new may start until it can be measured again"
    return _opens(standing, decision, now)


def _opens(standing: Standing, decision: Decision, now: datetime) -> str:
    memory, guard = standing.memory, decision.slo.guard if decision.slo else None
    if guard is None:
        return ""
    short, long = guard.calm_looks
    calm = f"{memory.calm_required} of calm (burn under {times(CALM_SHORT_BELOW)} over {short} and "
    calm += f"under {times(CALM_LONG_BELOW)} over {long})"
    if memory.calm_since is not None:
        end = memory.calm_since + timedelta(milliseconds=memory.calm_required.milliseconds)
        calm = f"calm that has lasted until {moment(end, now)}"
    if memory.held_for is Cause.BUDGET:
        threshold = min(guard.start_hold_at + guard.margin, Decimal(1))
        return f"it opens when {percent(threshold)} is left{_back(decision, now)}, after {calm}"
    return f"it opens after {calm}"


def _back(decision: Decision, now: datetime) -> str:
    """When a spent budget is back, as far as its ledger can tell."""
    reading = decision.slo.evidence.reading if decision.slo else None
    at = reading.forecast.recovers_at if reading else None
    return "" if at is None else f" (some of it about {moment(at, now)} if no more errors come)"


def _release(
    rollout: Rollout, standing: Standing, seen: Observation, judged: Judgement, now: datetime
) -> str:
    release, decision = standing.release, judged.release
    if release is None or decision is None:
        return ""
    name = f"release {release.id}"
    if decision.proceeds:
        return _going_on(name, decision, standing, now)
    told = {
        Reason.ADMITTED_WHILE_CLOSED: " (it started although the gate was shut)",
        Reason.RELEASED_UNGATED: " (the workload was made anew with it)",
    }.get(decision.reason, "")
    if rollout.mode is not Mode.ENFORCE or rollout.enforcement.in_flight is InFlight.OFF:
        return f"{name} would be held{told}"
    if seen.refusal is not None:
        return f"{name} cannot be held{told}: {seen.ref} {seen.refusal}"
    if standing.hold.contested_by:
        return f"{name} is not held{told}: {standing.hold.contested_by} keeps resuming it"
    if standing.hold.refused:
        return f"{name} is not held{told}: the API server refuses it ({standing.hold.refused})"
    if standing.hold.effect is Effect.NONE and not standing.hold.active:
        return f"{name} cannot be held any more{told}: too far gone for a pause to stop it"
    effect = "fully" if standing.hold.effect is Effect.FULL else "partly"
    return f"{name} is held{told}, {effect} effective, {standing_pods(seen)}; {_WAY_BACK}"


def standing_pods(seen: Observation) -> str:
    """How far the release has come."""
    return f"at {seen.updated} of {seen.total} pods"


def _going_on(name: str, decision: Decision, standing: Standing, now: datetime) -> str:
    if decision.reason is Reason.ROLLBACK_PERMITTED:
        return f"{name} returns to a stable template and is permitted"
    if decision.reason is Reason.FIRST_RELEASE_PERMITTED:
        return f"{name} is the first and is permitted"
    if decision.reason is Reason.OVERRIDE_ACTIVE and standing.release is not None:
        resumed = standing.release.resumed_at
        return f"{name} goes on, resumed by a person at {moment(resumed or now, now)}"
    return f"{name} goes on"


def _spent(standing: Standing, now: datetime) -> str:
    release = standing.release
    if release is None or release.spent is None:
        return ""
    spent, since = release.spent, moment(release.started_at, now)
    return f"{percent(spent.share)} of the error budget of {spent.slo} was spent since {since}"


def _audited(rollout: Rollout, judged: Judgement) -> str:
    if rollout.mode is not Mode.AUDIT or judged.gate.proceeds:
        return ""
    return "mode is Audit, so nothing is refused or held"


def slo(
    name: str, objective: Objective, window: Window, reading: Reading | None, detail: str
) -> str:
    """The sentence for one SLO's own status."""
    promise = f"{objective} over {window}"
    if reading is None or reading.remaining is None:
        return _cut(f"{name} ({promise}) has no budget figure: {detail}")
    left = percent(reading.remaining.value)
    parts = [
        f"{name} ({promise}) has {left} of its error budget left: {_counted(reading)}",
        _forecast(reading.forecast, reading.at),
        detail,
    ]
    return _cut("; ".join(part for part in parts if part))


def _counted(reading: Reading) -> str:
    """What the budget was measured by."""
    bad, total = reading.whole.bad, reading.whole.total
    if reading.unit is Unit.SHARES:
        return f"a mean share of {percent(bad / total)} bad"
    return f"{int(bad)} bad of {int(total)} {reading.unit}"


def _forecast(forecast: Forecast, now: datetime) -> str:
    if forecast.exhausted_at is not None:
        return f"exhausted about {moment(forecast.exhausted_at, now)} at the present burn"
    if forecast.recovers_at is not None:
        return (
            f"some is left again about {moment(forecast.recovers_at, now)} if no more errors come"
        )
    return ""


def percent(share: Decimal) -> str:
    """0.0312 is "3.1 %"."""
    return f"{share * 100:z.1f} %"


def times(rate: Decimal) -> str:
    """14.40 is "14.4x"."""
    return f"{rate:.1f}x"


def moment(at: datetime, now: datetime) -> str:
    """A time of today as "14:02 UTC", another with its date."""
    at, now = at.astimezone(UTC), now.astimezone(UTC)
    return f"{at:%H:%M UTC}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M UTC}"


def _cut(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= LONGEST else f"{one_line[: LONGEST - 1]}…"

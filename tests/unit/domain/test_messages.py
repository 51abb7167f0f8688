"""The message of each state, as people read it: golden, on one line, of bounded length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.domain import messages, slo_messages
from penstock.domain.decision import SloEvidence
from penstock.domain.evidence import EventCounts, Evidence, EvidenceGrade, EvidenceKind
from penstock.domain.policy import Policy, StartPolicy, UnknownPolicy, UnknownThen
from penstock.domain.quantities import Percentage
from penstock.domain.rollout import Admission, Enforcement, InFlight, Mode, OnExternalResume
from penstock.domain.window import RollingWindow
from penstock.domain.wording import LONGEST, percent
from penstock.domain.workload import HoldEffect, Phase
from support.decision_fixtures import (
    HOT_FAST,
    HOT_SLOW,
    NOW,
    OBJECTIVE,
    WINDOW,
    reading,
    slo,
    span,
    unmeasured,
)
from support.decision_strategies import several
from support.reports import SLO
from support.rollout_fixtures import MISSING, ROLLOUT, GateStory, version, workload_state

BURNING = (slo("0.621", looks=HOT_FAST),)
SPENT = (slo("-0.031", "20"),)
FINE = (slo(),)

ID = version(2).hash
LEFT = "checkout has 50.0% of its error budget left"
BURNS = "checkout burns at 14.5x over 1h (limit 14.4x), 62.1% left"
OVER = "checkout has -3.1% of its error budget left"
LOW = "burn rates have stayed low for 10m (under 1.0x over 5m and under 2.0x over 30m)"
OPENS = f"Opens once {LOW}"
REFILLS = f"Opens once 1.0% of the budget is left and {LOW}"
BACK = (
    "To roll back, apply the previous manifest or run `kubectl set image` with the previous image "
    "(`kubectl rollout undo` refuses a paused Deployment)"
)
STOP = "To stop the release, roll back: a stable template always passes"
MAY = "New releases may start"
REFUSED = "New releases are refused"
HELD = f"{REFUSED}; release {ID} is held at 1 of 3 pods, partly effective"
LOST = "cannot evaluate checkout (MetricsUnreachable): connection refused"
MEASURABLE = "Opens once the SLO can be evaluated and has budget left"
SERVER = (
    "Whoever runs the metrics server must act: check that it runs, and that the source's URL is "
    "right"
)


def begun(**facts: Any) -> GateStory:
    story = GateStory(**facts)
    story.goes()
    story.release()
    story.goes("10s")
    return story


def told(story: GateStory, *rounds: dict[str, Any]) -> str:
    for changes in rounds:
        story.acts("1s", **changes)
    assert story.state.gate is not None
    return story.state.gate.message


def seen(story: GateStory, **facts: Any) -> GateStory:
    story.seen = replace(story.seen, **facts)
    return story


def returned() -> GateStory:
    """Version 2 was suspect and complete, and version 1 comes back."""
    story = begun()
    story.acts("1s", slos=BURNING, rollout=replace(ROLLOUT, enforcement=OFF))
    story.completes()
    story.acts("1s")
    story.release(1)
    story.acts("1s")
    return story


OFF = Enforcement(in_flight=InFlight.OFF)
OPEN_DOOR = Enforcement(admission=Admission.OFF)
WARN = Enforcement(admission=Admission.WARN)
UNUSABLE = [
    kind for kind in EvidenceKind if kind not in (EvidenceKind.FRESH, EvidenceKind.MIGRATING)
]
STRICT = Policy(thin=UnknownPolicy(then=UnknownThen.HOLD))
GOLDEN: dict[str, tuple[Callable[[], str], str]] = {
    "open": (lambda: told(GateStory(), {}), f"Open since 14:02 UTC: {LEFT}. {MAY}"),
    "a release that continues": (
        lambda: told(begun()),
        f"Open since 14:02 UTC: {LEFT}. {MAY}; release {ID} continues",
    ),
    "closed for burning fast": (
        lambda: told(begun(), {"slos": BURNING}),
        f"Closed since 14:02 UTC: {BURNS}. {HELD}. {OPENS}. {BACK}",
    ),
    "closed for burning slowly": (
        lambda: told(GateStory(), {"slos": (slo(looks=HOT_SLOW),)}),
        "Closed since 14:02 UTC: checkout burns at 6.1x over 6h (limit 6.0x), 50.0% left. "
        f"{REFUSED}. {OPENS}",
    ),
    "recovering from burning": (
        lambda: told(begun(), {"slos": BURNING}, {"slos": FINE}),
        "Closed since 14:02 UTC: checkout is recovering from a high burn rate, 50.0% left. "
        f"{HELD}. Opens once burn rates have stayed low until 14:12 UTC. {BACK}",
    ),
    "closed without budget": (
        lambda: told(begun(), {"slos": SPENT}),
        f"Closed since 14:02 UTC: {OVER}. {HELD}. {REFILLS}. {BACK}",
    ),
    "recovering without margin": (
        lambda: told(GateStory(), {"slos": SPENT}, {"slos": (slo("0.005"),)}),
        "Closed since 14:02 UTC: checkout is recovering from a low budget, 0.5% left. "
        f"{REFUSED}. Opens once 1.0% of the budget is left and burn rates have stayed low until "
        "14:12 UTC",
    ),
    "under the author's floor": (
        lambda: told(
            GateStory(),
            {"slos": (slo("0.05", policy=Policy(StartPolicy(Percentage.parse("10%")))),)},
        ),
        "Closed since 14:02 UTC: checkout has 5.0% of its error budget left. "
        f"{REFUSED}. Opens once 11.0% of the budget is left and {LOW}",
    ),
    "an outage, at first": (
        lambda: told(begun(), {"slos": (unmeasured(),)}),
        f"Unknown since 14:02 UTC: {LOST}. {REFUSED}; release {ID} continues. {MEASURABLE}. "
        f"{SERVER}",
    ),
    "an outage, in the end": (
        lambda: told(begun(), {"slos": (unmeasured(),)}, {"now": NOW + span("1h")}),
        f"Unknown since 14:02 UTC: {LOST}. {HELD}. {MEASURABLE}. {SERVER}. {BACK}",
    ),
    "no traffic": (
        lambda: told(GateStory(), {"slos": (slo(kind=EvidenceKind.NO_TRAFFIC),)}),
        f"Open since 14:02 UTC: not enough data for checkout (NoTraffic): no data. {MAY}",
    ),
    "no traffic where that closes the gate": (
        lambda: told(GateStory(), {"slos": (slo(kind=EvidenceKind.NO_TRAFFIC, policy=STRICT),)}),
        f"Unknown since 14:02 UTC: not enough data for checkout (NoTraffic): no data. {REFUSED}. "
        f"{MEASURABLE}. Nobody has to act: it opens by itself once there is enough data",
    ),
    "a person's hold by spec": (
        lambda: told(begun(), {"rollout": replace(ROLLOUT, hold_reason="migration")}),
        f"Closed since 14:02 UTC: a person closed the gate: migration. {HELD}. "
        f"Opens when spec.hold is removed. {BACK}",
    ),
    "a person's hold by label": (
        lambda: told(seen(GateStory(), person_holds=""), {}),
        f"Closed since 14:02 UTC: a person closed the gate. {REFUSED}. "
        "Opens when the label penstock.dev/hold is removed from Deployment/checkout",
    ),
    "a person's hold by label with a word": (
        lambda: told(seen(GateStory(), person_holds="migration"), {}),
        f"Closed since 14:02 UTC: a person closed the gate: migration. {REFUSED}. "
        "Opens when the label penstock.dev/hold is removed from Deployment/checkout",
    ),
    "audit": (
        lambda: told(begun(rollout=replace(ROLLOUT, mode=Mode.AUDIT)), {"slos": BURNING}),
        f"Closed since 14:02 UTC: {BURNS}. New releases would be refused; release {ID} would be "
        f"held. Mode is Audit, so nothing is refused or held. {OPENS}",
    ),
    "audit of an open gate": (
        lambda: told(GateStory(rollout=replace(ROLLOUT, mode=Mode.AUDIT)), {}),
        f"Open since 14:02 UTC: {LEFT}. {MAY}",
    ),
    "not enforced in flight": (
        lambda: told(begun(rollout=replace(ROLLOUT, enforcement=OFF)), {"slos": BURNING}),
        f"Closed since 14:02 UTC: {BURNS}. {REFUSED}; release {ID} is not held "
        f"(enforcement.inFlight is Off). {OPENS}. {STOP}",
    ),
    "not enforced at admission": (
        lambda: told(GateStory(rollout=replace(ROLLOUT, enforcement=OPEN_DOOR)), {"slos": BURNING}),
        f"Closed since 14:02 UTC: {BURNS}. {MAY} (enforcement.admission is Off). {OPENS}",
    ),
    "warned about at admission": (
        lambda: told(GateStory(rollout=replace(ROLLOUT, enforcement=WARN)), {"slos": BURNING}),
        f"Closed since 14:02 UTC: {BURNS}. New releases are admitted with a warning. {OPENS}",
    ),
    "too late for a pause": (
        lambda: told(seen(begun(), effect=HoldEffect.NONE), {"slos": BURNING}),
        f"Closed since 14:02 UTC: {BURNS}. {REFUSED}; release {ID} can no longer be held: pausing "
        f"would not stop it. {OPENS}. {STOP}",
    ),
    "fully effective": (
        lambda: told(seen(begun(), effect=HoldEffect.FULL), {"slos": BURNING}),
        f"Closed since 14:02 UTC: {BURNS}. {HELD.replace('partly', 'fully')}. {OPENS}. {BACK}",
    ),
    "a workload that cannot be held": (
        lambda: told(seen(begun(), unsupported_reason="is owned by Canary web"), {"slos": BURNING}),
        f"Closed since 14:02 UTC: {BURNS}. {REFUSED}; release {ID} cannot be held: "
        f"Deployment/checkout is owned by Canary web. {OPENS}. {STOP}",
    ),
    "resumed by a person": (
        lambda: told(seen(_held(), held_by_us=False, paused=False), {}, {"now": NOW + span("2m")}),
        f"Closed since 14:02 UTC: {BURNS}. {REFUSED}; release {ID} continues: a person resumed it "
        f"at 14:02 UTC. {OPENS}",
    ),
    "contested": (
        lambda: told(seen(_contested(), held_by_us=False, paused=False), {}),
        f"Closed since 14:02 UTC: {BURNS}. {REFUSED}; release {ID} is not held: argocd-controller "
        f"keeps resuming it. {OPENS}. Remove spec.paused from the workload's manifest (Argo CD: "
        "ignoreDifferences on /spec/paused with RespectIgnoreDifferences=true)",
    ),
    "a return": (
        lambda: told(returned()),
        f"Closed since 14:02 UTC: {BURNS}. {REFUSED}; release {version(1).hash} is a rollback to a "
        f"stable template and continues. {OPENS}",
    ),
    "a first release": (
        lambda: told(
            GateStory(seen=workload_state(phase=Phase.ROLLING, ever_complete=False)),
            {"slos": SPENT},
        ),
        f"Closed since 14:02 UTC: {OVER}. {REFUSED}; release {version(1).hash} is the first "
        f"release and continues. {REFILLS}",
    ),
    "past a closed gate": (
        lambda: told(_slipped(), {}),
        f"Closed since 14:02 UTC: {OVER}. {REFUSED}; release {ID} is held (it started while the "
        f"gate was closed) at 1 of 3 pods, partly effective. {REFILLS}. {BACK}",
    ),
    "re-created": (
        lambda: told(seen(_slipped(), uid="d2"), {}),
        f"Closed since 14:02 UTC: {OVER}. {REFUSED}; release {ID} is held (the Deployment was "
        f"deleted and re-created with it) at 1 of 3 pods, partly effective. {REFILLS}. {BACK}",
    ),
    "missing": (lambda: told(GateStory(seen=MISSING), {}), f"Open since 14:02 UTC: {LEFT}. {MAY}"),
    "an SLO that is missing": (
        lambda: told(
            GateStory(),
            {"slos": (replace(slo(), evidence=Evidence(EvidenceKind.SLO_NOT_FOUND), policy=None),)},
        ),
        "Unknown since 14:02 UTC: cannot evaluate checkout (SLONotFound): no data. "
        f"{REFUSED}. {MEASURABLE}. The author of the Rollout must act: create the SLO, or correct "
        "spec.slos or spec.sloSelector",
    ),
    "of yesterday": (
        lambda: told(GateStory(slos=SPENT), {}, {"now": NOW + span("1d")}),
        f"Closed since 2026-11-24 14:02 UTC: {OVER}. {REFUSED}. {REFILLS}",
    ),
    "off": (
        lambda: told(GateStory(rollout=replace(ROLLOUT, mode=Mode.OFF)), {}),
        "Not enforcing: spec.mode is Off. This Rollout refuses and holds nothing. "
        "Set spec.mode to Enforce or Audit to use the gate",
    ),
    "a second Rollout": (
        lambda: told(GateStory(rival="elder"), {}),
        "Not enforcing: Deployment/checkout is already guarded by Rollout elder. "
        "This Rollout refuses and holds nothing. Delete one of the two Rollouts",
    ),
    "a second Rollout beside one of a long name": (
        lambda: told(GateStory(rival="elder-" * 12), {}),
        "Not enforcing: Rollout elder-elder-elder-el…-elder-elder-elder- already guards this "
        "workload. This Rollout refuses and holds nothing. Delete one of the two Rollouts of "
        f"Deployment/checkout: this one, or {'elder-' * 12}",
    ),
}


def _held() -> GateStory:
    story = begun()
    story.acts("1s", slos=BURNING)
    return story


def _contested() -> GateStory:
    story = begun(rollout=replace(ROLLOUT, on_external_resume=OnExternalResume.ENFORCE))
    story.acts("1s", slos=BURNING)
    hold = replace(story.state.hold, contested_by="argocd-controller")
    story.state = replace(story.state, hold=hold)
    return story


def _slipped() -> GateStory:
    story = GateStory(slos=SPENT)
    story.goes()
    story.release()
    return story


@pytest.mark.parametrize("state", GOLDEN)
def test_the_message_of(state: str) -> None:
    made, golden = GOLDEN[state]
    assert made() == golden


def test_a_pair_with_too_few_bad_events_is_not_the_one_that_is_named() -> None:
    both = slo(looks={**HOT_FAST, **HOT_SLOW})
    read = both.evidence.reading
    assert read is not None
    few = {
        burn_window: replace(count, bad=Decimal(0))
        for burn_window, count in read.burn_windows.items()
    }
    hour = next(burn_window for burn_window in few if str(burn_window) == "1h")
    minutes = next(burn_window for burn_window in few if str(burn_window) == "5m")
    burn_windows = {
        **read.burn_windows,
        hour: EventCounts(Decimal(4), Decimal(4)),
        minutes: EventCounts(*[Decimal(4)] * 2),
    }
    one = replace(
        both, evidence=replace(both.evidence, reading=replace(read, burn_windows=burn_windows))
    )
    assert "6.1x over 6h (limit 6.0x)" in told(GateStory(), {"slos": (one,)})


LONG_TEXTS = st.text(max_size=30) | st.just("line\nbreak " * 500)


@settings(deadline=None)
@given(several(), st.booleans(), st.none() | LONG_TEXTS, st.sampled_from(Mode))
def test_every_message_is_one_line_of_at_most_1024_that_begins_with_its_summary(
    slos, releasing, reason, mode
) -> None:
    story = GateStory(rollout=replace(ROLLOUT, hold_reason=reason, mode=mode))
    story.goes()
    if releasing:
        story.release()
    for number in range(3):
        story.acts("4m", slos=slos)
        gate = story.state.gate
        assert 10 < len(gate.message) <= LONGEST == 1_024
        assert len(gate.message.splitlines()) == 1, number
        assert gate.message == " ".join(gate.message.split())
        assert gate.message.startswith(gate.summary)


NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=1, max_size=253)
RATES = st.decimals("0.0001", "99999999", places=4).map(str)
SHARES = st.decimals("-99999999", "1", places=4).map(str)


def measured(name: str, left: str, burn: str) -> SloEvidence:
    """An SLO that burns as fast everywhere, with what is left of its budget."""
    looks = {"5m": burn, "30m": burn, "1h": burn, "6h": burn}
    return replace(slo(left, looks=looks), name=name)


def lacking(name: str, kind: EvidenceKind, detail: str) -> SloEvidence:
    return replace(slo(), name=name, evidence=Evidence(kind, detail))


@settings(deadline=None)
@given(
    st.builds(measured, NAMES, SHARES, RATES)
    | st.builds(lacking, NAMES, st.sampled_from(UNUSABLE), LONG_TEXTS),
    st.none() | LONG_TEXTS,
    st.none() | NAMES,
    st.sampled_from(["0s", "1d", "400d"]),
)
def test_every_summary_is_one_line_of_at_most_100(one, reason, rival, later) -> None:
    story = GateStory(rollout=replace(ROLLOUT, hold_reason=reason), rival=rival)
    story.acts("1s", slos=(one,))
    story.acts("1s", now=NOW + span(later))
    gate = story.state.gate
    assert 10 < len(gate.summary) <= messages.LONGEST_SUMMARY == 100
    assert gate.summary == " ".join(gate.summary.split())
    assert gate.message.startswith(gate.summary)
    assert (
        gate.message
        == messages.GateMessage(gate.summary, gate.effect, gate.opens_when, gate.advice).text
    )


@pytest.mark.parametrize("kind", UNUSABLE)
def test_each_kind_of_missing_evidence_says_who_must_act(kind: EvidenceKind) -> None:
    message = told(GateStory(), {"slos": (lacking("checkout", kind, "it is away"),)})
    thin = Evidence(kind).grade is EvidenceGrade.THIN
    assert (" must act: " in message) is not thin


def summary(name: str, later: str = "0s") -> str:
    story = GateStory()
    story.acts("1s", slos=(measured(name, "0.625", "14.5"),))
    story.acts("1s", now=NOW + span(later))
    return story.state.gate.summary


def test_a_name_over_40_characters_is_cut_in_the_middle_and_further_beside_a_date() -> None:
    assert summary("checkout-availability") == (
        "Closed since 14:02 UTC: checkout-availability burns at 14.5x over 1h (limit 14.4x), 62.5% "
        "left"
    )
    name = "checkout-availability-of-europe-and-the-americas-99"
    assert summary(name) == (
        "Closed since 14:02 UTC: checkout-avai…e-americas-99 burns at 14.5x over 1h (limit 14.4x), "
        "62.5% left"
    )
    assert summary(name, later="1d") == (
        "Closed since 2026-11-24 14:02 UTC: checkout…icas-99 burns at 14.5x over 1h (limit 14.4x), "
        "62.5% left"
    )


def test_a_name_stays_whole_where_the_detail_can_leave_the_summary_instead() -> None:
    story, name = GateStory(), "a" * 38
    story.acts("1s", slos=(lacking(name, EvidenceKind.UNREACHABLE, "connection refused"),))
    gate = story.state.gate
    assert gate.summary == f"Unknown since 14:02 UTC: cannot evaluate {name} (MetricsUnreachable)"
    assert gate.advice == f"Details: connection refused. {SERVER}"


@pytest.mark.parametrize(
    ("detail", "ending", "advice"),
    [
        ("refused; check it", "cannot evaluate web (MetricsUnreachable): refused; check it", ""),
        (
            "127.0.0.1: 404 Not Found; check the path in spec.url",
            "(MetricsUnreachable): 127.0.0.1: 404 Not Found",
            "Check the path in spec.url. ",
        ),
        (
            "the name metrics.example.com of the source could not be resolved; correct it",
            "cannot evaluate web (MetricsUnreachable)",
            "Details: the name metrics.example.com of the source could not be resolved; correct "
            "it. ",
        ),
    ],
)  # fmt: skip
def test_what_a_summary_has_no_room_for_leads_the_advice(detail, ending, advice) -> None:
    story = GateStory()
    story.acts("1s", slos=(lacking("web", EvidenceKind.UNREACHABLE, detail),))
    gate = story.state.gate
    assert gate.summary.endswith(ending)
    assert gate.advice == f"{advice}{SERVER}"


def test_what_is_too_long_is_cut_with_a_sign() -> None:
    rollout = replace(ROLLOUT, hold_reason="x" * 2_000)
    message = told(GateStory(rollout=rollout), {})
    assert message.endswith("x…")
    assert len(message) <= 1_024


# An SLO's own sentence


def own(evidence: Evidence) -> str:
    assert isinstance(SLO.window, RollingWindow)
    return slo_messages.summary(
        "checkout", OBJECTIVE, SLO.window, evidence.reading, evidence.detail
    )


def test_an_slos_own_sentence_says_promise_budget_and_events() -> None:
    assert own(slo("0.372").evidence) == (
        f"checkout (99% over {WINDOW}) has 37.2% of its error budget left: 6280 bad of 1000000 "
        "events"
    )
    few = Evidence(
        EvidenceKind.INSUFFICIENT_EVENTS, "3 of at least 100 events in the window", reading()
    )
    assert own(few).endswith("events; 3 of at least 100 events in the window")


def test_an_slo_without_a_figure_says_why() -> None:
    assert own(unmeasured().evidence) == (
        "checkout (99% over 30d) has no budget figure: connection refused"
    )


@pytest.mark.parametrize(
    ("share", "text"),
    [
        ("0.0312", "3.1%"),
        ("-0.031", "-3.1%"),
        ("1", "100.0%"),
        ("0", "0.0%"),
        ("-12", "-1200.0%"),
        ("-0.0001", "0.0%"),
    ],
)
def test_shares_are_printed_in_percent(share: str, text: str) -> None:
    assert percent(Decimal(share)) == text

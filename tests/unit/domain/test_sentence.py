"""The one sentence of each state, as people read it: golden, on one line, of bounded length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.domain import sentence
from penstock.domain.evidence import Count, Evidence, Kind
from penstock.domain.policy import Policy, StartPolicy
from penstock.domain.quantities import Percentage
from penstock.domain.rollout import Enforcement, InFlight, Mode, OnExternalResume
from penstock.domain.window import RollingWindow
from penstock.domain.workload import Effect, Phase
from support.cases import HOT_FAST, HOT_SLOW, NOW, OBJECTIVE, WINDOW, reading, slo, span, unmeasured
from support.reports import SLO
from support.standings import MISSING, ROLLOUT, Story, saw, version
from support.worlds import several

BURNING = (slo("0.621", looks=HOT_FAST),)
SPENT = (slo("-0.031", "20"),)
FINE = (slo(),)

ID = version(2).hash
LEFT = "checkout has 50.0 % of its error budget left"
BURNS = (
    "checkout burns its error budget at 14.5x over 1h and 14.5x over 5m (limit 14.4x), 62.1 % left"
)
OVER = "checkout has -3.1 % of its error budget left"
CALM = "10m of calm (burn under 1.0x over 5m and under 2.0x over 30m)"
OPENS = f"it opens after {CALM}"
REFILLS = f"it opens when 1.0 % is left, after {CALM}"
BACK = (
    "to go back, apply the former manifest again or `kubectl set image` to the former image "
    "(`kubectl rollout undo` refuses a paused Deployment)"
)
HELD = f"release {ID} is held, partly effective, at 1 of 3 pods; {BACK}"
LOST = "checkout gives no verdict, MetricsUnreachable: connection refused"
WAIT = "nothing new may start until it can be measured again"


def begun(**facts: Any) -> Story:
    story = Story(**facts)
    story.goes()
    story.release()
    story.goes("10s")
    return story


def told(story: Story, *rounds: dict[str, Any]) -> str:
    for changes in rounds:
        story.acts("1s", **changes)
    assert story.standing.gate is not None
    return story.standing.gate.message


def seen(story: Story, **facts: Any) -> Story:
    story.seen = replace(story.seen, **facts)
    return story


def returned() -> Story:
    """Version 2 was suspect and complete, and version 1 comes back."""
    story = begun()
    story.acts("1s", slos=BURNING, rollout=replace(ROLLOUT, enforcement=OFF))
    story.completes()
    story.acts("1s")
    story.release(1)
    story.acts("1s")
    return story


OFF = Enforcement(in_flight=InFlight.OFF)
GOLDEN: dict[str, tuple[Callable[[], str], str]] = {
    "open": (lambda: told(Story(), {}), f"Open since 14:02 UTC: {LEFT}"),
    "a release goes on": (
        lambda: told(begun()),
        f"Open since 14:02 UTC: {LEFT}; release {ID} goes on",
    ),
    "held for burning fast": (
        lambda: told(begun(), {"slos": BURNING}),
        f"Held since 14:02 UTC: {BURNS}; {OPENS}; {HELD}",
    ),
    "held for burning slowly": (
        lambda: told(Story(), {"slos": (slo(looks=HOT_SLOW),)}),
        "Held since 14:02 UTC: checkout burns its error budget at 6.1x over 6h and 6.1x over 30m "
        f"(limit 6.0x), 50.0 % left; {OPENS}",
    ),
    "recovering from burning": (
        lambda: told(begun(), {"slos": BURNING}, {"slos": FINE}),
        f"Held since 14:02 UTC: {LEFT} and recovers from a burn hold; it opens after calm that "
        f"has lasted until 14:12 UTC; {HELD}",
    ),
    "held without budget": (
        lambda: told(begun(), {"slos": SPENT}),
        f"Held since 14:02 UTC: {OVER}; {REFILLS}; {HELD}",
    ),
    "recovering without margin": (
        lambda: told(Story(), {"slos": SPENT}, {"slos": (slo("0.005"),)}),
        "Held since 14:02 UTC: checkout has 0.5 % of its error budget left and recovers from a "
        "budget hold; it opens when 1.0 % is left, after calm that has lasted until 14:12 UTC",
    ),
    "under the author's floor": (
        lambda: told(
            Story(),
            {"slos": (slo("0.05", policy=Policy(StartPolicy(Percentage.parse("10%")))),)},
        ),
        "Held since 14:02 UTC: checkout has 5.0 % of its error budget left; it opens when 11.0 % "
        f"is left, after {CALM}",
    ),
    "an outage, at first": (
        lambda: told(begun(), {"slos": (unmeasured(),)}),
        f"Unknown since 14:02 UTC: {LOST}; {WAIT}; release {ID} goes on",
    ),
    "an outage, in the end": (
        lambda: told(begun(), {"slos": (unmeasured(),)}, {"now": NOW + span("1h")}),
        f"Unknown since 14:02 UTC: {LOST}; {WAIT}; {HELD}",
    ),
    "no traffic": (
        lambda: told(Story(), {"slos": (slo(kind=Kind.NO_TRAFFIC),)}),
        "Open since 14:02 UTC: checkout gives no verdict, NoTraffic: no admissible evidence",
    ),
    "a person's hold by spec": (
        lambda: told(begun(), {"rollout": replace(ROLLOUT, hold_reason="migration")}),
        f"Held since 14:02 UTC: a person holds it (migration); remove spec.hold to end it; {HELD}",
    ),
    "a person's hold by label": (
        lambda: told(seen(Story(), person_holds=""), {}),
        "Held since 14:02 UTC: a person holds it; remove the label penstock.dev/hold of "
        "Deployment/checkout to end it",
    ),
    "a person's hold by label with a word": (
        lambda: told(seen(Story(), person_holds="migration"), {}),
        "Held since 14:02 UTC: a person holds it (migration); remove the label penstock.dev/hold "
        "of Deployment/checkout to end it",
    ),
    "audit": (
        lambda: told(begun(rollout=replace(ROLLOUT, mode=Mode.AUDIT)), {"slos": BURNING}),
        f"Held since 14:02 UTC: {BURNS}; {OPENS}; release {ID} would be held; mode is Audit, so "
        "nothing is refused or held",
    ),
    "audit of an open gate": (
        lambda: told(Story(rollout=replace(ROLLOUT, mode=Mode.AUDIT)), {}),
        f"Open since 14:02 UTC: {LEFT}",
    ),
    "not enforced in flight": (
        lambda: told(begun(rollout=replace(ROLLOUT, enforcement=OFF)), {"slos": BURNING}),
        f"Held since 14:02 UTC: {BURNS}; {OPENS}; release {ID} would be held",
    ),
    "too late for a pause": (
        lambda: told(seen(begun(), effect=Effect.NONE), {"slos": BURNING}),
        f"Held since 14:02 UTC: {BURNS}; {OPENS}; release {ID} cannot be held any more: too far "
        "gone for a pause to stop it",
    ),
    "fully effective": (
        lambda: told(seen(begun(), effect=Effect.FULL), {"slos": BURNING}),
        f"Held since 14:02 UTC: {BURNS}; {OPENS}; {HELD.replace('partly', 'fully')}",
    ),
    "a workload that cannot be held": (
        lambda: told(seen(begun(), refusal="is owned by Canary web"), {"slos": BURNING}),
        f"Held since 14:02 UTC: {BURNS}; {OPENS}; release {ID} cannot be held: Deployment/checkout "
        "is owned by Canary web",
    ),
    "resumed by a person": (
        lambda: told(seen(_held(), ours=False, paused=False), {}, {"now": NOW + span("2m")}),
        f"Held since 14:02 UTC: {BURNS}; {OPENS}; release {ID} goes on, resumed by a person at "
        "14:02 UTC",
    ),
    "contested": (
        lambda: told(seen(_contested(), ours=False, paused=False), {}),
        f"Held since 14:02 UTC: {BURNS}; {OPENS}; release {ID} is not held: argocd-controller "
        "keeps resuming it",
    ),
    "a return": (
        lambda: told(returned()),
        f"Held since 14:02 UTC: {BURNS}; {OPENS}; release {version(1).hash} returns to a stable "
        "template and is permitted",
    ),
    "a first release": (
        lambda: told(Story(seen=saw(phase=Phase.ROLLING, ever_complete=False)), {"slos": SPENT}),
        f"Held since 14:02 UTC: {OVER}; {REFILLS}; release {version(1).hash} is the first and is "
        "permitted",
    ),
    "past a shut gate": (
        lambda: told(_slipped(), {}),
        f"Held since 14:02 UTC: {OVER}; {REFILLS}; release {ID} is held (it started although the "
        f"gate was shut), partly effective, at 1 of 3 pods; {BACK}",
    ),
    "made anew": (
        lambda: told(seen(_slipped(), uid="d2"), {}),
        f"Held since 14:02 UTC: {OVER}; {REFILLS}; release {ID} is held (the workload was made "
        f"anew with it), partly effective, at 1 of 3 pods; {BACK}",
    ),
    "missing": (lambda: told(Story(seen=MISSING), {}), f"Open since 14:02 UTC: {LEFT}"),
    "an SLO that is missing": (
        lambda: told(
            Story(), {"slos": (replace(slo(), evidence=Evidence(Kind.SLO_NOT_FOUND), guard=None),)}
        ),
        "Unknown since 14:02 UTC: checkout gives no verdict, SLONotFound: no admissible evidence; "
        f"{WAIT}",
    ),
    "of yesterday": (
        lambda: told(Story(slos=SPENT), {}, {"now": NOW + span("1d")}),
        f"Held since 2026-11-24 14:02 UTC: {OVER}; {REFILLS}",
    ),
    "off": (
        lambda: told(Story(rollout=replace(ROLLOUT, mode=Mode.OFF)), {}),
        "Enforces nothing: spec.mode is Off; set it to Enforce or Audit to have it decided",
    ),
    "a second Rollout": (
        lambda: told(Story(rival="elder"), {}),
        "Enforces nothing: Rollout elder guards Deployment/checkout already; delete one of the two",
    ),
}


def _held() -> Story:
    story = begun()
    story.acts("1s", slos=BURNING)
    return story


def _contested() -> Story:
    story = begun(rollout=replace(ROLLOUT, on_external_resume=OnExternalResume.ENFORCE))
    story.acts("1s", slos=BURNING)
    hold = replace(story.standing.hold, contested_by="argocd-controller")
    story.standing = replace(story.standing, hold=hold)
    return story


def _slipped() -> Story:
    story = Story(slos=SPENT)
    story.goes()
    story.release()
    return story


@pytest.mark.parametrize("state", GOLDEN)
def test_the_sentence_of(state: str) -> None:
    made, golden = GOLDEN[state]
    assert made() == golden


def test_a_pair_with_too_few_bad_events_is_not_the_one_that_is_named() -> None:
    both = slo(looks={**HOT_FAST, **HOT_SLOW})
    read = both.evidence.reading
    assert read is not None
    few = {look: replace(count, bad=Decimal(0)) for look, count in read.looks.items()}
    hour = next(look for look in few if str(look) == "1h")
    minutes = next(look for look in few if str(look) == "5m")
    looks = {**read.looks, hour: Count(Decimal(4), Decimal(4)), minutes: Count(*[Decimal(4)] * 2)}
    one = replace(both, evidence=replace(both.evidence, reading=replace(read, looks=looks)))
    assert "6.1x over 6h and 6.1x over 30m (limit 6.0x)" in told(Story(), {"slos": (one,)})


@settings(deadline=None)
@given(
    several(),
    st.booleans(),
    st.none() | st.text(max_size=30) | st.just("line\nbreak " * 500),
    st.sampled_from(Mode),
)
def test_every_sentence_is_one_line_of_at_most_1024(slos, releasing, reason, mode) -> None:
    story = Story(rollout=replace(ROLLOUT, hold_reason=reason, mode=mode))
    story.goes()
    if releasing:
        story.release()
    for number in range(3):
        story.acts("4m", slos=slos)
        message = story.standing.gate.message
        assert 10 < len(message) <= sentence.LONGEST == 1_024
        assert len(message.splitlines()) == 1, number
        assert message == " ".join(message.split())


def test_what_is_too_long_is_cut_with_a_sign() -> None:
    rollout = replace(ROLLOUT, hold_reason="x" * 2_000)
    message = told(Story(rollout=rollout), {})
    assert len(message) == 1_024
    assert message.endswith("x…")


# An SLO's own sentence


def own(evidence: Evidence) -> str:
    assert isinstance(SLO.window, RollingWindow)
    return sentence.slo("checkout", OBJECTIVE, SLO.window, evidence.reading, evidence.detail)


def test_an_slos_own_sentence_says_promise_budget_and_events() -> None:
    assert own(slo("0.372").evidence) == (
        f"checkout (99% over {WINDOW}) has 37.2 % of its error budget left: 6280 bad of 1000000 "
        "events"
    )
    few = Evidence(Kind.INSUFFICIENT_EVENTS, "3 of at least 100 events in the window", reading())
    assert own(few).endswith("events; 3 of at least 100 events in the window")


def test_an_slo_without_a_figure_says_why() -> None:
    assert own(unmeasured().evidence) == (
        "checkout (99% over 30d) has no budget figure: connection refused"
    )


@pytest.mark.parametrize(
    ("share", "text"),
    [
        ("0.0312", "3.1 %"),
        ("-0.031", "-3.1 %"),
        ("1", "100.0 %"),
        ("0", "0.0 %"),
        ("-12", "-1200.0 %"),
        ("-0.0001", "0.0 %"),
    ],
)
def test_shares_are_printed_in_percent(share: str, text: str) -> None:
    assert sentence.percent(Decimal(share)) == text

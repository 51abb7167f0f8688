"""Trouble between the operator and the real API server: it recovers, and comes to the same end."""

from __future__ import annotations

import itertools
import random
import re
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support import draws
from support.deployed import shipped_rules_of_all_namespaces
from support.operator_process import Operator, wait_for
from support.oracle import assert_a_fresh_operator_agrees, end_state
from support.story import API_VERSION, NAME, Story, played
from support.traffic import Traffic, running
from testbed import identities, third_party_crds
from testbed.bed import Bed
from testbed.fault_actions import (
    Act,
    ApplyThenCut,
    CutThenApply,
    CutWatch,
    Delay,
    Drop,
    EditWatch,
    HangAfterHeaders,
    InjectLine,
    LateAnswer,
    api_error,
    watch_error,
)
from testbed.fault_plan import Always, First, Match, Nth, Plan, Rule, When
from testbed.proxy import FaultProxy, before_api_server
from testbed.proxy_relay import Exchange
from testbed.recorder import HOLD_MANAGER, Write

pytestmark = [pytest.mark.servers, pytest.mark.slow]
# Two halves that may run at the same time, each with a bed of its own.
AT_READS = pytest.mark.xdist_group("API faults: reads and outages")
AT_WRITES = pytest.mark.xdist_group("API faults: writes")

STATUS, RECORD, HOLD = "rollouts/web/status$", "gaterecords(/web)?$", "deployments/web$"
EVENT = "events$"
THEIR_DISCOVERY = "apis/(flagger.app|argoproj.io)/[^/]+$"
THEIR_OBJECTS = "apis/(flagger.app/.*/canaries|argoproj.io/.*/rollouts)$"
LISTS = "penstock.dev/v1alpha1/(rollouts|slos|gaterecords)$"
OUTAGE_SECONDS = 20.0
# What comes late is let through by the test; at the latest then, so that none hangs for ever.
LATEST_SECONDS = 120.0
STREAMS = 5
# A gate that closes and opens makes at least so many writes. A full run kills at each of them, a
# commit at so many; tests/engine kills at every write of every story, in virtual time.
WRITES = 6
KILLS = 2


@pytest.fixture(scope="module")
def bed(servers: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A bed of its own, because its API server is ended."""
    with Bed.start(tmp_path_factory.mktemp("faults"), binaries=servers) as found:
        yield found


@pytest.fixture(scope="module")
def proxy(bed: Bed) -> Iterator[FaultProxy]:
    with before_api_server(bed.server, bed.pki) as found:
        yield found


@pytest.fixture(scope="module")
def traffic(bed: Bed) -> Iterator[Traffic]:
    namespace = f"traffic-{secrets.token_hex(4)}"
    bed.kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    with running(bed, namespace) as found:
        yield found


@pytest.fixture(scope="module")
def operator(
    bed: Bed, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """Behind the proxy, with the shipped rights; it looks for what a watch has missed every 5 s."""
    folder = tmp_path_factory.mktemp("operator")
    account = identities.service_account(bed.kube, "default", "penstock")
    identities.grant_everywhere(bed.kube, account, shipped_rules_of_all_namespaces())
    path = identities.token_kubeconfig(
        folder / "kubeconfig", proxy.url, bed.ca_file, identities.token(bed.kube, account)
    )
    log = folder / "penstock.log"
    with Operator(bed, log, kubeconfig=path, resync_interval="5") as found:
        yield found


@pytest.fixture
def story(
    bed: Bed, namespace: str, operator: Operator, traffic: Traffic, proxy: FaultProxy
) -> Iterator[Story]:
    """A release under way behind an open gate, whose new pods never get ready.

    At the test's end the oracle judges it, with what the proxy has recorded.
    """
    found = Story(bed, namespace, operator, traffic)
    found.guarded(replicas=4)
    found.change(ready_after="never")
    wait_for("both versions run", found.replicas, lambda it: set(it) == {"1", "2"})
    try:
        yield found
    except BaseException as failure:
        failure.add_note(found.operator.last_words())
        raise


def close_and_open(story: Story) -> None:
    """A person holds and lets go: the gate closes, the release is held, and all of it ends."""
    story.hold()
    story.wait_gate("Closed", "HeldByPerson")
    story.wait_held()
    story.unhold()
    story.wait_gate("Open", "BudgetHealthy")
    story.wait_released()


def on_writes(story: Story, *acts: tuple[str, When, Act]) -> Plan:
    """Faults on writes in this story's namespace alone."""
    here = f"namespaces/{story.namespace}/"
    return Plan(
        tuple(
            Rule(Match(("PATCH", "POST", "PUT"), path=here + path, when=when), act)
            for path, when, act in acts
        )
    )


@AT_WRITES
def test_refused_and_failed_writes_are_tried_again(story: Story, proxy: FaultProxy) -> None:
    refusals = (api_error(409), api_error(429, retry_after=1), api_error(500), api_error(403))
    plan = on_writes(
        story,
        *(
            (path, Nth(number), act)
            for path in (STATUS, RECORD, HOLD)
            for number, act in enumerate(refusals, 1)
        ),
        ("slos/web/status$", Always(), api_error(403)),
    )
    with proxy.faults(plan) as armed:
        story.hold()
        story.wait_gate("Closed", "HeldByPerson", seconds=150)
        story.wait_held()
        assert len(armed.hits) >= len(refusals) * 3
        story.unhold()
        story.wait_gate("Open", "BudgetHealthy")
        story.wait_released()
    told = [one["message"] for one in story.events() if one["reason"] == "HeldByPerson"]
    assert len(told) == len(set(told)), "the same thing is told once"
    assert "Forbidden" in story.reasons()
    assert_a_fresh_operator_agrees(story)


@AT_WRITES
def test_writes_that_were_done_but_never_answered_are_done_once(
    story: Story, proxy: FaultProxy
) -> None:
    paths = (STATUS, RECORD, HOLD, EVENT)
    plan = on_writes(story, *((path, First(1), ApplyThenCut()) for path in paths))
    with proxy.faults(plan) as armed:
        close_and_open(story)
        assert len(armed.hits) == len(paths)
    assert story.reasons().count("HeldByPerson") == 1
    assert_a_fresh_operator_agrees(story)


@AT_READS
@pytest.mark.parametrize(
    "act",
    [
        CutWatch(after_seconds=1),
        watch_error(410),
        watch_error(500),
        InjectLine("this is no JSON", end=True),
    ],
    ids=["cut each second", "error 410", "error 500", "garbage"],
)
def test_whatever_ends_the_watches_changes_are_seen(
    story: Story, proxy: FaultProxy, act: Act
) -> None:
    fault = Rule(Match(("GET",), query="watch=true", when=First(STREAMS * 2)), act)
    with proxy.faults(Plan((fault,))) as armed:
        proxy.cut_watches()
        proxy.wait(lambda: armed.hits, seconds=90)
        close_and_open(story)
    assert end_state(story)["paused"] is None


@AT_READS
def test_lists_that_fail_delay_the_start_and_that_is_all(story: Story, proxy: FaultProxy) -> None:
    refusals = (api_error(500), api_error(429, retry_after=1), api_error(410))
    plan = Plan(
        tuple(
            Rule(Match(("GET",), path=LISTS, query="^(?!.*watch=)", when=Nth(number)), act)
            for number, act in enumerate(refusals, 1)
        )
    )
    story.operator.stop()
    with proxy.faults(plan) as armed:
        story.operator.start()
        assert len(armed.hits) == len(refusals)
        close_and_open(story)


@AT_READS
def test_a_deletion_that_no_watch_reported_is_found_by_the_next_list(
    story: Story, proxy: FaultProxy
) -> None:
    story.hold()
    story.wait_held()
    silent = Rule(Match(("GET",), query="watch=true"), EditWatch('"type":"DELETED"', "drop"))
    with proxy.faults(Plan((silent,))) as armed:
        proxy.cut_watches("rollouts")
        proxy.wait(lambda: armed.hits)
        story.do("delete", "rollouts.penstock.dev/web")

        wait_for("our pause is gone", story.pausers, lambda found: found == [])
    assert 'penstock_swept_total{kind="rollouts"}' in story.operator.metrics()
    wait_for("it is told", story.reasons, lambda found: found[-1] == "HoldReleased")


def lists_of_slos(proxy: FaultProxy, after: datetime) -> list[Exchange]:
    """Those that were asked for since, and have been answered."""
    path = f"/apis/{API_VERSION}/slos"
    found = (one for one in proxy.log if (one.path, one.is_watch) == (path, False))
    return [one for one in found if one.at > after and one.ended]


@contextmanager
def a_late_list_of_slos(story: Story, proxy: FaultProxy) -> Iterator[None]:
    """One that was made before what happens here, and arrives after it."""
    match = Match(("GET",), path="/v1alpha1/slos$", query="^(?!.*watch=)", when=First(1))
    with proxy.faults(Plan((Rule(match, LateAnswer(LATEST_SECONDS)),))) as armed:
        proxy.wait(lambda: armed.hits, seconds=60)
        asked = datetime.now(UTC)
        yield
        assert lists_of_slos(proxy, asked) == [], "it came before all had happened"
        (late,) = [one for one in proxy.log if one.fault.startswith("LateAnswer") and not one.ended]
        proxy.let_through()
        proxy.wait(lambda: late.ended, seconds=60)
        proxy.wait(lambda: lists_of_slos(proxy, asked), seconds=60)


@AT_READS
def test_a_list_that_comes_late_undoes_nothing_that_the_watch_has_reported(
    story: Story, proxy: FaultProxy
) -> None:
    def swept() -> list[str]:
        told = story.operator.metrics().splitlines()
        return [one for one in told if one.startswith('penstock_swept_total{kind="slos"}')]

    before = swept()
    with a_late_list_of_slos(story, proxy):
        story.slo("meanwhile")
        story.wait_measured("meanwhile")
    assert swept() == before, "an SLO was forgotten that is there"
    with a_late_list_of_slos(story, proxy):
        story.do("delete", "slos.penstock.dev/meanwhile")
        wait_for("it is gone", story.operator.metrics, lambda it: '"meanwhile"' not in it)
    assert swept() == before, "an SLO came back that was deleted"


@contextmanager
def outage(proxy: FaultProxy) -> Iterator[None]:
    proxy.down()
    try:
        yield
    finally:
        proxy.up()


@AT_READS
def test_what_happens_during_an_outage_is_acted_on_after_it(
    story: Story, proxy: FaultProxy
) -> None:
    with outage(proxy):
        story.hold()
        time.sleep(OUTAGE_SECONDS)
        assert story.gate()["state"] == "Open"
    story.wait_gate("Closed", "HeldByPerson")
    story.wait_held()
    story.unhold()
    story.wait_released()
    assert story.reasons().count("HeldByPerson") == 1


@AT_READS
def test_a_restarted_api_server_is_found_again(story: Story) -> None:
    story.hold()
    story.wait_held()
    story.bed.control_plane.stop_api_server()
    story.bed.control_plane.start_api_server()
    story.unhold()
    story.wait_gate("Open", "BudgetHealthy")
    story.wait_released()
    close_and_open(story)


@pytest.fixture
def _other_tools(bed: Bed) -> Iterator[None]:
    """The kinds of Flagger and Argo Rollouts: what is not served is not asked for."""
    crds = [*third_party_crds.argo_rollouts_crds(), *third_party_crds.flagger_crds()]
    third_party_crds.install(bed.kube, crds)
    yield
    third_party_crds.uninstall(bed.kube, crds)


@AT_READS
@pytest.mark.usefixtures("_other_tools")
@pytest.mark.parametrize("path", [THEIR_DISCOVERY, THEIR_OBJECTS], ids=["discovery", "objects"])
@pytest.mark.parametrize(
    ("act", "trouble"),
    [
        (api_error(403), "injected fault"),
        (api_error(500), "injected fault"),
        (Drop(), "no answer within 5 s"),
    ],
    ids=["forbidden", "failing", "hanging"],
)
def test_no_gate_waits_for_the_kinds_of_other_tools(
    story: Story, proxy: FaultProxy, path: str, act: Act, trouble: str
) -> None:
    story.operator.stop()
    with proxy.faults(Plan((Rule(Match(("GET",), path=path), act),))) as armed:
        story.operator.start()
        close_and_open(story)
        assert armed.hits
    log = story.operator.last_words().rpartition(" starts with ")[2]
    for tool in ("Flagger", "Argo Rollouts"):
        assert re.search(f"which workloads {tool} manages: .*{trouble}", log), log


@AT_WRITES
def test_a_late_hold_does_not_touch_a_namesake(story: Story, proxy: FaultProxy) -> None:
    with proxy.faults(on_writes(story, (HOLD, First(1), Delay(LATEST_SECONDS)))) as armed:
        story.hold()
        proxy.wait(lambda: armed.hits, seconds=60)
        story.kube.call("DELETE", story.path("deployments") + f"/{NAME}")
        wait_for("it is gone", lambda: not story.deployment())
        story.deploy(played(replicas=2))
        proxy.let_through()
        late = wait_for(
            "the late hold is answered",
            lambda: proxy.recorder.writes(namespace=story.namespace, resource="deployments"),
        )
    assert late[0].applied is False
    assert story.pausers() == []


def late_writes(story: Story, proxy: FaultProxy) -> list[Write]:
    found = proxy.recorder.writes(namespace=story.namespace)
    return [one for one in found if one.fault.startswith("CutThenApply")]


@AT_WRITES
def test_what_is_written_late_undoes_nothing_that_was_decided_since(
    story: Story, proxy: FaultProxy
) -> None:
    late = CutThenApply(LATEST_SECONDS)
    closing = on_writes(story, (STATUS, First(1), late), (RECORD, First(1), late))
    with proxy.faults(closing) as armed:
        close_and_open(story)
        told = end_state(story)
        proxy.let_through()
        wait_for("they came", lambda: late_writes(story, proxy), lambda it: len(it) == 2)
        assert len(armed.hits) == 2
    assert [one.code for one in late_writes(story, proxy)] == [409, 409]
    assert end_state(story) == told


@AT_WRITES
def test_a_late_release_does_not_end_the_hold_that_was_made_since(
    story: Story, proxy: FaultProxy
) -> None:
    story.hold()
    story.wait_held()
    with proxy.faults(on_writes(story, (HOLD, First(1), CutThenApply(LATEST_SECONDS)))):
        story.unhold()
        story.wait_released()
        story.hold()
        story.wait_held()
        proxy.let_through()
        wait_for("it came", lambda: late_writes(story, proxy))
    assert [one.code for one in late_writes(story, proxy)] == [409]
    held = [one for one in story.pausers() if one.startswith(HOLD_MANAGER)]
    assert len(held) == 1


@AT_WRITES
@pytest.mark.parametrize("seed", range(1, 1 + draws.size(commit=1, full=2)))
def test_random_trouble_ends_and_all_is_as_if_it_had_not_been(
    story: Story, proxy: FaultProxy, seed: int
) -> None:
    with proxy.faults(Plan.random(seed, seconds=15.0)):
        proxy.cut_watches()
        close_and_open(story)
    assert story.reasons().count("HeldByPerson") <= 1
    assert_a_fresh_operator_agrees(story)


@AT_WRITES
@pytest.mark.timeout(900)
@pytest.mark.parametrize("act", [Drop(), HangAfterHeaders()], ids=["before", "after"])
def test_killed_at_any_write_its_successor_comes_to_the_same_end(
    story: Story, proxy: FaultProxy, act: Act
) -> None:
    close_and_open(story)
    unharmed = end_state(story)
    for number in killed_at():
        any_write = f"({STATUS}|{RECORD}|{HOLD}|{EVENT})"
        plan = on_writes(story, (any_write, Nth(number), act))
        with killed_when_hit(story.operator, proxy, plan) as killed:
            close_and_open(story)
        assert end_state(story) == unharmed, f"killed at write {number}"
        if not killed.is_set():
            assert number > WRITES, "it writes less than it did"
            return


def killed_at() -> Iterator[int]:
    """The numbers of writes: a few that are drawn, or one after the other until there are none."""
    if draws.is_full():
        return itertools.count(1)
    return iter(sorted(random.Random(draws.seed()).sample(range(1, WRITES + 1), KILLS)))


@contextmanager
def killed_when_hit(operator: Operator, proxy: FaultProxy, plan: Plan) -> Iterator[threading.Event]:
    """The operator is killed while the request hangs, and its successor meets no fault."""
    killed, over = threading.Event(), threading.Event()
    failures: list[Exception] = []
    armed = proxy.arm(plan)

    def watch() -> None:
        while not armed.hits:
            if over.wait(0.02):
                return
        operator.kill()
        proxy.disarm()
        killed.set()
        try:
            operator.start()
        except Exception as failure:  # noqa: BLE001 - told by whoever waits for the thread
            failures.append(failure)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield killed
    finally:
        over.set()
        watcher.join()
        proxy.disarm()
    assert failures == []

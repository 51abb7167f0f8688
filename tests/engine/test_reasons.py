"""Each reason is reached by a story, and says what to do; the last test misses none."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from penstock.domain.evidence import REASONS, EvidenceKind
from penstock.domain.template import LARGEST_TEMPLATE
from penstock.domain.verdict import Reason
from support.doubles.measures import BURNING, EXHAUSTED, HEALTHY, Measured, missing
from support.virtual.stories import under_way
from support.virtual.world import World

THIN = {
    EvidenceKind.NO_TRAFFIC,
    EvidenceKind.INSUFFICIENT_EVENTS,
    EvidenceKind.INSUFFICIENT_HISTORY,
    EvidenceKind.WARMING_UP,
}
MEASURED = {
    EvidenceKind.STALE,
    EvidenceKind.ABSENT,
    EvidenceKind.AMBIGUOUS,
    EvidenceKind.MALFORMED,
    EvidenceKind.PARTIAL,
    EvidenceKind.UNREACHABLE,
    EvidenceKind.UNAUTHORIZED,
    EvidenceKind.CLOCK_SKEW,
    EvidenceKind.REJECTED,
}


@pytest.mark.parametrize("kind", sorted(MEASURED))
async def test_missing_evidence_lets_nothing_start_and_says_why(
    world: World, kind: EvidenceKind
) -> None:
    await world.guarded()
    world.measures(missing(kind, "this is what the source says"))
    gate = await world.gate_is("Unknown", REASONS[kind])
    assert gate["verdict"] == "Unknown"
    assert "this is what the source says" in gate["message"]
    assert not world.admits()
    world.measures(HEALTHY)
    await world.gate_is("Open", "BudgetHealthy")
    await world.told("BudgetHealthy", REASONS[kind], "BudgetHealthy")


@pytest.mark.parametrize("kind", sorted(THIN))
async def test_thin_evidence_permits_and_is_named(world: World, kind: EvidenceKind) -> None:
    await world.guarded()
    world.measures(missing(kind))
    gate = await world.gate_is("Open", REASONS[kind])
    assert gate["verdict"] == "Unknown"
    assert world.admits()


async def test_too_few_events_are_thin_evidence(world: World) -> None:
    world.source()
    world.slo(minimumEvents=2_000_000)
    world.deploy()
    world.rollout()
    world.start()
    gate = await world.gate_is("Open", "InsufficientEvents")
    assert "of at least 2000000 events" in gate["message"]


async def test_a_low_budget_closes_at_the_authors_floor(world: World) -> None:
    await world.guarded(policy={"start": {"holdAt": "50%"}})
    world.measures(Measured(left="0.4"))
    gate = await world.gate_is("Closed", "BudgetLow")
    assert gate["verdict"] == "Hold"
    assert "51.0" in gate["message"]


async def test_a_slower_burn_pair_closes_where_the_fastest_is_calm(world: World) -> None:
    await world.guarded()
    world.measures(Measured(burns={"6h": "7", "30m": "7"}))
    gate = await world.gate_is("Closed", "BurningSlow")
    assert "over 6h" in gate["message"]


async def test_a_pair_that_can_never_fire_is_refused_and_nothing_starts(world: World) -> None:
    never = {"burn": [{"long": "10m", "short": "5m", "factor": "100"}]}
    await world.guarded()
    world.edit(policy=never)
    gate = await world.gate_is("Unknown", "PolicyInvalid")
    assert "can never fire at an objective of 99%" in gate["message"]
    assert world.condition("Ready")["reason"] == "PolicyInvalid"
    world.edit(policy=None)
    await world.gate_is("Open", "BudgetHealthy")


async def test_an_slo_that_nobody_can_act_on_lets_nothing_start(world: World) -> None:
    await world.guarded()
    world.slo(indicator={"ratio": {"bad": 'errors{code=~"("}', "total": "requests"}})
    gate = await world.gate_is("Unknown", "SLOInvalid", seconds=3)
    assert "spec.indicator.ratio.bad" in gate["message"]
    assert world.condition("Ready")["reason"] == "SLOInvalid"
    told = await world.condition_is("Ready", "False", "SpecInvalid", kind="slos")
    assert "spec.indicator.ratio.bad" in told["message"]
    world.slo()
    await world.gate_is("Open", "BudgetHealthy")


async def test_an_slo_that_is_missing_arrives_and_is_deleted_while_in_use(world: World) -> None:
    world.source()
    world.deploy()
    world.rollout()
    world.start()
    gate = await world.gate_is("Unknown", "SLONotFound")
    assert "create the SLO, or correct spec.slos" in gate["message"]
    assert not world.admits()
    world.slo()
    await world.gate_is("Open", "BudgetHealthy", seconds=3)
    await under_way(world)
    world.delete("slos")
    await world.gate_is("Unknown", "SLONotFound", seconds=3)
    assert not world.admits()
    assert not world.workload().paused
    world.slo()
    await world.gate_is("Open", "BudgetHealthy", seconds=3)


async def test_a_source_that_is_missing_arrives(world: World) -> None:
    world.slo(sourceRef={"kind": "MetricsSource", "name": "later"})
    world.deploy()
    world.rollout()
    world.start()
    gate = await world.gate_is("Unknown", "SourceNotFound")
    assert "MetricsSource later does not exist" in gate["message"]
    world.source("later")
    await world.gate_is("Open", "BudgetHealthy", seconds=3)


async def test_a_workload_that_is_missing_is_reported_and_guarded_when_it_comes(
    world: World,
) -> None:
    world.source()
    world.slo()
    world.rollout()
    world.start()
    told = await world.condition_is("WorkloadSupported", "False", "WorkloadNotFound")
    assert "create it" in told["message"]
    world.deploy()
    await world.condition_is("WorkloadSupported", "True")
    await world.gate_is("Open", "BudgetHealthy")


async def test_a_workload_that_another_tool_drives_is_refused_with_its_name(world: World) -> None:
    await world.guarded()
    world.workload().refusal = (
        "is owned by Canary web of Flagger; point the Rollout at that instead"
    )
    world.workload().changed()
    told = await world.condition_is("WorkloadSupported", "False", "WorkloadUnsupported")
    assert "Canary web" in told["message"]
    world.release(pace=None)
    world.measures(BURNING)
    await world.gate_is("Closed", "BurningFast")
    await world.passes(300)
    assert not world.workload().paused


async def test_a_kind_without_an_adapter_is_reported_as_unsupported(
    world: World,
) -> None:
    world.source()
    world.slo()
    world.rollout(kind="Oddity")
    world.start()
    await world.condition_is("WorkloadSupported", "False", "WorkloadUnsupported")


async def test_of_two_rollouts_of_one_workload_the_older_one_enforces(world: World) -> None:
    await world.guarded()
    await world.passes(5)
    world.rollout("rival")
    told = await world.condition_is("Ready", "False", "WorkloadConflict", name="rival")
    assert "Deployment/web is already guarded by Rollout web" in told["message"]
    assert world.gate("rival")["state"] == "Open"
    await world.held_for_burning(BURNING)
    assert len(world.workload().holders) == 1

    world.delete("rollouts", "web")
    await world.gate_is("Closed", "BurningFast", name="rival", seconds=3)
    await world.until("the younger holds", lambda: world.workload().paused)
    assert len(world.workload().holders) == 1


async def test_what_started_past_a_closed_gate_is_held(world: World) -> None:
    await world.guarded()
    world.measures(EXHAUSTED)
    await world.gate_is("Closed", "BudgetExhausted")
    world.release(pace=None)
    status = await world.held("partial")
    assert status["release"]["reason"] == "AdmittedWhileClosed"
    assert status["release"]["onset"] == "WhileClosed"
    world.measures(HEALTHY)
    await world.not_held(seconds=900)


async def test_a_workload_recreated_with_another_template_is_reported_as_ungated(
    world: World,
) -> None:
    await world.guarded()
    world.measures(EXHAUSTED)
    await world.gate_is("Closed", "BudgetExhausted")
    world.undeploy()
    await world.condition_is("WorkloadSupported", "False", "WorkloadNotFound")
    made = world.deploy(tag="2")
    made.release_again("3")
    status = await world.held("partial")
    assert status["release"]["reason"] == "ReleasedUngated"


async def test_a_first_release_passes_a_closed_gate_and_the_next_one_does_not(world: World) -> None:
    world.source()
    world.slo()
    world.measures(EXHAUSTED)
    world.rollout()
    world.start()
    await world.gate_is("Closed", "BudgetExhausted")
    world.deploy_for_the_first_time()
    status = await world.until(
        "it is told", lambda: (world.status().get("release") or {}).get("reason")
    )
    assert world.status()["release"]["reason"] == "FirstReleasePermitted", status
    assert not world.workload().paused
    world.workload().begin()
    world.workload().changed()
    await world.until("it is complete", lambda: not world.status().get("release"))
    world.release(pace=None)
    await world.held("partial")


async def test_a_return_to_a_stable_template_is_never_held(world: World) -> None:
    await world.guarded()
    world.release("2")
    await world.until("both are stable", lambda: len(world.status()["stable"]) == 2)
    world.hold()
    await world.gate_is("Closed", "HeldByPerson")
    world.release("1", pace=None)
    await world.until(
        "it is told",
        lambda: (world.status().get("release") or {}).get("reason") == "RollbackPermitted",
    )
    await world.passes(300)
    assert not world.workload().paused
    assert [
        one["template"]["spec"]["containers"][0]["image"] for one in world.record()["templates"]
    ]


async def test_a_rollback_of_what_is_held_is_let_go_at_once(world: World) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    world.release("1", pace=None)
    await world.not_held(seconds=3)


async def test_a_person_who_resumes_is_respected_and_named(world: World) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    world.workload().resume()
    await world.until("it is noticed", lambda: world.status()["release"].get("resumedAt"))
    await world.passes(600)
    assert world.status()["release"]["reason"] == "OverrideActive"
    assert not world.workload().paused


async def test_a_template_too_large_for_admission_is_reported_and_admission_only_warns(
    world: World,
) -> None:
    world.source()
    world.slo()
    made = world.deploy()
    made.template["spec"]["containers"][0]["env"] = [
        {"name": "LARGE", "value": "x" * LARGEST_TEMPLATE}
    ]
    world.rollout()
    world.start()
    told = await world.condition_is("Ready", "False", "TemplateTooLarge")
    assert "make the pod template smaller" in told["message"]
    assert world.record()["admission"] == "Warn"


async def test_in_audit_all_is_reported_and_nothing_is_done(world: World) -> None:
    await world.guarded(mode="Audit")
    await world.condition_is("Ready", "True", "AuditOnly")
    world.release(pace=None)
    world.measures(BURNING)
    await world.gate_is("Closed", "BurningFast")
    await world.passes(600)
    assert world.admits()
    assert not world.workload().paused
    assert world.writes("deployments") == []


async def test_off_decides_nothing_and_gives_a_hold_back(world: World) -> None:
    await world.guarded()
    await world.held_for_burning(BURNING)
    world.edit(mode="Off")
    await world.gate_is("Open", "Disabled", seconds=3)
    await world.not_held(seconds=3)
    assert world.admits()


async def test_while_the_past_is_read_by_another_indicator_both_count(world: World) -> None:
    await world.guarded()
    world.measures(Measured(former=HEALTHY, detail="Migrating"))
    await world.condition_is("Ready", "True", REASONS[EvidenceKind.MIGRATING], kind="slos")
    assert world.gate()["state"] == "Open"
    world.measures(Measured(former=EXHAUSTED, detail="Migrating"))
    await world.gate_is("Closed", "BudgetExhausted")
    world.measures(Measured(left="-0.5", burn="2", former=HEALTHY, detail="Migrating"))
    await world.gate_is("Closed", "BudgetExhausted")


async def test_somebody_who_pins_the_field_by_apply_is_named_and_not_overruled(
    world: World,
) -> None:
    await world.guarded()
    world.workload().pausers["argocd"] = False
    world.release(pace=None)
    world.measures(BURNING)
    told = await world.condition_is("Contested", "True", "Contested")
    assert "argocd" in told["message"]
    begun = world.loop.time()
    await world.passes(3_600)
    assert not world.workload().paused
    assert len(world.calls("hold", since=begun)) == 0


async def test_nothing_is_held_is_a_reason_too(world: World) -> None:
    await world.guarded()
    assert world.condition("Held")["reason"] == "NotHeld"


def test_no_reason_is_missed() -> None:
    """Each is named by a story of this folder, by its word or by its kind."""
    named: set[str] = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named.add(node.value)
            if isinstance(node, ast.Attribute) and node.attr in EvidenceKind.__members__:
                named.add(str(REASONS[EvidenceKind[node.attr]]))
    assert {str(reason) for reason in Reason} - named == set()

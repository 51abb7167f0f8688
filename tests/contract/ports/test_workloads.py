"""The contract of ``engine.ports.Workloads`` for Deployments."""

from __future__ import annotations

from dataclasses import replace

from penstock.domain.workload import HoldEffect, Phase, WorkloadState
from penstock.engine.ports import HoldOutcome, HoldRef, HoldResult, Workloads
from support.doubles.sides import NAME, REF, REPLICAS, Side

ONE, OTHER = "11111111-uid-of-one", "22222222-uid-of-another"


async def seen(side: Side, workloads: Workloads, owner: str = ONE) -> WorkloadState:
    return await workloads.observe(side.namespace, REF, f"penstock-hold-{owner}")


async def hold(
    side: Side, workloads: Workloads, owner: str = ONE, *, keep: bool = False
) -> HoldResult:
    found = await seen(side, workloads, owner)
    return await workloads.hold(found, f"penstock-hold-{owner}", keep=keep)


async def release(side: Side, workloads: Workloads, owner: str = ONE) -> HoldResult:
    found = await seen(side, workloads, owner)
    return await workloads.release(HoldRef(side.namespace, REF, found.uid, owner))


async def holds(side: Side, workloads: Workloads) -> set[tuple[str, bool]]:
    return {
        (one.owner, one.keep)
        for one in await workloads.held()
        if (one.namespace, one.ref.name) == (side.namespace, NAME)
    }


async def test_what_is_not_there_is_missing_and_can_be_neither_held_nor_released(
    side: Side,
) -> None:
    workloads = side.workloads()
    found = await seen(side, workloads)
    assert found == WorkloadState(side.namespace, REF, "", Phase.MISSING)
    assert not found.exists
    manager = f"penstock-hold-{ONE}"
    result = await workloads.hold(replace(found, uid="gone"), manager, keep=False)
    assert result.outcome is HoldOutcome.GONE
    result = await workloads.release(HoldRef(side.namespace, REF, "gone", ONE))
    assert result.outcome is HoldOutcome.GONE
    assert await holds(side, workloads) == set()


async def test_at_rest_it_is_complete_and_a_hold_would_stop_nothing(side: Side) -> None:
    side.deploy()
    found = await seen(side, side.workloads())
    assert (found.phase, found.effect) == (Phase.COMPLETE, HoldEffect.NONE)
    assert (found.updated, found.total) == (REPLICAS, REPLICAS)
    assert found.ever_complete
    assert found.unsupported_reason is None
    assert found.template is not None
    assert found.template.images == (f"example.com/{NAME}:1",)
    assert found.former_templates == (found.template,)
    assert (found.paused, found.pause_managers, found.held_by_us, found.keep_held) == (
        False,
        (),
        False,
        False,
    )
    assert (found.pinned_by, found.person_holds) == (None, None)


async def test_a_hold_is_read_back_listed_with_its_owner_and_done_once(side: Side) -> None:
    side.deploy()
    workloads = side.workloads()
    assert (await hold(side, workloads)).outcome is HoldOutcome.DONE
    version = side.workload_version()
    found = await seen(side, workloads)
    assert (found.paused, found.held_by_us, found.keep_held) == (True, True, False)
    assert found.pause_managers == (f"penstock-hold-{ONE}",)
    assert await holds(side, workloads) == {(ONE, False)}
    assert (await hold(side, workloads)).outcome is HoldOutcome.DONE
    assert side.workload_version() == version
    assert not (await seen(side, workloads, OTHER)).held_by_us


async def test_a_hold_may_be_marked_to_be_kept_and_the_mark_taken_away(side: Side) -> None:
    side.deploy()
    workloads = side.workloads()
    await hold(side, workloads)
    await hold(side, workloads, keep=True)
    assert (await seen(side, workloads)).keep_held
    assert await holds(side, workloads) == {(ONE, True)}
    await hold(side, workloads, keep=False)
    assert not (await seen(side, workloads)).keep_held


async def test_a_release_takes_the_hold_and_its_marks_and_once_more_writes_nothing(
    side: Side,
) -> None:
    side.deploy()
    workloads = side.workloads()
    before = side.workload_version()
    assert (await release(side, workloads)).outcome is HoldOutcome.DONE
    assert side.workload_version() == before
    await hold(side, workloads, keep=True)
    assert (await release(side, workloads)).outcome is HoldOutcome.DONE
    found = await seen(side, workloads)
    assert (found.paused, found.pause_managers, found.keep_held) == (False, (), False)
    assert await holds(side, workloads) == set()
    version = side.workload_version()
    assert (await release(side, workloads)).outcome is HoldOutcome.DONE
    assert side.workload_version() == version


async def test_a_namesake_is_neither_held_nor_released_for_what_was_seen_before(
    side: Side,
) -> None:
    side.deploy()
    workloads = side.workloads()
    old = await seen(side, workloads)
    side.undeploy()
    side.deploy()
    manager = f"penstock-hold-{ONE}"
    assert (await workloads.hold(old, manager, keep=False)).outcome is HoldOutcome.GONE
    assert not (await seen(side, workloads)).paused
    await hold(side, workloads)
    result = await workloads.release(HoldRef(side.namespace, REF, old.uid, ONE))
    assert result.outcome is HoldOutcome.GONE
    assert (await seen(side, workloads)).held_by_us


async def test_of_two_holds_each_gives_back_its_own_share(side: Side) -> None:
    side.deploy()
    workloads = side.workloads()
    await hold(side, workloads, ONE)
    await hold(side, workloads, OTHER)
    assert {owner for owner, _ in await holds(side, workloads)} == {ONE, OTHER}
    await release(side, workloads, ONE)
    found = await seen(side, workloads, OTHER)
    assert (found.paused, found.held_by_us) == (True, True)
    await release(side, workloads, OTHER)
    assert not (await seen(side, workloads)).paused


async def test_a_persons_pause_survives_our_release(side: Side) -> None:
    side.deploy()
    workloads = side.workloads()
    side.pause()
    assert (await hold(side, workloads)).outcome is HoldOutcome.DONE
    assert (await seen(side, workloads)).pause_managers == ("a-person", f"penstock-hold-{ONE}")
    await release(side, workloads)
    found = await seen(side, workloads)
    assert (found.paused, found.pause_managers, found.held_by_us) == (True, ("a-person",), False)


async def test_a_person_who_resumes_takes_every_pause(side: Side) -> None:
    side.deploy()
    workloads = side.workloads()
    await hold(side, workloads)
    side.resume()
    found = await seen(side, workloads)
    assert (found.paused, found.held_by_us) == (False, False)


async def test_who_declares_the_opposite_by_apply_is_named_and_not_overruled(side: Side) -> None:
    side.deploy()
    workloads = side.workloads()
    side.pause(value=False, manager="argocd")
    result = await hold(side, workloads)
    assert (result.outcome, result.owners) == (HoldOutcome.CONFLICT, ("argocd",))
    found = await seen(side, workloads)
    assert (found.paused, found.held_by_us, found.pinned_by) == (False, False, "argocd")


async def test_a_release_in_progress_can_be_held_in_part(side: Side) -> None:
    side.deploy()
    workloads = side.workloads()
    first = (await seen(side, workloads)).template
    side.release("2")

    async def is_under_way() -> bool:
        found = await seen(side, workloads)
        return found.phase is Phase.ROLLING and 0 < found.updated < REPLICAS

    await side.settles(is_under_way)
    found = await seen(side, workloads)
    assert found.effect is HoldEffect.PARTIAL
    assert found.ever_complete
    assert found.template is not None
    assert found.template.images == (f"example.com/{NAME}:2",)
    assert [template.hash for template in found.former_templates] == [
        found.template.hash,
        first and first.hash,
    ]
    assert (await hold(side, workloads)).outcome is HoldOutcome.DONE
    assert (await seen(side, workloads)).effect is HoldEffect.PARTIAL


async def test_a_template_that_changes_while_it_is_held_has_not_begun(side: Side) -> None:
    side.deploy()
    workloads = side.workloads()
    await hold(side, workloads)
    side.release("2")
    found = await seen(side, workloads)
    assert (found.phase, found.effect) == (Phase.PENDING, HoldEffect.FULL)
    assert len(found.former_templates) == 1


async def test_a_persons_label_is_reported_with_its_value(side: Side) -> None:
    side.deploy()
    side.label("migration")
    assert (await seen(side, side.workloads())).person_holds == "migration"


async def test_one_that_is_created_paused_has_nothing_that_could_be_held(side: Side) -> None:
    side.deploy(paused=True, ran=False)
    found = await seen(side, side.workloads())
    assert found.unsupported_reason is not None
    assert "first release is never held" in found.unsupported_reason
    assert not found.ever_complete
    assert (found.paused, found.held_by_us) == (True, False)


async def test_a_first_release_that_is_under_way_was_never_complete(side: Side) -> None:
    side.deploy(ran=False)
    workloads = side.workloads()

    async def has_begun() -> bool:
        return bool((await seen(side, workloads)).former_templates)

    await side.settles(has_begun)
    found = await seen(side, workloads)
    assert (found.phase, found.unsupported_reason) == (Phase.SCALING, None)
    assert found.effect is HoldEffect.NONE

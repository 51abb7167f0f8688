"""A controller: workers, requeue, back-off and the fence of the Lease, by a simulated clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from penstock.engine.controller import Controller
from penstock.engine.work_queue import WorkQueue
from penstock.errors import ClusterError, Throttled, Unavailable
from support.clocks import SimulatedLoop


@dataclass
class Scene:
    """A controller whose reconciler does what the test says, and what it was asked for."""

    answer: Callable[[str], float | None] = lambda key: None
    workers: int = 1
    takes: float = 0.0
    held: bool = True
    name: str = "toys"
    loop: SimulatedLoop = field(default_factory=SimulatedLoop)
    began: list[tuple[float, str, bool]] = field(default_factory=list)
    counted: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.queue: WorkQueue[str] = WorkQueue(self.loop)

    async def reconcile(self, key: str, *, marked: bool) -> float | None:
        self.began.append((self.loop.time(), key, marked))
        await asyncio.sleep(self.takes)
        return self.answer(key)

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        self.counted.append({"name": name, **labels})

    def gauge(self, name: str, value: float, /, **labels: str) -> None: ...

    def forget(self, **labels: str) -> None: ...

    def plays(self, *keys: str, until: float, then: Callable[[], None] = lambda: None) -> None:
        async def story() -> None:
            controller = Controller(self.queue, self, self, self, self.workers)
            running = asyncio.create_task(controller.run())
            self.queue.add_all(keys)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            then()
            await asyncio.sleep(until)
            assert not running.done()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        self.loop.play(story())

    def times(self, key: str = "a") -> list[float]:
        return [at for at, one, _ in self.began if one == key]


def raising(error: Exception, times: int) -> Callable[[str], float | None]:
    """An answer that fails so often, and then is well."""
    left = [error] * times

    def answer(key: str) -> float | None:
        if left:
            raise left.pop()
        return None

    return answer


def test_a_key_comes_again_when_its_reconciler_says_so() -> None:
    scene = Scene(answer=lambda key: 60.0)
    scene.plays("a", until=150.0)
    assert scene.times() == [0.0, 60.0, 120.0]


def test_a_key_without_a_moment_comes_again_by_a_change_alone() -> None:
    scene = Scene()
    scene.plays("a", until=10_000.0)
    assert scene.times() == [0.0]


def test_a_failure_is_retried_later_each_time() -> None:
    scene = Scene(answer=raising(ClusterError("no"), 4))
    scene.plays("a", until=1_000.0)
    assert scene.times() == [0.0, 1.0, 3.0, 8.0, 18.0]
    assert scene.counted == []


def test_failures_are_forgotten_once_it_is_well() -> None:
    ends: list[float | ClusterError | None] = [
        None,
        ClusterError("no"),
        100.0,
        ClusterError("no"),
        ClusterError("no"),
    ]

    def answer(key: str) -> float | None:
        end = ends.pop()
        if isinstance(end, ClusterError):
            raise end
        return end

    scene = Scene(answer=answer)
    scene.plays("a", until=1_000.0)
    assert scene.times() == [0.0, 1.0, 3.0, 103.0, 104.0]


def test_one_that_was_throttled_waits_as_long_as_it_was_reported() -> None:
    scene = Scene(answer=raising(Throttled("slowly", 20.0), 1))
    scene.plays("a", until=1_000.0)
    assert scene.times() == [0.0, 20.0]


@pytest.mark.parametrize(
    "error",
    [ClusterError("no"), Throttled("slowly", 20.0), ZeroDivisionError("a bug")],
    ids=lambda error: type(error).__name__,
)
def test_a_key_that_failed_keeps_its_mark_until_it_succeeds(error: Exception) -> None:
    scene = Scene(answer=raising(error, 2))
    scene.plays(until=1_000.0, then=lambda: scene.queue.add("a", mark=True))
    assert [marked for _, _, marked in scene.began] == [True, True, True]


def test_a_key_that_comes_while_the_lease_is_lost_keeps_its_mark() -> None:
    scene = Scene(held=False)

    def marked_then_regained() -> None:
        scene.queue.add("a", mark=True)
        scene.loop.call_later(30.0, setattr, scene, "held", True)

    scene.plays(until=100.0, then=marked_then_regained)
    assert [marked for _, _, marked in scene.began] == [True]


def test_an_unforeseen_error_is_counted_and_ends_nothing() -> None:
    scene = Scene(answer=raising(ZeroDivisionError("a bug"), 1))
    scene.plays("a", "b", until=1_000.0)
    assert scene.times("b")[0] < 1
    assert len(scene.times("a")) + len(scene.times("b")) == 3
    assert scene.counted == [{"name": "penstock_errors_total", "where": "toys"}]


def test_one_key_is_never_worked_on_by_two_workers() -> None:
    scene = Scene(workers=4, takes=10.0)
    scene.plays("a", until=100.0, then=lambda: scene.queue.add("a", mark=True))
    assert scene.began == [(0.0, "a", False), (10.0, "a", True)]


def test_keys_are_worked_on_by_as_many_workers_as_there_are() -> None:
    scene = Scene(workers=2, takes=10.0)
    scene.plays("a", "b", "c", until=100.0)
    assert [at for at, _, _ in scene.began] == [0.0, 0.0, 10.0]


def test_nothing_is_reconciled_while_the_lease_is_not_ours_and_nothing_is_lost() -> None:
    scene = Scene(held=False)

    def again() -> None:
        scene.loop.call_later(30.0, setattr, scene, "held", True)

    scene.plays("a", until=100.0, then=again)
    assert scene.times() == [48.0]


def test_a_server_that_is_away_is_not_a_bug() -> None:
    scene = Scene(answer=raising(Unavailable("away"), 1))
    scene.plays("a", until=10.0)
    assert scene.counted == []

"""When what is due: each key once, in the order of its time, spread by its name."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from penstock.engine.schedule import Schedule, offset

KEYS = st.sampled_from("abcdef")
TIMES = st.integers(0, 40).map(float)


def test_nothing_is_due_of_nothing() -> None:
    schedule: Schedule[str] = Schedule()
    assert (schedule.next(), schedule.take(1e9), len(schedule)) == (None, [], 0)


def test_keys_come_when_they_are_due_and_once() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.set("late", 2.0)
    schedule.set("early", 1.0)
    assert schedule.next() == 1.0
    assert schedule.take(0.999) == []
    assert schedule.take(1.0) == ["early"]
    assert schedule.take(9.0) == ["late"]
    assert schedule.take(9.0) == []


def test_a_key_that_is_set_again_forgets_its_former_time() -> None:
    schedule: Schedule[str] = Schedule()
    for at in (5.0, 1.0, 3.0, 5.0):
        schedule.set("a", at)
    assert schedule.take(4.0) == []
    assert schedule.take(5.0) == ["a"]
    assert schedule.take(5.0) == []


def test_sooner_never_delays() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.set_earlier("a", 5.0)
    schedule.set_earlier("a", 7.0)
    assert schedule.next() == 5.0
    schedule.set_earlier("a", 2.0)
    assert schedule.next() == 2.0


def test_keys_of_one_time_come_in_the_order_they_were_set() -> None:
    schedule: Schedule[str] = Schedule()
    for key in "cab":
        schedule.set(key, 1.0)
    assert schedule.take(1.0) == ["c", "a", "b"]


def test_what_is_set_again_for_ever_leaves_nothing_behind() -> None:
    """The heap must not grow with what was put off, or a busy operator grows for ever."""
    schedule: Schedule[str] = Schedule()
    for at in range(10_000):
        schedule.set("a", at + 1.0)
        schedule.take(float(at))
    assert len(schedule) == 1
    assert len(schedule._heap) < 10


def test_phases_lie_in_the_interval_and_are_the_same_after_a_restart() -> None:
    assert offset("shop/checkout", 30.0) == 12.15
    phases = [offset(f"shop/slo-{number}", 30.0) for number in range(2_000)]
    assert all(0 <= one < 30.0 for one in phases)
    tenths = [sum(tenth <= one / 3 < tenth + 1 for one in phases) for tenth in range(10)]
    assert min(tenths) > 100


class ScheduleMachine(RuleBasedStateMachine):
    """The schedule beside a dictionary of due times."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule: Schedule[str] = Schedule()
        self.due: dict[str, float] = {}

    @rule(key=KEYS, at=TIMES)
    def set(self, key: str, at: float) -> None:
        self.schedule.set(key, at)
        self.due[key] = at

    @rule(key=KEYS, at=TIMES)
    def sooner(self, key: str, at: float) -> None:
        self.schedule.set_earlier(key, at)
        self.due[key] = min(at, self.due.get(key, at))

    @rule(key=KEYS)
    def drop(self, key: str) -> None:
        self.schedule.drop(key)
        self.due.pop(key, None)

    @rule(now=TIMES)
    def take(self, now: float) -> None:
        taken = self.schedule.take(now)
        expected = {key: at for key, at in self.due.items() if at <= now}
        assert sorted(taken) == sorted(expected)
        assert [expected[key] for key in taken] == sorted(expected.values())
        self.due = {key: at for key, at in self.due.items() if at > now}

    @invariant()
    def agrees(self) -> None:
        assert self.schedule.next() == min(self.due.values(), default=None)
        assert len(self.schedule) == len(self.due)
        assert all((key in self.schedule) is (key in self.due) for key in "abcdef")


TestScheduleMachine = ScheduleMachine.TestCase

"""The work queue of the node: each key once, when it is due, by one worker at a time."""

from __future__ import annotations

import threading
import time

from testbed.agenda import Agenda


def test_many_reasons_to_look_are_one_piece_of_work() -> None:
    agenda = Agenda()
    for _ in range(5):
        agenda.add("pod")
    assert agenda.take() == "pod"
    agenda.done("pod")
    agenda.add("next")
    assert agenda.take() == "next"


def test_a_key_is_not_given_out_while_somebody_works_on_it() -> None:
    agenda = Agenda()
    agenda.add("pod")
    assert agenda.take() == "pod"
    agenda.add("pod")
    agenda.add("other", 0.01)
    assert agenda.take() == "other"
    agenda.done("pod")
    assert agenda.take() == "pod"


def test_the_earliest_instant_asked_for_counts() -> None:
    agenda = Agenda()
    agenda.add("pod", 600)
    agenda.add("pod", 0.05)
    agenda.add("pod", 600)
    start = time.monotonic()
    assert agenda.take() == "pod"
    assert time.monotonic() - start >= 0.05


def test_a_waiting_worker_hears_of_what_is_due_earlier() -> None:
    agenda = Agenda()
    agenda.add("late", 600)
    taken: list[str | None] = []
    worker = threading.Thread(target=lambda: taken.append(agenda.take()))
    worker.start()
    agenda.add("now")
    worker.join(30)
    assert taken == ["now"]


def test_all_workers_go_when_it_is_closed() -> None:
    agenda = Agenda()
    taken: list[str | None] = []
    workers = [threading.Thread(target=lambda: taken.append(agenda.take())) for _ in range(3)]
    for worker in workers:
        worker.start()
    agenda.close()
    for worker in workers:
        worker.join(30)
    assert taken == [None] * 3

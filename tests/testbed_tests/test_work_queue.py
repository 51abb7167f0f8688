"""The work queue of the node: each key once, when it is due, by one worker at a time."""

from __future__ import annotations

import threading
import time

from testbed.work_queue import WorkQueue


def test_many_reasons_to_reconcile_are_one_piece_of_work() -> None:
    agenda = WorkQueue()
    for _ in range(5):
        agenda.add("pod")
    assert agenda.get() == "pod"
    agenda.done("pod")
    agenda.add("next")
    assert agenda.get() == "next"


def test_a_key_is_not_given_out_while_somebody_works_on_it() -> None:
    agenda = WorkQueue()
    agenda.add("pod")
    assert agenda.get() == "pod"
    agenda.add("pod")
    agenda.add("other", 0.01)
    assert agenda.get() == "other"
    agenda.done("pod")
    assert agenda.get() == "pod"


def test_the_earliest_instant_asked_for_counts() -> None:
    agenda = WorkQueue()
    agenda.add("pod", 600)
    agenda.add("pod", 0.05)
    agenda.add("pod", 600)
    start = time.monotonic()
    assert agenda.get() == "pod"
    assert time.monotonic() - start >= 0.05


def test_a_waiting_worker_hears_of_what_is_due_earlier() -> None:
    agenda = WorkQueue()
    agenda.add("late", 600)
    taken: list[str | None] = []
    worker = threading.Thread(target=lambda: taken.append(agenda.get()))
    worker.start()
    agenda.add("now")
    worker.join(30)
    assert taken == ["now"]


def test_all_workers_go_when_it_is_closed() -> None:
    agenda = WorkQueue()
    taken: list[str | None] = []
    workers = [threading.Thread(target=lambda: taken.append(agenda.get())) for _ in range(3)]
    for worker in workers:
        worker.start()
    agenda.close()
    for worker in workers:
        worker.join(30)
    assert taken == [None] * 3
